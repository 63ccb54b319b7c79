"""Alerts: each trouble is told once when it begins and once when it is over, however many processes look."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import jobman_environment
from rig import Rig, add_jobs, change, set_worker
from sqlalchemy import select

from jobman_cli.hooks.registry import PluginHook
from jobman_cli.operations import alerts
from jobman_cli.operations.alerts import (
    clear_alert,
    note_overtaken,
    note_rebuilt,
    note_settled,
    raise_alert,
    tell,
    watch_over,
)
from jobman_cli.operations.reconcile import Rebuilt
from jobman_cli.operations.schedule import Settled, adopt, entries_of, pause
from jobman_cli.runtime.maintenance import sweeps
from jobman_cli.runtime.timetable import Timetable
from jobman_cli.store.database import Database
from jobman_cli.store.queries import database_now
from jobman_cli.store.tables import ALERTS, FAILED_JOBS, JOBS, QUEUES, SCHEDULE_ENTRIES, WORKERS


class Watched(Rig):
    """A rig that keeps what the hook is told."""

    def __init__(self, store: Database, path: Path, **settings: Any) -> None:
        self.told: list[dict[str, Any]] = []
        hooks = {"jobman_alert": (PluginHook("pager", self._hear),)}
        super().__init__(store, "database", path, hooks, **settings)

    def _hear(self, alert: dict[str, Any], options: Any) -> list[Any]:
        self.told.append(alert)
        return []

    def heard(self) -> list[tuple[str, str]]:
        told, self.told = self.told, []
        return [(each["key"], each["state"]) for each in told]

    def alert(self, key: str) -> Any:
        with self.store.reading() as connection:
            return connection.execute(select(ALERTS).where(ALERTS.c.key == key)).one()

    def set(self, key: str, **values: Any) -> None:
        with self.store.transaction() as connection:
            connection.execute(ALERTS.update().where(ALERTS.c.key == key).values(**values))

    def age(self, seconds: float) -> None:
        """Let all that was told or noticed be so much older."""
        with self.store.transaction() as connection:
            for row in connection.execute(select(ALERTS)).all():
                older = {
                    name: getattr(row, name) - timedelta(seconds=seconds)
                    for name in ("expires_at", "last_told_at")
                    if getattr(row, name)
                }
                if older:
                    connection.execute(ALERTS.update().where(ALERTS.c.key == row.key).values(**older))

    def wait_for(self, job: int, seconds: float) -> None:
        """Let a job have waited so long."""
        change(self.store, job, queued_at=self.now() - timedelta(seconds=seconds))

    def now(self) -> Any:
        return self.store.read(database_now)


@pytest.fixture
def watched(store: Database, tmp_path: Path) -> Iterator[Watched]:
    rig = Watched(store, tmp_path)
    watch_over(rig.parts)  # from now on events are told
    yield rig
    rig.close()


# --- once ----------------------------------------------------------------------------------------------


def test_a_trouble_is_told_when_it_begins_and_when_it_is_over(watched: Watched) -> None:
    for _ in range(3):
        raise_alert(
            watched.parts, "long-wait", "x", "it is slow", {"queue": "q", "value": 61, "threshold": 60}
        )
        tell(watched.parts)
    (alert,) = watched.told
    assert {
        name: alert[name] for name in ("kind", "key", "state", "message", "queue", "value", "threshold")
    } == {
        "kind": "long-wait",
        "key": "x",
        "state": "begun",
        "message": "it is slow",
        "queue": "q",
        "value": 61,
        "threshold": 60,
    }
    assert watched.heard() == [("x", "begun")]
    assert watched.alert("x").count == 3
    assert [each.key for each in alerts.alerts(watched.parts)] == ["x"]
    assert clear_alert(watched.parts, "x")
    assert not clear_alert(watched.parts, "x")
    tell(watched.parts)
    tell(watched.parts)
    assert watched.told[0]["message"] == "over: it is slow"
    assert watched.heard() == [("x", "over")]
    assert alerts.alerts(watched.parts) == []
    raise_alert(watched.parts, "long-wait", "x", "again")
    tell(watched.parts)
    assert watched.heard() == [("x", "begun")]
    assert watched.alert("x").count == 1


def test_what_nobody_notices_any_more_is_over(watched: Watched) -> None:
    raise_alert(watched.parts, "long-wait", "x", "slow")
    raise_alert(watched.parts, "schedule-missed", "y", "missed", lasts=None)
    watch_over(watched.parts)
    assert watched.heard() == [("x", "begun"), ("y", "begun")]
    watched.age(61)
    watch_over(watched.parts)
    assert watched.heard() == [("x", "over")]


def test_a_trouble_that_was_too_short_is_not_told(watched: Watched) -> None:
    raise_alert(watched.parts, "long-wait", "x", "slow")
    clear_alert(watched.parts, "x")
    assert tell(watched.parts) == 0
    raise_alert(watched.parts, "long-wait", "x", "slow")
    tell(watched.parts)
    clear_alert(watched.parts, "x")
    raise_alert(watched.parts, "long-wait", "x", "slow")  # back before its end was told
    tell(watched.parts)
    assert watched.heard() == [("x", "begun")]
    assert watched.alert("x").state == "open"


def test_no_kind_floods(watched: Watched) -> None:
    for number in range(10):
        raise_alert(watched.parts, "long-wait", f"x{number}", "slow")
    raise_alert(watched.parts, "queue-drift", "drift", "much")
    assert tell(watched.parts) == alerts.MOST + 1
    assert tell(watched.parts) == 0
    watched.age(59)
    assert tell(watched.parts) == 0
    watched.age(2)
    assert tell(watched.parts) == 10 - alerts.MOST
    assert len(set(watched.heard())) == 11


def test_many_threads_tell_once(watched: Watched) -> None:
    others = [Watched(watched.store, watched.parts.settings.root) for _ in range(3)]
    failures: list[BaseException] = []

    def run(rig: Watched) -> None:
        try:
            for step in range(12):
                for key in ("a", "b"):
                    if step % 4 < 2:
                        raise_alert(rig.parts, f"kind-{key}", key, "trouble")
                    else:
                        clear_alert(rig.parts, key)
                tell(rig.parts)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(rig,)) for rig in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    # One trouble at a time is told: beginnings and ends take turns, whoever told them.
    for key in ("a", "b"):
        states = [each["state"] for rig in others for each in rig.told if each["key"] == key]
        begun, over = states.count("begun"), states.count("over")
        assert begun - over in (0, 1), (key, begun, over)
        assert begun >= 1


COMPETE = """
import json, sys, time
from pathlib import Path
from jobman_cli.app import Jobman
from jobman_cli.hooks.registry import PluginHook, Registry
from jobman_cli.operations.alerts import watch_over
from jobman_cli.operations.parts import Parts

