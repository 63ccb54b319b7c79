"""The schedule: each time once, what is missed, pauses, clocks that jump, operations that crash."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import jobman_environment, spawn, wait_until
from provision import DATABASES
from rig import Rig
from sqlalchemy import event, select

from jobman_cli.errors import ConfigurationError, StoreUnavailable, UsageError
from jobman_cli.operations import chores, housekeeping
from jobman_cli.operations import schedule as operation
from jobman_cli.operations.chores import Chore, check_chore
from jobman_cli.operations.housekeeping import Housekeeper, claim, perform, perform_now
from jobman_cli.operations.schedule import (
    MOST,
    Settled,
    adopt,
    check_schedule,
    entries_of,
    fire_due,
    fire_job_now,
    look,
    pause,
    resume,
)
from jobman_cli.runtime.timetable import SYNC, Timetable
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.schedules import FireOutcome
from jobman_cli.store.tables import JOBS, SCHEDULE_ENTRIES, SCHEDULE_FIRES

BEGIN = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
KINDS = pytest.mark.parametrize("store", DATABASES, indirect=True)
SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


class Clock:
    """The database's clock and the time that passes here, moved by the test."""

    def __init__(self, now: datetime = BEGIN) -> None:
        self.now, self.passed = now, 0.0

    def __call__(self, _connection: Any, _dialect: Any) -> datetime:
        return self.now

    def steady(self) -> float:
        return self.passed

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)
        self.passed += max(timedelta(**by).total_seconds(), 0.0)


def every(name: str = "tick", seconds: float = 60.0, **more: Any) -> dict[str, Any]:
    return {"name": name, "every": seconds, "timezone": "UTC", "job": "hello", **more}


def cron(expression: str, zone: str = "UTC", name: str = "tick", **more: Any) -> dict[str, Any]:
    return {"name": name, "cron": expression, "timezone": zone, "job": "hello", **more}


def chore(name: str = "clean", operation: str = "prune", **options: Any) -> dict[str, Any]:
    given = options or {"days": 180}
    return {"name": name, "every": 60.0, "timezone": "UTC", "operation": operation, "options": given}


def rig_with(store: Database, root: Path, *entries: Mapping[str, Any], **settings: Any) -> Rig:
    return Rig(store, "database", root, schedule=entries, **settings)


def timetable(rig: Rig, clock: Clock) -> Timetable:
    table = Timetable(rig.parts, clock, clock.steady)
    adopt_at(rig, clock)
    table.run_once()
    return table


def adopt_at(rig: Rig, clock: Clock) -> None:
    """Make the entries known at the test's time instead of the server's."""
    adopt(rig.parts, entries_of(rig.parts.settings))
    with rig.store.transaction() as connection:
        connection.execute(SCHEDULE_ENTRIES.update().values(settled_until=clock.now))


def fires(store: Database, name: str | None = None) -> list[Any]:
    query = select(SCHEDULE_FIRES).order_by(SCHEDULE_FIRES.c.fire_at)
    if name is not None:
        query = query.where(SCHEDULE_FIRES.c.name == name)
    with store.reading() as connection:
        return list(connection.execute(query).all())


def times(store: Database, name: str | None = None) -> list[datetime]:
    return [row.fire_at for row in fires(store, name)]


def jobs(store: Database) -> list[Any]:
    with store.reading() as connection:
        return list(connection.execute(select(JOBS).order_by(JOBS.c.id)).all())


def minutes(*after: int) -> list[datetime]:
    return [BEGIN.replace(second=0) + timedelta(minutes=minute) for minute in after]


