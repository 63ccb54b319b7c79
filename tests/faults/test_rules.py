"""Interleavings behind the rules that have no other test, and the page that names a test for each rule."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from processes import ROOT, wait_until
from rig import Rig, add_jobs, add_worker, attempts_of, change, row_of, set_worker
from scene import Scene
from sqlalchemy import select

from jobman_cli.core.outcome import Outcome, OutcomeKind
from jobman_cli.engine.redis_queue import RedisQueue
from jobman_cli.errors import QueueUnavailable
from jobman_cli.operations.cancel import clear
from jobman_cli.operations.dispatch import dispatch, dispatch_many
from jobman_cli.operations.line import push_pending
from jobman_cli.operations.reconcile import push_overtaken, rebuild
from jobman_cli.operations.rescue import rescue_dead, rescue_orphans
from jobman_cli.runtime import judge as judges
from jobman_cli.runtime.identity import is_gone, start_time
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import claim_ids
from jobman_cli.store.lifecycle.finish import Finish, fail
from jobman_cli.store.lifecycle.release import release
from jobman_cli.store.lifecycle.requeue import requeue_jobs
from jobman_cli.store.lifecycle.workers import lose, tidy
from jobman_cli.store.tables import JOBS, WORKERS

PAGE = ROOT / "docs/explanation/rules.md"
LINE = re.compile(r"^\| (\d+) †?\s*\|[^|]+\| (.+) \|$")


# -- the page ------------------------------------------------------------------------------------------


def named_tests() -> dict[int, list[str]]:
    rows = (LINE.match(line) for line in PAGE.read_text().splitlines())
    return {int(row[1]): re.findall(r"`([^`]+::[^`]+)`", row[2]) for row in rows if row}


def test_the_page_names_a_test_for_each_rule() -> None:
    named = named_tests()
    assert sorted(named) == list(range(1, 27))
    for number, tests in named.items():
        assert tests, f"rule {number} names no test"
        for test in tests:
            path, *inside = test.split("::")
            text = (ROOT / path).read_text()
            for part in inside:
                assert re.search(rf"^\s*(def|class) {part}\b", text, re.MULTILINE), f"rule {number}: {test}"


# -- rules 4, 6, 9, 14: rows and workers ---------------------------------------------------------------


@pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
def test_a_claim_that_commits_after_its_worker_was_given_up(store: Database, tmp_path: Path) -> None:
    """Rule 4: the judge finds nothing to take; the next round finds an orphan."""
    rig = Rig(store, "database", tmp_path)
    worker, [job] = add_worker(store), add_jobs(store)
    with store.transaction() as connection:
        assert claim_ids(connection, store.dialect, worker, [job])
        taken = rescue_dead(rig.parts, [worker], "no sign of life")
        assert not taken.rescued
    assert row_of(store, job).status == "running"
    assert rescue_orphans(rig.parts).rescued == [job]
    row = row_of(store, job)
    assert (row.status, row.rescues, row.attempts, row.claims) == ("queued", 1, 1, 1)
    assert rescue_orphans(rig.parts).rescued == []
    rig.close()


def test_an_old_claim_of_the_same_worker_cannot_fail(store: Database) -> None:
    """Rule 1: the same worker, the same job, an earlier claim; nothing is written."""
    worker, [job] = add_worker(store), add_jobs(store)
    [old] = store.run(claim_ids, worker, [job])
    store.run(release, worker, [old])
    [new] = store.run(claim_ids, worker, [job])
    assert new.claims == old.claims + 1
    outcome = Outcome(OutcomeKind.ERROR, None, "late", "late", 0.0)
    assert not store.run(fail, worker, Finish(old, outcome, time.time(), time.time()), "database")
    assert (row_of(store, job).status, attempts_of(store, job)) == ("running", [])


def test_a_running_job_whose_worker_has_no_row(store: Database, tmp_path: Path) -> None:
    rig = Rig(store, "database", tmp_path)
    [job] = add_jobs(store)
    change(store, job, status="running", worker_id="nobody", claims=1, attempts=1)
    assert rescue_orphans(rig.parts).rescued == [job]
    assert attempts_of(store, job)[0].outcome == "rescued"
    rig.close()


def test_worker_rows_stay_while_a_running_job_names_them(store: Database) -> None:
    worker, other = add_worker(store), add_worker(store)
    [job] = add_jobs(store)
    store.run(claim_ids, worker, [job])
    set_worker(store, worker, "lost")
    set_worker(store, other, "lost")
    assert store.run(tidy, -3600.0) == 1
    with store.reading() as connection:
        assert list(connection.execute(select(WORKERS.c.uuid)).scalars()) == [worker]


def test_rows_under_its_name_that_it_does_not_hold(rig: Rig) -> None:
    """Rule 6: a COMMIT that nobody knew of; the worker gives the rows back."""
    worker = rig.worker()
    job = rig.dispatch("noop")
    rig.store.run(claim_ids, worker.uuid, [job])
    worker.turn._next_look = 0.0
    worker.drain()
    row = rig.row(job)
    assert (row.status, row.attempts, row.claims) == ("completed", 1, 2)


def test_a_rescued_job_that_was_asked_to_stop(store: Database, tmp_path: Path) -> None:
    rig = Rig(store, "database", tmp_path)
    worker, [job] = add_worker(store), add_jobs(store)
    store.run(claim_ids, worker, [job])
    with store.transaction() as connection:
        connection.execute(
            JOBS.update().where(JOBS.c.id == job).values(cancel_requested_at=store.dialect.now())
        )
    rescue_dead(rig.parts, [worker], "it died")
    assert row_of(store, job).status == "cancelled"
    store.run(requeue_jobs, [job])
    row = row_of(store, job)
    assert (row.status, row.cancel_requested_at, row.claims) == ("queued", None, 1)
    rig.close()


def test_a_rescued_job_gets_its_old_place_back(store: Database, tmp_path: Path) -> None:
    rig = Rig(store, "database", tmp_path)
    worker, [job, *_] = add_worker(store), add_jobs(store, 3)
    before = row_of(store, job)
    store.run(claim_ids, worker, [job])
    assert [row.rank for row in rescue_dead(rig.parts, [worker], "it died").rows] == [before.rank]
    after = row_of(store, job)
    assert (after.rank, after.queued_at) == (before.rank, before.queued_at)
    rig.close()


def test_nobody_sets_a_unique_key_yet(rig: Rig) -> None:
    """Rule 13 has nothing to skip as long as this holds; who adds the option adds the conflict's test."""
    assert rig.row(rig.dispatch("noop")).unique_key is None