told = []
jobman = Jobman.from_config(sys.argv[1])
def hear(alert, options):
    told.append((alert["key"], alert["state"]))
    return []
registry = Registry({}, [], {"jobman_alert": (PluginHook("pager", hear),)})
parts = Parts(jobman.settings, registry, jobman.database, jobman.engine)
watch_over(parts)
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    watch_over(parts)
print(json.dumps(told))
"""


def test_three_processes_announce_each_trouble_once(store: Database, tmp_path: Path) -> None:
    """A long wait, a queue without a worker, three failed jobs and a dead worker; three maintenance loops."""
    config = tmp_path / "jobman.yaml"
    config.write_text(f"database: {json.dumps(store.url.render_as_string(hide_password=False))}\n")
    command = [sys.executable, "-c", COMPETE, str(config), "5"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=jobman_environment(), **pipes) for _ in range(3)]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        rig = Watched(store, tmp_path)
        worker, dead = rig.worker(), rig.worker()
        for _ in range(3):
            rig.dispatch("give_up")
        worker.drain()
        set_worker(store, dead.uuid, "lost")
        with store.transaction() as connection:
            connection.execute(
                WORKERS.update().where(WORKERS.c.uuid == dead.uuid).values(stopped_at=rig.now())
            )
        for queue in ("default", "unserved"):
            rig.wait_for(add_jobs(store, 1, queue=queue)[0], 90)
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [
            tuple(each) for process in processes for each in json.loads(process.communicate(timeout=60)[0])
        ]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    rig.close()
    assert sorted(told) == [
        ("job-failed", "event"),
        ("long-wait:default", "begun"),
        ("no-worker:unserved", "begun"),
        ("worker-died", "event"),
    ]


# --- what is noticed -----------------------------------------------------------------------------------


def test_a_long_wait(watched: Watched) -> None:
    watched.worker()
    (job,) = add_jobs(watched.store, 1)
    watched.wait_for(job, 59)
    watch_over(watched.parts)
    assert watched.heard() == []
    watched.wait_for(job, 61)
    watch_over(watched.parts)
    assert watched.told[0]["queue"] == "default"
    assert 61 <= watched.told[0]["value"] < 80
    assert watched.told[0]["threshold"] == 60
    assert watched.heard() == [("long-wait:default", "begun")]
    change(watched.store, job, status="completed")
    watched.age(61)
    watch_over(watched.parts)
    assert watched.heard() == [("long-wait:default", "over")]


def test_limits_by_queue(store: Database, tmp_path: Path) -> None:
    waits = {"default": 60.0, "slow": 600.0, "batch": 0.0}
    rig = Watched(store, tmp_path, alerts={"wait": waits, "off": ()})
    for queue in ("slow", "batch", "other"):
        rig.wait_for(add_jobs(store, 1, queue=queue)[0], 300)
    worker = rig.worker()
    with store.transaction() as connection:
        queues = ["slow", "batch", "other"]
        connection.execute(WORKERS.update().where(WORKERS.c.uuid == worker.uuid).values(queues=queues))
    watch_over(rig.parts)
    assert rig.heard() == [("long-wait:other", "begun")]
    rig.close()


def test_a_paused_queue_may_wait(watched: Watched) -> None:
    for queue, until in (("a", None), ("b", timedelta(hours=1)), ("c", timedelta(hours=-1))):
        watched.wait_for(add_jobs(watched.store, 1, queue=queue)[0], 300)
        values = {"name": queue, "paused_at": watched.now(), "paused_until": until and watched.now() + until}
        with watched.store.transaction() as connection:
            connection.execute(QUEUES.insert().values(**values))
    watch_over(watched.parts)
    assert watched.heard() == [("no-worker:c", "begun")]


def test_jobs_that_failed_are_told_together(watched: Watched) -> None:
    def fail(number: int, seconds: float) -> None:
        for _ in range(number):
            watched.dispatch("give_up")
        watched.worker().drain()
        with watched.store.transaction() as connection:
            connection.execute(
                FAILED_JOBS.update().values(failed_at=watched.now() - timedelta(seconds=seconds))
            )

    watched.set("job-failed", marked_at=watched.now() - timedelta(hours=1))
    fail(1, 1000)
    watch_over(watched.parts)
    assert watched.told[0]["state"] == "event"
    assert "(give_up) failed: no hope" in watched.told[0]["message"]
    assert watched.heard() == [("job-failed", "event")]
    watched.set("job-failed", marked_at=watched.now() - timedelta(seconds=900))
    fail(3, 300)  # the first failure moved with them
    watch_over(watched.parts)
    assert watched.heard() == [], "at most one a minute"
    watched.age(61)
    watch_over(watched.parts)
    assert watched.told[0]["count"] == 4
    assert watched.told[0]["message"].startswith("4 jobs failed (4 give_up); the last: job ")
    watched.heard()
    watched.age(61)
    watch_over(watched.parts)
    assert watched.heard() == []
    assert alerts.alerts(watched.parts) == [], "an event does not go on"


def test_what_failed_before_is_history(store: Database, tmp_path: Path) -> None:
    rig = Watched(store, tmp_path)
    rig.dispatch("give_up")
    rig.worker().drain()
    watch_over(rig.parts)
    rig.set("job-failed", marked_at=rig.now() + timedelta(seconds=1))
    watch_over(rig.parts)
    assert rig.heard() == []
    rig.close()


def test_drift(watched: Watched) -> None:
    note_overtaken(watched.parts, 99)
    note_rebuilt(watched.parts, None)
    note_rebuilt(watched.parts, Rebuilt(99, True))
    assert tell(watched.parts) == 0
    note_rebuilt(watched.parts, Rebuilt(100, True))
    note_overtaken(watched.parts, 1000)
    tell(watched.parts)
    assert "1,000 queued rows" in watched.told[0]["message"]
    assert watched.heard() == [("queue-drift", "begun")]


def entry(**more: Any) -> dict[str, Any]:
    return {"name": "tick", "every": 60.0, "timezone": "UTC", "job": "hello", **more}


def put_back(watched: Watched, minutes: float) -> None:
    """Let the schedule have been looked at for the last time so long ago."""
    with watched.store.transaction() as connection:
        since = watched.now() - timedelta(minutes=minutes)
        connection.execute(SCHEDULE_ENTRIES.update().values(settled_until=since))


def test_a_schedule_that_nobody_fires(store: Database, tmp_path: Path) -> None:
    """One that no process can fire, too: its job type is not there."""
    watched = Watched(store, tmp_path, schedule=[entry(job="nobodys")])
    Timetable(watched.parts).run_once()
    watch_over(watched.parts)
    assert watched.heard() == []
    put_back(watched, 4)
    watch_over(watched.parts)
    (told,) = watched.told
    assert told["details"]["schedule"] == "tick" and "no supervisor has fired it" in told["message"]
    assert watched.heard() == [("schedule-missed:tick", "begun")]
    repaired = Watched(store, tmp_path, schedule=[entry()])
    Timetable(repaired.parts).run_once()
    with store.reading() as connection:
        assert [row.type for row in connection.execute(select(JOBS.c.type))] == ["hello"], "it is caught up"
    watch_over(repaired.parts)
    assert repaired.heard() == [("schedule-missed:tick", "over")]
    watched.close()
    repaired.close()


def test_a_time_that_is_left_out(store: Database, tmp_path: Path) -> None:
    watched = Watched(store, tmp_path, schedule=[entry(catch_up="none", every=1000 * 86400.0)])
    table = Timetable(watched.parts)
    adopt(watched.parts, entries_of(watched.parts.settings))
    put_back(watched, minutes=1000 * 1440)
    table.run_once()
    watch_over(watched.parts)
    assert watched.heard() == [("schedule-missed:tick", "begun")]
    watched.age(3600)
    watch_over(watched.parts)
    assert watched.heard() == [], "it goes on until the entry runs"
    note_settled(watched.parts, entries_of(watched.parts.settings)["tick"], Settled(watched.now(), 1))
    watch_over(watched.parts)
    assert watched.heard() == [("schedule-missed:tick", "over")]
    watched.close()


def test_hosts_that_disagree_about_times(store: Database, tmp_path: Path) -> None:
    old = Watched(store, tmp_path, schedule=[entry()])
    new = Watched(store, tmp_path, schedule=[entry(every=90.0)])
    Timetable(old.parts).run_once()
    Timetable(new.parts).run_once()
    watch_over(new.parts)
    assert new.heard() == []
    put_back(old, 4)
    watch_over(old.parts)
    (told,) = old.told
    assert "says 'every 60' and does not fire it; 'every 90' is in force" in told["message"]
    assert (told["details"]["times"], told["details"]["in_force"]) == ("every 60", "every 90")
    assert old.heard() == [("schedule-differs:tick", "begun")], "it is not missed: it is not this host's"
    watch_over(new.parts)
    assert new.heard() == [("schedule-missed:tick", "begun")], "the other one is to fire it"
    put_back(old, 0)
    old.age(61)
    watch_over(new.parts)
    assert sorted(new.heard()) == [("schedule-differs:tick", "over"), ("schedule-missed:tick", "over")]
    old.close()
    new.close()


def test_a_schedule_that_is_paused_is_not_missed(store: Database, tmp_path: Path) -> None:
    watched = Watched(store, tmp_path, schedule=[entry()])
    found = entries_of(watched.parts.settings)["tick"]
    pause(watched.parts, found)
    put_back(watched, 4)
    watch_over(watched.parts)
    assert watched.heard() == []
    watched.close()


def test_kinds_that_are_off(store: Database, tmp_path: Path) -> None:
    off = ("long-wait", "no-worker", "job-failed", "worker-died", "queue-drift")
    rig = Watched(store, tmp_path, alerts={"wait": {"default": 60.0}, "off": off})
    watch_over(rig.parts)
    rig.wait_for(add_jobs(store, 1)[0], 300)
    note_overtaken(rig.parts, 1000)
    watch_over(rig.parts)
    with store.reading() as connection:
        assert connection.execute(select(ALERTS)).all() == []
    rig.close()


def test_maintenance_looks(watched: Watched) -> None:
    plan = {sweep.name: sweep for sweep in sweeps(watched.parts)}
    add_jobs(watched.store, 1)
    with watched.store.transaction() as connection:
        connection.execute(JOBS.update().values(queued_at=watched.now() - timedelta(seconds=100)))
    plan["look for troubles"].run_once()
    assert plan["look for troubles"].due > 0, "not in the first round"
    assert watched.heard() == [("no-worker:default", "begun")]


def test_a_hook_that_fails_keeps_nobody(store: Database, tmp_path: Path) -> None:
    rig = Watched(store, tmp_path)

    def fail(**_: Any) -> None:
        raise SystemExit("no")

    rig.parts.registry._hooks = {"jobman_alert": (PluginHook("bad", fail), PluginHook("pager", rig._hear))}
    raise_alert(rig.parts, "long-wait", "x", "slow")
    assert tell(rig.parts) == 1
    assert rig.heard() == [("x", "begun")]
    rig.close()
