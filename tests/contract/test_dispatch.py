"""Dispatch: the row first, one commit, then the push; and the caller's own transaction."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, add_worker, count_jobs, counted_commits, row_of, statuses
from servers import HOST, RedisServer, free_port
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from jobman_cli.app import Jobman
from jobman_cli.errors import (
    InvalidAttribs,
    InvalidOption,
    QueueUnavailable,
    StoreUnavailable,
    UnknownJobType,
    UsageError,
)
from jobman_cli.operations import dispatch as module
from jobman_cli.operations.dispatch import dispatch, dispatch_many, push
from jobman_cli.operations.line import promote, push_pending
from jobman_cli.operations.request import Options
from jobman_cli.settings import Settings
from jobman_cli.store.lifecycle.claim import claim_ids
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.tables import JOBS

ONE = pytest.mark.parametrize(("store", "rig"), [("sqlite", "redis")], indirect=True, ids=["sqlite-redis"])
EACH = pytest.mark.parametrize(
    ("store", "rig"),
    [("sqlite", "redis"), ("postgresql", "redis"), ("mariadb", "redis")],
    indirect=True,
    ids=["sqlite", "postgresql", "mariadb"],
)


def in_line(rig: Rig, queue: str = "default") -> int:
    return int(rig.engine.size(queue) or 0)


@pytest.fixture
def pushed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ids of each push, and how many rows were committed by then."""
    seen: list[list[int]] = []
    push = rig.engine.push

    def spy(rows: Any) -> None:
        for row in rows:
            row_of(rig.store, row.id)  # another connection sees it: it was committed before
        seen.append([row.id for row in rows])
        push(rows)

    monkeypatch.setattr(rig.engine, "push", spy)
    return seen


class Away:
    """An engine that cannot be reached."""

    name = "redis"

    def push(self, rows: Any) -> None:
        raise QueueUnavailable("away")


def without_queue(rig: Rig) -> Any:
    return replace(rig.parts, engine=Away())