# -- rule 5: who may judge -----------------------------------------------------------------------------


class Clock:
    """The judge's clock, in the test's hand."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.now = 1000.0

    def clock_gettime(self, _which: int) -> float:
        return self.now

    monotonic = staticmethod(time.monotonic)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lease judge (lease 30 s) whose answers and verdicts the test sees."""
    clock, given = Clock(), []
    monkeypatch.setattr(judges, "time", clock)
    monkeypatch.setattr(judges, "rescue_silent", lambda _parts, _boot, oldest: given.append(oldest))
    bench = SimpleNamespace(clock=clock, given=given, takes=0.0, error=None)

    def read(_work: Any) -> float:
        if bench.error:
            raise bench.error
        answered = clock.now
        clock.now += bench.takes
        return answered

    parts = SimpleNamespace(settings=SimpleNamespace(lease=30.0), database=SimpleNamespace(read=read))
    bench.judge = judges.LeaseJudge(parts)

    def look(seconds: float, every: float = 1.0) -> None:
        for _ in range(int(seconds / every)):
            bench.judge.run_once()
            clock.now += every

    bench.look = look
    return bench


def test_a_judge_waits_a_whole_lease(judge: Any) -> None:
    judge.look(30)
    assert judge.given == []
    judge.look(2)
    assert len(judge.given) == 2
    assert judge.given[0] == pytest.approx(1000.0)  # a lease before the answer


def test_a_judge_with_a_slow_sweep(judge: Any) -> None:
    """A sweep of a third of the lease is no gap."""
    judge.look(50, every=10.01)
    assert judge.given


def test_an_outage_begins_the_wait_anew(judge: Any) -> None:
    judge.look(31)
    judge.given.clear()
    judge.error = OSError("away")
    with pytest.raises(OSError, match="away"):
        judge.judge.run_once()
    judge.error = None
    judge.look(29)
    assert judge.given == []


def test_an_answer_that_came_late_is_an_outage(judge: Any) -> None:
    judge.look(35)
    judge.given.clear()
    judge.takes = 16.0
    judge.look(1)
    judge.takes = 0.0
    assert judge.given == []
    judge.look(28)
    assert judge.given == []


def test_a_judge_that_was_frozen_itself(judge: Any) -> None:
    judge.look(35)
    judge.given.clear()
    judge.clock.now += 20
    judge.look(20)
    assert judge.given == []


# -- rules 11 and 12: the queue ------------------------------------------------------------------------


