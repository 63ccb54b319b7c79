"""Dispatches of several threads: they share an INSERT and a push, and nothing else."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from processes import wait_until
from rig import Rig, count_jobs, counted_commits, row_of
from sqlalchemy.exc import DataError
from threads import Threads

from jobman_cli.errors import QueueUnavailable, StoreUnavailable
from jobman_cli.operations import dispatch as module
from jobman_cli.operations import group_commit
from jobman_cli.operations.dispatch import GROUP_SIZE, dispatch
from jobman_cli.operations.group_commit import SIDE_BY_SIDE, GroupCommit, Pace
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.request import Options, new_job
from jobman_cli.store.tables import Job

ONE = pytest.mark.parametrize(("store", "rig"), [("sqlite", "redis")], indirect=True, ids=["sqlite-redis"])
SERVERS = pytest.mark.parametrize(
    ("store", "rig"),
    [("postgresql", "redis"), ("mariadb", "redis")],
    indirect=True,
    ids=["postgresql", "mariadb"],
)
FEW = 2


class Crowd:
    """Holds up dispatches that come alone, until `go`: whoever comes then meets the others in one group.

    Nobody is in haste, so nothing depends on how slow this machine is.
    """

    def __init__(self, parts: Parts, patch: pytest.MonkeyPatch) -> None:
        self.parts, self._door = parts, threading.Event()
        object.__setattr__(parts, "group", GroupCommit(Pace(FEW, groups=1)))
        self._pool = Threads()
        self.ahead: list[Future[Job]] = []
        self.held = 0
        self.calls: list[Future[Job]] = []
        insert = module.insert_row

        def held_up(*arguments: Any) -> Any:
            self.held += 1
            assert self._door.wait(20)
            return insert(*arguments)

        patch.setattr(module, "insert_row", held_up)
        self._led: set[Any] = set()

    def _waiting(self) -> int:
        return sum(len(line.waiting) for line in list(self.parts.group._state.lines.values()))

    def _lead(self, name: str, attribs: Any, options: Options) -> None:
        """Have dispatches of this kind under way, so that others have to wait."""
        kind = new_job(self.parts.registry.find(name), options)
        lines = self.parts.group._state.lines
        for number in range(0 if kind in self._led else FEW):
            self.ahead.append(self._pool.submit(dispatch, self.parts, name, attribs, options))
            wait_until(
                lambda n=number: kind in lines and len(lines[kind].under_way) == n + 1, 5, "it to begin"
            )
        self._led.add(kind)

    def dispatch(self, name: str, attribs: Any = None, **options: Any) -> Future[Job]:
        given = Options(**options)
        self._lead(name, attribs, given)
        seen = self._waiting()
        call = self._pool.submit(dispatch, self.parts, name, attribs, given)
        wait_until(lambda: self._waiting() == seen + 1, 5, "the dispatch to wait")
        self.calls.append(call)
        return call

    def go(self) -> list[Job]:
        """Let them all be written; the jobs of the group."""
        self._door.set()
        assert all(call.result(20).id for call in self.ahead)
        return [call.result(20) for call in self.calls if call.exception(20) is None]


@pytest.fixture
def make_crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Parts], Crowd]]:
    monkeypatch.setattr(group_commit, "PATIENCE", 60.0)
    yield lambda parts: Crowd(parts, monkeypatch)


def test_each_gets_its_own_row(rig: Rig, make_crowd: Any) -> None:
    """Whatever they ask for; what they are given is what the table has."""
    crowd = make_crowd(rig.parts)
    asked: list[dict[str, Any]] = [
        *({"name": "hello", "attribs": {"name": f"word {n}"}} for n in range(5)),
        {"name": "hello", "attribs": {"name": "later"}, "delay": 60.0},
        {"name": "hello", "attribs": {"name": "first"}, "priority": 7, "tags": ["a", "b"]},
        *({"name": "noop", "queue": "other"} for _ in range(3)),
        {"name": "hello", "attribs": {"name": "x" * (GROUP_SIZE - 30)}},
    ]
    for each in asked:
        crowd.dispatch(**each)
    jobs = crowd.go()
    assert len({job.id for job in jobs}) == len(asked) == count_jobs(rig.store) - len(crowd.ahead)
    for job, each in zip(jobs, asked, strict=True):
        row = row_of(rig.store, job.id)
        defaults = {"count": 1} if each["name"] == "hello" else {}
        assert (row.type, row.attribs) == (each["name"], defaults | each.get("attribs", {}))
        assert (row.queue, row.priority) == (each.get("queue", "default"), each.get("priority", 0))
        assert row.status == ("scheduled" if "delay" in each else "queued")
        given = {name: getattr(job, name) for name in Job.model_fields}
        assert given == {name: getattr(row, name) for name in Job.model_fields}
    if rig.engine.name == "redis":
        assert rig.engine.size("other") == 3 + FEW
        assert rig.engine.size("default") == len(asked) - 4 + 2 * FEW


def test_they_share_a_commit_and_a_push(rig: Rig, make_crowd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pushes: list[int] = []
    push = rig.engine.push
    monkeypatch.setattr(rig.engine, "push", lambda rows: (pushes.append(len(rows)), push(rows))[1])
    with counted_commits(rig.store) as commits:
        crowd = make_crowd(rig.parts)
        for number in range(10):
            crowd.dispatch("hello", {"name": str(number)})
        assert len(crowd.go()) == 10
    assert sorted(pushes) == [*[1] * FEW, 10]
    assert len(commits) == FEW + 1


def test_the_queue_away(rig: Rig, make_crowd: Any) -> None:
    class Away:
        name = "redis"

        def push(self, rows: Any) -> None:
            raise QueueUnavailable("away")

    crowd = make_crowd(replace(rig.parts, engine=Away()))
    for _ in range(4):
        crowd.dispatch("noop")
    later = crowd.dispatch("noop", delay=60.0)
    jobs = crowd.go()
    assert [job.status for job in jobs] == [*["pending"] * 4, "scheduled"]
    assert [row_of(rig.store, job.id).status for job in jobs] == [*["pending"] * 4, "scheduled"]
    assert later.result().status == "scheduled"


@ONE
def test_a_frozen_queue_holds_nobody_up_for_longer_than_his_own_push(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for one push that is given up, not for those before it, too."""

    def frozen(_rows: Any) -> None:
        time.sleep(0.7)  # as long as a push waits for an answer
        raise QueueUnavailable("no answer")

    monkeypatch.setattr(rig.engine, "push", frozen)
    took: list[float] = []

    def work(_: int) -> None:
        began = time.monotonic()
        rig.dispatch("noop")
        took.append(time.monotonic() - began)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    assert len(took) == 12 and max(took) < 1.3