class TestOne:
    def test_the_row_then_the_push(self, rig: Rig, pushed: list[list[int]]) -> None:
        with counted_commits(rig.store) as commits:
            job = dispatch(rig.parts, "hello", {"name": "Ada"})
        assert len(commits) == 1
        assert pushed == [[job.id]]
        row = rig.row(job.id)
        assert row.attribs == {"name": "Ada", "count": 1}, "defaults are stored"
        assert (row.status, row.type, row.queue, row.tries) == ("queued", "hello", "default", 1)
        assert job.status == "queued"
        assert in_line(rig) == (1 if rig.engine.name == "redis" else 0)

    def test_the_job_types_options_and_the_dispatchs_own(self, rig: Rig) -> None:
        own = Options(queue="mail", priority=-7, tags=["b", "a", "b"])
        row = rig.row(dispatch(rig.parts, "boom", None, own).id)
        assert (row.queue, row.priority, row.tags, row.tries) == ("mail", -7, ["b", "a"], 2)

    @EACH
    @pytest.mark.parametrize("delay", [30, 0.5, timedelta(minutes=2)], ids=str)
    def test_a_delay(self, rig: Rig, pushed: list[list[int]], delay: Any) -> None:
        job = dispatch(rig.parts, "noop", None, Options(delay=delay))
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        row = rig.row(job.id)
        assert (job.status, row.status) == ("scheduled", "scheduled")
        assert abs((row.available_at - row.created_at).total_seconds() - seconds) < 1
        assert pushed == []

    @ONE
    def test_a_delay_of_nothing_is_none(self, rig: Rig) -> None:
        for delay in (0, 0.0, timedelta(0)):
            assert dispatch(rig.parts, "noop", None, Options(delay=delay)).status == "queued"

    @EACH
    def test_what_is_due_goes_to_its_line(self, rig: Rig) -> None:
        job = dispatch(rig.parts, "noop", None, Options(delay=0.05))
        time.sleep(0.06)
        assert promote(rig.parts) == 1
        assert rig.row(job.id).status == "queued"
        assert in_line(rig) == 1

    @ONE
    @pytest.mark.parametrize(
        "options",
        [
            {"queue": ""},
            {"queue": "a b"},
            {"queue": "x" * 65},
            {"queue": "line\n"},
            {"queue": 5},
            {"priority": 1001},
            {"priority": -1001},
            {"priority": 1.0},
            {"priority": True},
            {"priority": "1"},
            {"delay": -1},
            {"delay": math.nan},
            {"delay": math.inf},
            {"delay": 366 * 86400 + 1},
            {"delay": True},
            {"delay": "30"},
            {"tags": [""]},
            {"tags": ["x" * 101]},
            {"tags": ["a\nb"]},
            {"tags": ["\ud800"]},
            {"tags": [5]},
            {"tags": "abc"},
            {"tags": 5},
            {"tags": [str(number) for number in range(21)]},
        ],
        ids=repr,
    )
    def test_options_out_of_bounds(self, rig: Rig, options: dict[str, Any]) -> None:
        """Nothing was written, and the message names the option."""
        (name,) = options
        with pytest.raises(InvalidOption, match=name):
            dispatch(rig.parts, "noop", None, Options(**options))
        assert count_jobs(rig.store) == 0

    @ONE
    @pytest.mark.parametrize("priority", [-1000, 0, 1000])
    def test_the_bounds_themselves_are_allowed(self, rig: Rig, priority: int) -> None:
        own = Options("x" * 64, priority, 366 * 86400, [str(number).rjust(100) for number in range(20)])
        assert len(rig.row(dispatch(rig.parts, "noop", None, own).id).tags) == 20

    @ONE
    def test_attribs_that_do_not_fit(self, rig: Rig) -> None:
        for attribs, said in (({"nam": "x"}, "nam"), ({"count": "many"}, "count"), ([1], "object")):
            with pytest.raises(InvalidAttribs, match=said):
                dispatch(rig.parts, "hello", attribs)  # type: ignore[arg-type]
        with pytest.raises(UnknownJobType, match="did you mean 'hello'"):
            dispatch(rig.parts, "helo", {})
        assert count_jobs(rig.store) == 0

    @EACH
    def test_the_size_limit_counts_bytes(self, rig: Rig) -> None:
        most = rig.parts.settings.max_attribs_bytes
        frame = len('{"name":"","count":1}')
        dispatch(rig.parts, "hello", {"name": "ü" * ((most - frame) // 2)})
        with pytest.raises(InvalidAttribs, match="more than 1,048,576"):
            dispatch(rig.parts, "hello", {"name": "ü" * (most // 2)})
        assert count_jobs(rig.store) == 1


class TestQueueAway:
    @ONE
    def test_the_row_stays_pending(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            job = dispatch(without_queue(rig), "noop")
        assert (job.status, rig.row(job.id).status) == ("pending", "pending")
        assert "stay pending" in caplog.text
        assert push_pending(rig.parts) == 1
        assert rig.row(job.id).status == "queued"
        assert in_line(rig) == 1
        assert push_pending(rig.parts) == 0

    @pytest.mark.parametrize("trouble", ["refused", "frozen"])
    def test_within_a_second(
        self, sqlite_url: str, tmp_path: Path, redis_server: RedisServer, trouble: str
    ) -> None:
        redis_server.ensure_running()
        url = f"redis://{HOST}:{free_port()}/0" if trouble == "refused" else redis_server.url
        (tmp_path / "one_job.py").write_text(
            "from jobman_cli import job\n\n@job('one')\ndef one() -> None:\n    pass\n"
        )
        settings = Settings(root=tmp_path, database=sqlite_url, queue=url, modules=("one_job",))
        jobman = Jobman(settings)
        jobman.dispatch("one", delay=10)  # the tables are made, the model is built
        if trouble == "frozen":
            redis_server.freeze()
        try:
            for _ in range(2):
                began = time.monotonic()
                job = jobman.dispatch("one")
                assert time.monotonic() - began < 1.0
                assert job.status == "pending"
        finally:
            redis_server.thaw()
        job = asyncio.run(jobman.adispatch("one"))
        assert jobman.wait(job, timeout=0).status == ("pending" if trouble == "refused" else "queued")
        jobman.close()

    @ONE
    def test_a_push_that_arrived_after_all(self, rig: Rig) -> None:
        """What was claimed meanwhile is not pending, whatever the push said."""
        worker = add_worker(rig.store)

        class Late(Away):
            def push(self, rows: Any) -> None:
                rig.store.run(claim_ids, worker, [row.id for row in rows])
                raise QueueUnavailable("the answer was lost")

        job = dispatch(replace(rig.parts, engine=Late()), "noop")
        assert rig.row(job.id).status == "running"

    @ONE
    def test_both_away(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """The row is there; reconcile will find it."""
        parts = without_queue(rig)
        job = dispatch(rig.parts, "noop", None, Options(delay=5))

        def away(*_: Any) -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr(type(rig.store), "run", away)
        assert push(parts, [InLine(int(job.id or 0), "default", 1)]) is False


class TestMany:
    def test_over_a_generator(
        self, rig: Rig, pushed: list[list[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "BATCH", 100)
        with counted_commits(rig.store) as commits:
            ids = dispatch_many(rig.parts, "hello", ({"name": str(n)} for n in range(250)))
        assert len(commits) == 3
        assert [len(each) for each in pushed] == [100, 100, 50]
        assert [row_of(rig.store, ids[n]).attribs["name"] for n in (0, 99, 100, 249)] == [
            "0",
            "99",
            "100",
            "249",
        ]
        assert list(ids) == sorted(set(ids))
        assert count_jobs(rig.store) == 250
        assert in_line(rig) == (250 if rig.engine.name == "redis" else 0)

    @ONE
    def test_nothing(self, rig: Rig) -> None:
        assert list(dispatch_many(rig.parts, "hello", [])) == []
        assert list(dispatch_many(rig.parts, "hello", iter(()))) == []

    @ONE
    def test_one_mapping_is_a_mistake(self, rig: Rig) -> None:
        with pytest.raises(UsageError, match="not one"):
            dispatch_many(rig.parts, "hello", {"name": "x"})  # type: ignore[arg-type]

    @ONE
    def test_an_error_names_the_item(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """And how many were dispatched: whole batches before its own."""
        monkeypatch.setattr(module, "BATCH", 10)
        bad = [{"name": "x"}] * 25 + [{"count": "many"}] + [{}] * 10
        with pytest.raises(InvalidAttribs, match=r"number 25 \(from 0\).*count.*20 were dispatched"):
            dispatch_many(rig.parts, "hello", bad)
        assert count_jobs(rig.store) == 20
        with pytest.raises(InvalidAttribs, match=r"number 1 .*object"):
            dispatch_many(rig.parts, "hello", [{}, 5])  # type: ignore[list-item]

    @EACH
    def test_with_options(self, rig: Rig) -> None:
        ids = dispatch_many(rig.parts, "noop", [{}] * 3, Options("mail", 3, 60, ["t"]))
        for job_id in ids:
            row = rig.row(job_id)
            assert (row.queue, row.priority, row.status, row.tags) == ("mail", 3, "scheduled", ["t"])

    @EACH
    def test_large_attribs_go_in_smaller_batches(self, rig: Rig) -> None:
        """A server takes so many bytes in one statement (MariaDB: 16 MiB)."""
        ids = dispatch_many(rig.parts, "hello", ({"name": f"{n}" + '"' * 500_000} for n in range(20)))
        assert len(rig.row(ids[19]).attribs["name"]) == 500_002

    @ONE
    def test_the_queue_away(self, rig: Rig) -> None:
        ids = dispatch_many(without_queue(rig), "noop", [{}] * 5)
        assert statuses(rig.store, list(ids)) == ["pending"] * 5
        assert push_pending(rig.parts) == 5


@EACH
class TestSession:
    @pytest.fixture(params=["our engine", "the application's engine", "a driver with other placeholders"])
    def session(self, rig: Rig, request: pytest.FixtureRequest) -> Iterator[Session]:
        if request.param == "our engine":
            with Session(rig.store.engine) as session:
                yield session
            return
        other = (
            {"paramstyle": "format"}
            if "driver" in request.param and rig.store.dialect.name != "sqlite"
            else {}
        )
        engine = create_engine(rig.store.url, **other)
        with Session(engine) as session:
            yield session
        engine.dispose()

    def test_commit(self, rig: Rig, session: Session, pushed: list[list[int]]) -> None:
        job = dispatch(rig.parts, "hello", {"name": "Ada"}, session=session)
        ids = dispatch_many(rig.parts, "noop", [{}] * 3, session=session)
        assert pushed == []
        assert session.execute(select(func.count()).select_from(JOBS)).scalar_one() == 4
        session.commit()
        assert pushed == [[job.id, *ids]], "after the commit, in one push"
        row = rig.row(job.id)
        assert (row.status, row.attribs["name"], row.created_at) == ("queued", "Ada", job.created_at)
        session.commit()
        assert len(pushed) == 1, "and once"

    def test_a_session_lives_on(self, rig: Rig, session: Session, pushed: list[list[int]]) -> None:
        for number in range(3):
            dispatch(rig.parts, "noop", session=session)
            session.commit()
            assert len(pushed) == number + 1
        dispatch(rig.parts, "noop", None, Options(delay=60), session=session)
        session.commit()
        assert len(pushed) == 3

    def test_rollback(self, rig: Rig, session: Session, pushed: list[list[int]]) -> None:
        dispatch(rig.parts, "noop", session=session)
        session.rollback()
        kept = dispatch(rig.parts, "noop", session=session)
        session.commit()
        assert pushed == [[kept.id]]
        assert count_jobs(rig.store) == 1

    def test_close_without_a_commit(self, rig: Rig, session: Session, pushed: list[list[int]]) -> None:
        dispatch(rig.parts, "noop", session=session)
        session.close()
        kept = dispatch(rig.parts, "noop", session=session)
        session.commit()
        assert pushed == [[kept.id]]
        assert count_jobs(rig.store) == 1

    def test_a_savepoint_that_is_released(self, rig: Rig, session: Session, pushed: list[list[int]]) -> None:
        outer = dispatch(rig.parts, "noop", session=session)
        with session.begin_nested():
            inner = dispatch(rig.parts, "noop", session=session)
        assert pushed == [], "a savepoint's release is no commit"
        session.commit()
        assert pushed == [[outer.id, inner.id]]

    def test_a_savepoint_that_is_rolled_back(
        self, rig: Rig, session: Session, pushed: list[list[int]]
    ) -> None:
        outer = dispatch(rig.parts, "noop", session=session)
        with session.begin_nested() as savepoint:
            dispatch(rig.parts, "noop", session=session)
            with session.begin_nested():
                dispatch(rig.parts, "noop", session=session)
            savepoint.rollback()
        after = dispatch(rig.parts, "noop", session=session)
        session.commit()
        assert pushed == [[outer.id, after.id]]
        assert count_jobs(rig.store) == 2

    def test_an_error_in_the_block(self, rig: Rig, session: Session, pushed: list[list[int]]) -> None:
        with pytest.raises(ZeroDivisionError), session.begin():
            dispatch(rig.parts, "noop", session=session)
            1 / 0  # noqa: B018
        session.commit()
        assert pushed == []
        assert count_jobs(rig.store) == 0

    def test_two_applications(self, rig: Rig, session: Session, pushed: list[list[int]]) -> None:
        other: list[list[int]] = []

        class Other(Away):
            def push(self, rows: Any) -> None:
                other.append([row.id for row in rows])

        second = replace(rig.parts, engine=Other())
        one = dispatch(rig.parts, "noop", session=session)
        two = dispatch(second, "noop", session=session)
        three = dispatch(rig.parts, "noop", session=session)
        session.commit()
        assert pushed == [[one.id, three.id]]
        assert other == [[two.id]]

    def test_the_queue_away(self, rig: Rig, session: Session) -> None:
        job = dispatch(without_queue(rig), "noop", session=session)
        session.commit()
        assert rig.row(job.id).status == "pending"

    def test_one_that_is_none(self, rig: Rig, session: Session) -> None:
        for wrong in (object(), session.get_bind(), "session"):
            with pytest.raises(UsageError, match="takes a SQLAlchemy"):
                dispatch(rig.parts, "noop", session=wrong)


@pytest.mark.parametrize(("store", "rig"), [("postgresql", "redis")], indirect=True)
def test_a_session_of_another_kind_of_database(rig: Rig) -> None:
    with (
        Session(create_engine("sqlite://")) as session,
        pytest.raises(UsageError, match="of a sqlite database"),
    ):
        dispatch(rig.parts, "noop", session=session)
    assert count_jobs(rig.store) == 0