@pytest.fixture
def statements(store: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    yield seen
    event.remove(store.engine, "before_cursor_execute", note)


class TestFiring:
    @KINDS
    def test_a_job_and_its_row(self, store: Database, tmp_path: Path) -> None:
        given = every(attribs={"name": "Ada"}, queue="mail", priority=7)
        rig, clock = rig_with(store, tmp_path, given), Clock()
        table = timetable(rig, clock)
        assert fires(store) == [], "nothing of the past"
        clock.move(seconds=31)
        table.run_once()
        (fire,), (job,) = fires(store), jobs(store)
        assert (fire.fire_at, fire.outcome, fire.jobman_id) == (*minutes(1), "dispatched", job.id)
        assert fire.finished_at is not None
        assert (job.type, job.queue, job.priority, job.status) == ("hello", "mail", 7, "queued")
        assert (job.attribs, job.tags) == ({"name": "Ada", "count": 1}, ["schedule:tick"])
        table.run_once()
        assert len(jobs(store)) == 1

    @pytest.mark.parametrize(("store", "rig"), [("sqlite", "redis")], indirect=True)
    def test_it_is_pushed(self, rig: Rig, tmp_path: Path, store: Database) -> None:
        ours = Rig(store, rig.parts.settings.queue, tmp_path, schedule=(every(),))
        clock = Clock()
        table = timetable(ours, clock)
        clock.move(minutes=1)
        table.run_once()
        assert ours.engine.size("default") == 1
        assert rig.worker().drain() == 1
        ours.close()

    @SQLITE
    def test_nothing_due_asks_nothing(self, store: Database, tmp_path: Path, statements: list[str]) -> None:
        rig, clock = rig_with(store, tmp_path, every(seconds=3600.0), every("other", 7200.0)), Clock()
        table = timetable(rig, clock)
        statements.clear()
        for _ in range(20):
            clock.move(seconds=1)
            table.run_once()
        assert statements == []
        clock.move(seconds=SYNC)
        table.run_once()
        assert statements == ["BEGIN"], "one question: what is the time?"

    @SQLITE
    def test_without_a_schedule_it_does_nothing(
        self, store: Database, tmp_path: Path, statements: list[str]
    ) -> None:
        table = Timetable(rig_with(store, tmp_path).parts)
        for _ in range(3):
            table.run_once()
        assert statements == []

    @KINDS
    def test_a_time_that_somebody_else_has(self, store: Database, tmp_path: Path) -> None:
        """Also without the lock on the entry: the row itself is what fires once."""
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        adopt_at(rig, clock)
        clock.move(minutes=1)
        entry = entries_of(rig.parts.settings)["tick"]
        new = operation.check_entry(rig.parts.settings, rig.parts.registry, entry)
        assert fire_due(rig.parts, entry, new, clock) == Settled(clock.now, 1)
        with store.transaction() as connection:
            connection.execute(SCHEDULE_ENTRIES.update().values(settled_until=BEGIN))
        assert fire_due(rig.parts, entry, new, clock) == Settled(clock.now, 1)
        assert len(fires(store)) == len(jobs(store)) == 1

    @pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
    def test_an_entry_that_somebody_is_at_is_left_alone(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        table = timetable(rig, clock)
        clock.move(minutes=1)
        with store.transaction() as connection:
            connection.execute(select(SCHEDULE_ENTRIES).with_for_update()).all()
            table.run_once()
            assert fires(store) == []
        table.run_once()
        assert times(store) == minutes(1)

    @SQLITE
    def test_one_that_cannot_be_fired_keeps_no_other_from_it(self, store: Database, tmp_path: Path) -> None:
        wrong = every("wrong", job="helo")
        rig, clock = rig_with(store, tmp_path, wrong, every()), Clock()
        table = timetable(rig, clock)
        clock.move(minutes=1)
        table.run_once()
        assert [fire.name for fire in fires(store)] == ["tick"]

    @SQLITE
    def test_other_times_begin_anew(self, store: Database, tmp_path: Path) -> None:
        clock = Clock()
        timetable(rig_with(store, tmp_path, cron("0 3 * * *")), clock)
        entries = entries_of(rig_with(store, tmp_path, cron("0 9 * * *")).parts.settings)
        parts = rig_with(store, tmp_path, cron("0 9 * * *")).parts
        mark = adopt(parts, entries)["tick"]
        assert mark.settled_until > BEGIN
        assert adopt(parts, entries)["tick"] == mark, "once"


class TestMissed:
    @pytest.mark.parametrize(
        ("policy", "down", "expected"),
        [
            ({}, 10, [10]),
            ({"catch_up": "latest"}, 10, [10]),
            ({"catch_up": "all"}, 10, list(range(1, 11))),
            ({"catch_up": "all"}, 500, list(range(401, 501))),
            ({"catch_up": "none"}, 1, [1]),
        ],
        ids=str,
    )
    @SQLITE
    def test_after_downtime(
        self, store: Database, tmp_path: Path, policy: dict[str, str], down: int, expected: list[int]
    ) -> None:
        rig, clock = rig_with(store, tmp_path, every(**policy)), Clock()
        adopt_at(rig, clock)
        clock.move(minutes=down)
        table = Timetable(rig.parts, clock, clock.steady)
        table.run_once()
        assert times(store) == minutes(*expected)
        assert len(expected) <= MOST
        clock.move(minutes=1)
        table.run_once()
        assert times(store) == minutes(*expected, down + 1)

    @SQLITE
    def test_none_leaves_a_time_that_is_long_past(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, cron("0 * * * *", catch_up="none")), Clock()
        adopt_at(rig, clock)
        clock.move(minutes=70)
        table = Timetable(rig.parts, clock, clock.steady)
        table.run_once()
        assert fires(store) == []
        clock.move(minutes=50)
        table.run_once()
        assert times(store) == minutes(120)

    @SQLITE
    def test_a_year_of_minutes_is_looked_at_from_its_end(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, cron("* * * * *", "Europe/Berlin")), Clock()
        adopt_at(rig, clock)
        clock.move(days=365)
        began = time.process_time()
        Timetable(rig.parts, clock, clock.steady).run_once()
        assert len(fires(store)) == 1
        assert time.process_time() - began < 1


class TestClock:
    @KINDS
    def test_put_back_nothing_is_fired_twice(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        table = timetable(rig, clock)
        for _ in range(5):
            clock.move(minutes=1)
            table.run_once()
        clock.now -= timedelta(minutes=4)
        for _ in range(100):
            clock.move(seconds=6)
            table.run_once()
        assert times(store) == minutes(*range(1, 12))

    @SQLITE
    def test_put_forward_and_back_what_was_left_out_is_fired_in_its_time(
        self, store: Database, tmp_path: Path
    ) -> None:
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        table = timetable(rig, clock)
        clock.now += timedelta(days=3650)
        clock.passed += SYNC
        table.run_once()
        assert len(fires(store)) == 1
        clock.now -= timedelta(days=3650)
        for _ in range(54):
            clock.move(seconds=5)
            table.run_once()
        assert [each for each in times(store) if each.year == 2026] == minutes(*range(1, 6))

    @SQLITE
    def test_a_host_that_slept(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        table = timetable(rig, clock)
        clock.move(hours=8)
        table.run_once()
        assert times(store) == minutes(480)

    @SQLITE
    def test_the_database_away(
        self, store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        table = timetable(rig, clock)
        clock.move(minutes=1)

        def away(*_: Any) -> None:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(store, "run", away)
            with pytest.raises(StoreUnavailable):
                table.run_once()
        table.run_once()
        assert times(store) == minutes(1)


class TestPause:
    @SQLITE
    def test_by_command(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        table = timetable(rig, clock)
        entry = entries_of(rig.parts.settings)["tick"]
        assert pause(rig.parts, entry)
        assert not pause(rig.parts, entry), "already"
        clock.move(minutes=5)
        Timetable(rig.parts, clock, clock.steady).run_once()  # started anew
        table.run_once()
        assert look(rig.parts)[0].paused
        assert fires(store) == []
        assert resume(rig.parts, entry)
        assert not resume(rig.parts, entry)
        adopt_at(rig, clock)
        table.run_once()
        assert fires(store) == [], "what passed meanwhile is not caught up"
        clock.move(minutes=1)
        table.run_once()
        assert times(store) == minutes(6)

    @SQLITE
    def test_by_configuration(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, every(paused=True)), Clock()
        table = timetable(rig, clock)
        clock.move(minutes=5)
        table.run_once()
        ours = rig_with(store, tmp_path, every())
        table = Timetable(ours.parts, clock, clock.steady)
        table.run_once()
        assert fires(store) == []
        clock.move(minutes=1)
        table.run_once()
        assert times(store) == minutes(6)


class TestDiffering:
    """Two hosts whose configurations differ about the times of one entry."""

    @KINDS
    def test_the_one_that_began_last_fires(self, store: Database, tmp_path: Path) -> None:
        clock = Clock()
        old = timetable(rig_with(store, tmp_path, every(seconds=60.0)), clock)
        clock.move(minutes=1)
        old.run_once()
        assert times(store) == minutes(1)
        new = timetable(rig_with(store, tmp_path, every(seconds=180.0)), clock)
        for _ in range(6):
            clock.move(minutes=1)
            old.run_once()
            new.run_once()
        assert times(store) == minutes(1, 3, 6), "those of the new one alone"
        assert len(jobs(store)) == 3

    @SQLITE
    def test_who_let_it_alone_fires_again_when_they_agree(self, store: Database, tmp_path: Path) -> None:
        clock = Clock()
        first = timetable(rig_with(store, tmp_path, every(seconds=60.0)), clock)
        timetable(rig_with(store, tmp_path, every(seconds=3600.0)), clock)
        clock.move(minutes=5)
        first.run_once()
        assert times(store) == []
        timetable(rig_with(store, tmp_path, every(seconds=60.0)), clock)  # that host was put right
        first.run_once()
        assert times(store) == [], "what passed meanwhile is not caught up"
        clock.move(minutes=1)
        first.run_once()
        assert times(store) == minutes(6)

    @SQLITE
    def test_a_look_and_a_pause_put_nothing_in_force(self, store: Database, tmp_path: Path) -> None:
        clock = Clock()
        table = timetable(rig_with(store, tmp_path, every(seconds=60.0)), clock)
        other = rig_with(store, tmp_path, every(seconds=3600.0))
        [seen] = look(other.parts)
        assert (seen.in_force, seen.entry.clock) == ("every 60", "every 3600")
        assert pause(other.parts, seen.entry) and resume(other.parts, seen.entry)
        assert look(other.parts)[0].in_force == "every 60"
        with store.transaction() as connection:  # the pause took the server's time, not the test's
            connection.execute(SCHEDULE_ENTRIES.update().values(settled_until=clock.now))
        clock.move(minutes=1)
        table.run_once()
        assert times(store) == minutes(1)


class TestByHand:
    @KINDS
    def test_a_job(self, store: Database, tmp_path: Path) -> None:
        rig = rig_with(store, tmp_path, every(attribs={"name": "Ada"}))
        entry = entries_of(rig.parts.settings)["tick"]
        first, second = fire_job_now(rig.parts, entry), fire_job_now(rig.parts, entry)
        assert [fire.jobman_id for fire in fires(store)] == [first.id, second.id]
        assert first.tags == ["schedule:tick"]
        seen = look(rig.parts)[0]
        assert seen.last is not None
        assert (seen.last.jobman_id, seen.last.job_status) == (second.id, "queued")

    @KINDS
    def test_a_unique_job_that_is_there(self, store: Database, tmp_path: Path) -> None:
        """The time is settled, and names the job; no other is written, nor pushed."""
        rig, clock = rig_with(store, tmp_path, every()), Clock()
        types = rig.parts.registry.types
        types["hello"] = types["hello"].with_options(unique=True)
        table, pushed = timetable(rig, clock), []
        push, rig.engine.push = rig.engine.push, lambda rows: pushed.extend(rows) or push(rows)
        for _ in range(2):
            clock.move(seconds=60)
            table.run_once()
        there = fire_job_now(rig.parts, entries_of(rig.parts.settings)["tick"])
        assert [job.id for job in jobs(store)] == [row.id for row in pushed] == [there.id]
        assert [fire.jobman_id for fire in fires(store)] == [there.id] * 3
        rig.worker().drain()
        clock.move(seconds=60)
        table.run_once()
        assert len(jobs(store)) == 2

    @KINDS
    def test_an_operation(self, store: Database, tmp_path: Path) -> None:
        rig = rig_with(store, tmp_path, chore(days=0))
        rig.dispatch("noop")
        rig.worker().drain()
        entry = entries_of(rig.parts.settings)["clean"]
        assert perform_now(rig.parts, entry) == (FireOutcome.COMPLETED, "1 job(s) deleted")
        (fire,) = fires(store)
        assert (fire.outcome, fire.message, fire.claims) == ("completed", "1 job(s) deleted", 1)
        assert fire.leased_until is None
        assert jobs(store) == []

    @SQLITE
    def test_only_one_at_a_time(
        self, store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig = rig_with(store, tmp_path, chore("slow", "slow"))
        entry = entries_of(rig.parts.settings)["slow"]

        def inside(*_: Any) -> str:
            with pytest.raises(UsageError, match="waits or runs already"):
                perform_now(rig.parts, entry)
            return "done"

        monkeypatch.setattr(chores, "CHORES", {"slow": Chore(inside, {"days": (lambda _: True, "any")})})
        assert perform_now(rig.parts, entry) == (FireOutcome.COMPLETED, "done")


@pytest.fixture
def slow_chore(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """An operation that goes on, step by step, until `go` is set."""
    state: dict[str, Any] = {"go": threading.Event(), "steps": 0, "began": 0, "error": None}

    def run(_parts: Any, _options: Any, progress: Any) -> str:
        state["began"] += 1
        while not state["go"].is_set():
            state["steps"] += 1
            progress(1)
            time.sleep(0.005)
        if state["error"] is not None:
            raise state["error"]
        return "done"

    monkeypatch.setattr(
        chores, "CHORES", {**chores.CHORES, "slow": Chore(run, {"days": (lambda _: True, "any")})}
    )
    yield state
    state["go"].set()


def waiting(store: Database, root: Path, **settings: Any) -> tuple[Rig, Clock, Timetable]:
    """An operation that has just been fired, and runs."""
    rig, clock = rig_with(store, root, chore("slow", "slow"), **settings), Clock()
    table = timetable(rig, clock)
    clock.move(minutes=1)
    table.run_once()
    return rig, clock, table


def outcome(store: Database) -> str:
    return str(fires(store)[0].outcome)


class TestOperations:
    @KINDS
    def test_beside_the_sweeps(self, store: Database, tmp_path: Path, slow_chore: dict[str, Any]) -> None:
        _rig, clock, table = waiting(store, tmp_path)
        wait_until(lambda: slow_chore["steps"] > 3)
        assert outcome(store) == "running"
        clock.move(minutes=1)
        table.run_once()  # does not wait for it
        assert [fire.outcome for fire in fires(store)] == ["running", "skipped"]
        slow_chore["go"].set()
        wait_until(lambda: not table.housekeeper.busy)
        (first, second) = fires(store)
        assert (first.outcome, first.message, second.outcome) == ("completed", "done", "skipped")
        assert slow_chore["began"] == 1

    @SQLITE
    @pytest.mark.parametrize("error", [ValueError("boom"), UsageError("no")], ids=str)
    def test_a_failure(
        self, store: Database, tmp_path: Path, slow_chore: dict[str, Any], error: Exception
    ) -> None:
        slow_chore["error"] = error
        slow_chore["go"].set()
        _rig, clock, table = waiting(store, tmp_path)
        wait_until(lambda: not table.housekeeper.busy)
        (fire,) = fires(store)
        assert fire.outcome == "failed"
        assert str(error) in fire.message
        clock.move(minutes=1)
        table.run_once()
        assert len(fires(store)) == 2, "the next time is a new one"

    @KINDS
    def test_a_crash_leaves_it_to_somebody_else(
        self, store: Database, tmp_path: Path, slow_chore: dict[str, Any]
    ) -> None:
        rig, _clock, _table = waiting(store, tmp_path, lease=0.3, heartbeat=0.05, sweep=0.05)
        wait_until(lambda: slow_chore["steps"] > 3)
        # Nobody renews the lease any more: for everybody else that is a crash.
        assert claim(rig.parts, ["slow"]) is None, "it is believed for a lease"
        fire = wait_until(lambda: claim(rig.parts, ["slow"]), 5)
        assert fire.claims == 2
        slow_chore["go"].set()
        entry = entries_of(rig.parts.settings)["slow"]
        assert perform(rig.parts, entry, fire, lambda _: None) == (FireOutcome.COMPLETED, "done")
        (row,) = fires(store)
        assert (row.outcome, row.holder) == ("completed", fire.holder), "the frozen one's end is refused"

    @SQLITE
    def test_who_lost_it_stops(self, store: Database, tmp_path: Path, slow_chore: dict[str, Any]) -> None:
        _rig, _clock, table = waiting(store, tmp_path, lease=0.3, heartbeat=0.05, sweep=0.05)
        wait_until(lambda: slow_chore["steps"] > 3)
        with store.transaction() as connection:
            connection.execute(SCHEDULE_FIRES.update().values(holder="another"))
        time.sleep(0.15)
        table.housekeeper.run_once()
        wait_until(lambda: not table.housekeeper.busy)
        assert (outcome(store), fires(store)[0].holder) == ("running", "another")

    @SQLITE
    def test_the_lease_is_renewed(self, store: Database, tmp_path: Path, slow_chore: dict[str, Any]) -> None:
        rig, _clock, table = waiting(store, tmp_path, lease=0.3, heartbeat=0.05, sweep=0.05)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            table.housekeeper.run_once()
            assert claim(rig.parts, ["slow"]) is None
            time.sleep(0.02)
        assert table.housekeeper.busy

    @SQLITE
    def test_stopped_it_goes_back_unharmed(
        self, store: Database, tmp_path: Path, slow_chore: dict[str, Any]
    ) -> None:
        rig, _clock, table = waiting(store, tmp_path)
        wait_until(lambda: slow_chore["steps"] > 3)
        table.housekeeper.close()
        (fire,) = fires(store)
        assert (fire.outcome, fire.claims, fire.holder) == ("waiting", 0, None)
        slow_chore["go"].set()
        other = Housekeeper(rig.parts, entries_of(rig.parts.settings))
        other.run_once()
        wait_until(lambda: not other.busy)
        assert outcome(store) == "completed"

    @SQLITE
    def test_one_that_kills_its_processes_is_given_up(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, chore(), lease=0.05, heartbeat=0.01, sweep=0.01), Clock()
        adopt_at(rig, clock)
        clock.move(minutes=1)
        entry = entries_of(rig.parts.settings)["clean"]
        fire_due(rig.parts, entry, None, clock)
        for number in range(1, housekeeping.BEGINNINGS + 1):
            assert wait_until(lambda: claim(rig.parts, ["clean"]), 5).claims == number
        time.sleep(0.1)
        assert claim(rig.parts, ["clean"]) is None
        (fire,) = fires(store)
        assert (fire.outcome, fire.message) == ("failed", "its process died 4 times")

    @SQLITE
    def test_old_rows_go_but_for_the_last(self, store: Database, tmp_path: Path) -> None:
        rig, clock = rig_with(store, tmp_path, every(), every("other")), Clock()
        table = timetable(rig, clock)
        for _ in range(3):
            clock.move(minutes=1)
            table.run_once()
        with store.transaction() as connection:
            connection.execute(SCHEDULE_FIRES.update().values(created_at=BEGIN - timedelta(days=4000)))
        assert housekeeping.tidy(rig.parts) == 4
        assert times(store) == minutes(3, 3)

    @pytest.mark.parametrize(
        ("name", "options", "said"),
        [
            ("prun", {}, "there is no operation 'prun'; did you mean 'prune'"),
            ("prune", {}, "needs the option `days`"),
            ("prune", {"days": "many"}, "days: expected a number of days"),
            ("prune", {"days": True}, "days: expected"),
            ("prune", {"days": 1, "unfinishd": True}, "has no option 'unfinishd'; did you mean 'unfinished'"),
            ("flush", {"hours": -1}, "hours: expected"),
            ("snapshot", {"days": 1}, "has no option 'days'"),
        ],
    )
    def test_options(self, name: str, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            check_chore(name, options)

    @SQLITE
    @pytest.mark.parametrize("name", sorted(chores.CHORES))
    def test_each_can_be_run(self, store: Database, tmp_path: Path, name: str) -> None:
        options = {"prune": {"days": 1}, "flush": {"hours": 1}}.get(name, {})
        given = {"name": "it", "every": 60.0, "timezone": "UTC", "operation": name, "options": options}
        rig = rig_with(store, tmp_path, given)
        done, said = perform_now(rig.parts, entries_of(rig.parts.settings)["it"])
        assert done == FireOutcome.COMPLETED
        assert said.startswith("0 ")


@SQLITE
def test_all_faults_at_once(store: Database, tmp_path: Path) -> None:
    entries = (
        every("a", job="helo"),
        every("b", attribs={"nme": 1}),
        every("c", attribs={"count": "x"}),
        chore("d", "prune", day=1),
        every("e"),
    )
    rig = rig_with(store, tmp_path, *entries)
    with pytest.raises(ConfigurationError) as caught:
        check_schedule(rig.parts)
    lines = caught.value.message.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["a", "b", "c", "d"]
    assert [each.fault is None for each in look(rig.parts)] == [False, False, False, False, True]


@SQLITE
def test_three_schedulers_over_400_days_in_six_zones(store: Database, tmp_path: Path) -> None:
    """Against the oracle: each time once, none besides, whoever of the three looks first."""
    from cron_oracle import fires_between

    zones = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Taipei")
    expressions = ("30 2 * * *", "*/45 1-3 * * SUN")
    entries = [
        cron(expression, zone, f"{zone.rpartition('/')[2]}-{number}", catch_up="all")
        for zone in zones
        for number, expression in enumerate(expressions)
    ]
    event.listen(store.engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA synchronous = OFF"))
    store.close()
    rig, clock = rig_with(store, tmp_path, *entries), Clock(BEGIN)
    adopt_at(rig, clock)
    tables = [Timetable(rig.parts, clock, clock.steady) for _ in range(3)]
    end = BEGIN + timedelta(days=400)
    turns = itertools.cycle([(0,), (1, 0), (2,), (0, 1, 2), (), (2, 1)])
    while clock.now < end:
        clock.move(hours=31, minutes=13)
        for number in next(turns):
            tables[number].run_once()
    for table in tables:
        table.run_once()
    found: dict[str, list[datetime]] = {}
    for fire in fires(store):
        found.setdefault(fire.name, []).append(fire.fire_at)
    for entry in entries:
        expected = fires_between(entry["cron"], entry["timezone"], BEGIN, clock.now)
        assert found[entry["name"]] == expected, entry
    assert len(jobs(store)) == len(fires(store))


RACER = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from rig import Rig
from jobman_cli.runtime.timetable import Timetable
from jobman_cli.store.database import Database
entries = tuple(
    {"name": f"e{n}", "every": 1.0, "timezone": "UTC", "job": "noop", "catch_up": "all"} for n in range(4)
)
rig = Rig(Database(sys.argv[1]), "database", Path(sys.argv[2]), schedule=entries)
table = Timetable(rig.parts)
table.run_once()
print("ready", flush=True)
until = time.monotonic() + 5
while time.monotonic() < until:
    table.run_once()
    time.sleep(0.002)
"""


@pytest.mark.parametrize("store", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_three_processes_race(store: Database, tmp_path: Path) -> None:
    url = store.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", RACER, url, str(tmp_path), str(Path(__file__).parent.parent)]
    racers = [
        spawn(command, env=jobman_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for racer in racers:
        _, said = racer.communicate(timeout=60)
        assert racer.returncode == 0, said.decode()
    rows = fires(store)
    by_name = Counter(row.name for row in rows)
    assert set(by_name) == {"e0", "e1", "e2", "e3"}
    for name in by_name:
        moments = times(store, name)
        steps = {later - earlier for earlier, later in itertools.pairwise(moments)}
        assert steps == {timedelta(seconds=1)}, "none twice, none left out"
    assert sorted(row.jobman_id for row in rows) == [job.id for job in jobs(store)]