@pytest.fixture
def redis_rig(store: Database, redis_url: str, tmp_path: Path) -> Any:
    rig = Rig(store, redis_url, tmp_path)
    yield rig
    rig.close()


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_rebuild_that_was_overtaken_never_calls_lines_whole(redis_rig: Rig) -> None:
    engine: RedisQueue = redis_rig.engine
    first = engine.begin_rebuild()
    assert first is not None
    assert engine.begin_rebuild() is None  # somebody owns it
    engine._client.delete("jobman:building")  # it took too long
    second = engine.begin_rebuild()
    assert second is not None
    assert not first.renew()
    assert not first.finish()
    assert engine._client.get("jobman:epoch") is None
    assert second.finish()
    assert engine.begin_rebuild() is None


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_rebuild_pushes_every_queued_row(redis_rig: Rig) -> None:
    jobs = [redis_rig.dispatch("noop") for _ in range(5)]
    redis_rig.engine._client.flushdb()
    done = rebuild(redis_rig.parts)
    assert done is not None and (done.pushed, done.finished) == (5, True)
    assert redis_rig.engine.size("default") == len(jobs)
    assert rebuild(redis_rig.parts) is None


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_row_before_the_head_of_its_line_is_pushed(redis_rig: Rig) -> None:
    first, *_ = [redis_rig.dispatch("noop") for _ in range(3)]
    redis_rig.engine._client.zpopmin("jobman:queue:default", 1)
    assert push_overtaken(redis_rig.parts) == 0  # it may be on its way
    with redis_rig.store.transaction() as connection:
        earlier = redis_rig.store.dialect.later(-10.0)
        connection.execute(JOBS.update().where(JOBS.c.id == first).values(queued_at=earlier))
    assert push_overtaken(redis_rig.parts) == 1
    assert redis_rig.engine.size("default") == 3


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_clear_takes_out_only_what_it_cancelled(redis_rig: Rig) -> None:
    for _ in range(3):
        redis_rig.dispatch("noop")
    redis_rig.engine._client.zadd("jobman:queue:default", {b"%019d" % 10**12: 1})  # dispatched meanwhile
    clear(redis_rig.parts, "default")
    assert redis_rig.engine.size("default") == 1


class Ear:
    """Stands before an engine: notes what the rows say when they are pushed; or refuses."""

    def __init__(self, rig: Rig, refuse: bool = False) -> None:
        self.rig, self.engine, self.refuse = rig, rig.engine, refuse
        self.heard: list[str | None] = []

    def push(self, rows: Any) -> None:
        if self.refuse:
            raise QueueUnavailable("away")
        other = Database(self.rig.store.url.render_as_string(hide_password=False))
        for row in rows:
            with other.reading() as connection:
                query = select(JOBS.c.status).where(JOBS.c.id == row.id)
                self.heard.append(connection.execute(query).scalar())
        other.close()
        self.engine.push(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_an_id_is_pushed_when_its_row_is_committed(redis_rig: Rig) -> None:
    ear = Ear(redis_rig)
    parts = replace(redis_rig.parts, engine=ear)
    dispatch(parts, "noop")
    dispatch_many(parts, "noop", [{}, {}])
    assert ear.heard == ["queued"] * 3


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_pending_rows_stay_pending_until_they_are_pushed(redis_rig: Rig) -> None:
    away = replace(redis_rig.parts, engine=Ear(redis_rig, refuse=True))
    job = int(dispatch(away, "noop").id or 0)
    assert redis_rig.row(job).status == "pending"
    assert push_pending(away) == 0
    assert redis_rig.row(job).status == "pending"
    ear = Ear(redis_rig)
    assert push_pending(replace(redis_rig.parts, engine=ear)) == 1
    assert (ear.heard, redis_rig.row(job).status) == (["pending"], "queued")


# -- rules 16 and 17: processes ------------------------------------------------------------------------


def test_a_dead_pid() -> None:
    """Absent, a zombie, or another process of the same number; nothing else is proof."""
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    started = wait_until(lambda: start_time(child.pid), 5)
    assert not is_gone(child.pid, started)
    assert is_gone(child.pid, started + 1)  # the number was given again
    os.kill(child.pid, signal.SIGSTOP)
    assert not is_gone(child.pid, started)
    child.kill()
    wait_until(lambda: is_gone(child.pid, started), 5, "the zombie")  # nobody has waited for it yet
    child.wait()
    assert is_gone(child.pid, started)


def test_a_pid_that_may_not_be_signalled_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signum: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_gone(os.getpid(), 1)


def test_a_jobs_own_subprocesses(make_scene: Any) -> None:
    """They inherit no ignored TERM and no answer of the worker's; a job may use multiprocessing."""
    scene: Scene = make_scene("sqlite-database")
    scene.supervisor()
    job = scene.dispatch("subprocesses", file=str(scene.path / "seen"))
    assert scene.until(job, "completed", "failed").status == "completed", scene.row(job).exception
    ignored, reckoned, end = (scene.path / "seen").read_text().split()
    assert not int(ignored, 16) & (1 << (signal.SIGTERM - 1) | 1 << (signal.SIGHUP - 1))
    assert reckoned == "49"
    assert end == str(-signal.SIGTERM)
    assert scene.until(scene.dispatch("plain"), "completed").attempts == 1  # the worker was not stopped


def test_lose_leaves_a_locked_row_to_the_other(store: Database) -> None:
    """Rule 5: two judges share the workers between them."""
    if store.dialect.name == "sqlite":
        assert store.run(lose, [add_worker(store)])  # one writer at a time, by itself
        return
    worker = add_worker(store)
    with store.transaction() as connection:
        assert lose(connection, store.dialect, [worker]) == [worker]
        assert store.run(lose, [worker]) == []