@ONE
def test_a_log_that_dispatches(rig: Rig) -> None:
    """A handler holds its lock while it does; those whom it waits for must not want it."""

    class Away:
        name = "redis"

        def push(self, rows: Any) -> None:
            raise QueueUnavailable("away")

    parts = replace(rig.parts, engine=Away())
    own = threading.local()

    class Mail(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not getattr(own, "busy", False):
                own.busy = True
                dispatch(parts, "noop")
                own.busy = False

    handler, logger = Mail(), logging.getLogger("jobman.dispatch")
    application = logging.getLogger("application")

    def work(_: int) -> None:
        for _ in range(5):
            dispatch(parts, "noop")
            application.warning("something else")

    for each in (logger, application):
        each.addHandler(handler)
    try:
        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        for each in (logger, application):
            each.removeHandler(handler)
    assert count_jobs(rig.store) == 8 * 5 * 3


@ONE
def test_the_database_away(rig: Rig, make_crowd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody hears of it, by an error of his own."""
    crowd = make_crowd(rig.parts)

    def away(*_: Any) -> Any:
        raise StoreUnavailable("away", hint="Wait.")

    monkeypatch.setattr(module, "insert_rows", away)
    calls = [crowd.dispatch("noop") for _ in range(3)]
    assert crowd.go() == []
    errors = [call.exception() for call in calls]
    assert [(type(e), e.message, e.hint) for e in errors] == [(StoreUnavailable, "away", "Wait.")] * 3
    assert len(set(map(id, errors))) == 3
    assert count_jobs(rig.store) == FEW


@ONE
def test_what_the_database_refuses_harms_nobody_else(
    rig: Rig, make_crowd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does its caller see their attribs in his traceback."""
    crowd = make_crowd(rig.parts)
    pushes: list[int] = []
    push = rig.engine.push
    monkeypatch.setattr(rig.engine, "push", lambda rows: (pushes.append(len(rows)), push(rows))[1])
    held_up, some = module.insert_row, module.insert_rows

    def refuse(connection: Any, dialect: Any, new: Any, texts: Any, *more: Any) -> Any:
        if any("bad" in text for text in ([texts] if isinstance(texts, str) else texts)):
            try:
                int("no number")
            except ValueError as error:
                raise DataError("INSERT", {}, Exception("too long")) from error
        return (held_up if isinstance(texts, str) else some)(connection, dialect, new, texts, *more)

    monkeypatch.setattr(module, "insert_rows", refuse)
    monkeypatch.setattr(module, "insert_row", refuse)
    good, bad = crowd.dispatch("hello", {"name": "good"}), crowd.dispatch("hello", {"name": "bad"})
    better, other = crowd.dispatch("hello", {"name": "good, too"}), crowd.dispatch("noop")
    assert [job.id for job in crowd.go()] == [each.result().id for each in (good, better, other)]
    error = bad.exception()
    assert isinstance(error, DataError)
    shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    assert "bad" in (text := "".join(shown)) and "good" not in text
    assert "_attempt" not in text and error.__cause__.__traceback__ is None  # no frame of whoever led is kept
    assert sorted(pushes) == [*[1] * len(crowd.ahead), 1, 2]  # what was written goes in one push
    assert count_jobs(rig.store) == len(crowd.ahead) + 3


@SERVERS
def test_who_comes_does_not_wait_for_a_slow_commit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many write at a time."""
    door, pool = threading.Event(), Threads()
    insert, held = module.insert_row, [True] * SIDE_BY_SIDE.few

    def slow(*arguments: Any) -> Any:
        if held:
            held.pop()
            assert door.wait(20)
        return insert(*arguments)

    monkeypatch.setattr(group_commit, "PATIENCE", 60.0)
    monkeypatch.setattr(module, "insert_row", slow)
    ahead = [pool.submit(rig.dispatch, "noop") for _ in range(SIDE_BY_SIDE.few)]
    wait_until(lambda: not held, 5, "all that go by themselves")
    rest = [pool.submit(rig.dispatch, "noop") for _ in range(6)]
    assert len({call.result(20) for call in rest}) == 6 == count_jobs(rig.store)
    assert not any(call.done() for call in ahead)
    door.set()
    assert len({call.result(20) for call in ahead}) == SIDE_BY_SIDE.few


@ONE
def test_where_one_writes_at_a_time_nobody_begins_beside_him(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would only wait for the file's lock; so they are written together when he has done."""
    door, pool, begun = threading.Event(), Threads(), []
    insert = module.insert_row

    def slow(*arguments: Any) -> Any:
        begun.append(arguments)
        assert door.wait(20)
        return insert(*arguments)

    monkeypatch.setattr(group_commit, "PATIENCE", 60.0)
    monkeypatch.setattr(module, "insert_row", slow)
    lines = rig.parts.group._state.lines
    calls = [pool.submit(rig.dispatch, "noop") for _ in range(7)]
    wait_until(lambda: begun and sum(len(line.waiting) for line in lines.values()) == 6, 5, "all to be there")
    time.sleep(0.05)  # past the haste of all that wait: one of them would have begun, if it might
    assert len(begun) == 1 and count_jobs(rig.store) == 0
    door.set()
    assert len({call.result(20) for call in calls}) == 7 == count_jobs(rig.store)
    assert len(begun) == 1


@pytest.mark.parametrize(("store", "rig"), [("postgresql", "redis")], indirect=True, ids=["postgresql-redis"])
def test_large_attribs_wait_for_nobody(rig: Rig, make_crowd: Any) -> None:
    """A group of them might be more than a database takes in one statement."""
    crowd = make_crowd(rig.parts)
    waiting = crowd.dispatch("hello", {"name": "small"})
    large = crowd._pool.submit(dispatch, rig.parts, "hello", {"name": "x" * GROUP_SIZE})
    wait_until(lambda: crowd.held == FEW + 1, 5, "the dispatch to be written beside those ahead")
    assert crowd._waiting() == 1
    assert [job.id for job in crowd.go()] == [waiting.result().id]
    assert large.result(20).attribs["name"] == "x" * GROUP_SIZE


def test_a_crowd(rig: Rig) -> None:
    """Sixteen threads at once: no job is missing, doubled or another's."""

    def work(thread: int) -> list[tuple[str, int]]:
        words = [f"{thread}-{number}" for number in range(20)]
        return [(word, rig.dispatch("hello", {"name": word})) for word in words]

    with ThreadPoolExecutor(16) as pool:
        found = [each for some in pool.map(work, range(16)) for each in some]
    assert len({job_id for _, job_id in found}) == 320 == count_jobs(rig.store)
    assert all(row_of(rig.store, job_id).attribs["name"] == word for word, job_id in found[::13])
    if rig.engine.name == "redis":
        assert rig.engine.size("default") == 320
