"""Unique jobs as they are dispatched: alone, many at once, in a caller's transaction; and while they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, count_jobs, statuses
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from jobman_cli.core.context import Context
from jobman_cli.core.jobtype import job
from jobman_cli.errors import InvalidOption, JobNotFound, UniqueKeyTaken, UsageError
from jobman_cli.operations.dispatch import BATCH, dispatch, dispatch_each, dispatch_many, dispatch_once
from jobman_cli.operations.request import Options
from jobman_cli.operations.requeue import requeue
from jobman_cli.runtime.inline import run_inline
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.unique import Conflict
from jobman_cli.store.tables import JOBS

WORKERS = pytest.mark.parametrize(
    ("store", "rig"),
    [("sqlite", "database"), ("postgresql", "redis"), ("mariadb", "redis"), ("postgresql", "database")],
    indirect=True,
)


@pytest.fixture
def unique_rig(store: Database, tmp_path: Path) -> Iterator[Rig]:
    """A rig with job types whose jobs are unique."""
    rig = Rig(store, "database", tmp_path)

    @job("sync", unique=True)
    def sync(customer: int, since: str = "ever") -> None: ...

    @job("export", unique=["customer"], tags=["x"])
    def export(customer: int, note: str = "") -> None: ...

    for each in (sync, export):
        rig.parts.registry.types[each.name] = each
    yield rig
    rig.close()


class TestDispatch:
    def test_the_same_attribs_are_one_job(self, unique_rig: Rig) -> None:
        parts = unique_rig.parts
        first, written = dispatch_once(parts, "sync", {"customer": 7})
        assert written
        again, written = dispatch_once(parts, "sync", {"since": "ever", "customer": 7})
        assert (again.id, written) == (first.id, False)
        assert again.attribs == {"customer": 7, "since": "ever"}
        assert dispatch(parts, "sync", {"customer": 7, "since": "now"}).id != first.id
        assert dispatch(parts, "noop", {}, Options(unique_key=first.unique_key)).id == first.id  # one table

    def test_some_attribs_decide(self, unique_rig: Rig) -> None:
        parts = unique_rig.parts
        first = dispatch(parts, "export", {"customer": 7, "note": "a"})
        assert dispatch(parts, "export", {"customer": 7, "note": "b"}).id == first.id
        assert dispatch(parts, "export", {"customer": 8, "note": "a"}).id != first.id
        assert dispatch(parts, "sync", {"customer": 7}).id != first.id

    def test_a_key_shows_no_attribs(self, unique_rig: Rig) -> None:
        key = str(dispatch(unique_rig.parts, "export", {"customer": 987654321}).unique_key)
        assert key.startswith("export:")
        assert "987654321" not in key

    def test_many(self, unique_rig: Rig) -> None:
        given = [{"customer": number % 3} for number in range(7)]
        done = dispatch_each(unique_rig.parts, "export", given)
        assert (done.written, len(done.ids), len(set(done.ids))) == (3, 7, 3)
        assert list(done.ids[3:6]) == list(done.ids[:3])
        assert list(dispatch_many(unique_rig.parts, "export", given)) == list(done.ids)
        with pytest.raises(UsageError, match="unique_key"):
            dispatch_many(unique_rig.parts, "noop", [{}], Options(unique_key="k"))

    def test_only_new_ones_are_pushed(self, rig: Rig) -> None:
        first = rig.dispatch("noop", unique_key="k")
        rig.worker().drain()
        assert rig.calls == [(first, 1)]
        second = rig.dispatch("noop", unique_key="k")
        pushed: list[Any] = []
        rig.engine.push = pushed.append
        assert rig.dispatch("noop", unique_key="k") == second
        assert pushed == []

    @pytest.mark.parametrize(
        "key", ["", "x" * 191, "x" * 10**6, " k", "k ", "a\nb", "a\x00", "\ud800", "\u2028", 7, b"k", ["k"]]
    )
    def test_what_is_no_key(self, unique_rig: Rig, key: Any) -> None:
        """One short line says so, in letters that any terminal can show."""
        with pytest.raises(InvalidOption, match="unique_key") as caught:
            dispatch(unique_rig.parts, "noop", {}, Options(unique_key=key))
        assert len(caught.value.message) < 100
        caught.value.message.encode()
        assert "\n" not in caught.value.message
        assert count_jobs(unique_rig.store) == 0

    def test_the_longest_key(self, unique_rig: Rig) -> None:
        first = dispatch(unique_rig.parts, "noop", {}, Options(unique_key="😀" * 190))
        assert dispatch(unique_rig.parts, "noop", {}, Options(unique_key="😀" * 190)).id == first.id

    def test_here_and_now_it_is_refused(self, unique_rig: Rig) -> None:
        first = dispatch(unique_rig.parts, "noop", {}, Options(unique_key="k"))
        with pytest.raises(UniqueKeyTaken, match=f"job {first.id} .* queued: nothing was run"):
            run_inline(unique_rig.parts, "noop", {}, Options(unique_key="k"))
        assert count_jobs(unique_rig.store) == 1

    def test_one_that_is_deleted_meanwhile(self, unique_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        first = dispatch(unique_rig.parts, "noop", {}, Options(unique_key="k"))
        from jobman_cli.store.lifecycle import insert

        def delete(connection: Any, *arguments: Any) -> Any:
            connection.execute(JOBS.delete().where(JOBS.c.id == first.id))
            return {"k": first.id}

        monkeypatch.setattr(insert, "key_holders", delete)
        with pytest.raises(JobNotFound, match="deleted"):
            dispatch(unique_rig.parts, "noop", {}, Options(unique_key="k"))


class TestSession:
    """A conflict inside the caller's own transaction leaves that transaction whole."""

    @pytest.fixture
    def session(self, store: Database) -> Iterator[Session]:
        """Of the application's own engine, with the isolation that its database gives it."""
        engine = create_engine(store.url)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS of_theirs"))
            connection.execute(text("CREATE TABLE of_theirs (word VARCHAR(10))"))
        with Session(engine) as session:
            yield session
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE of_theirs"))
        engine.dispose()

    def words(self, store: Database) -> list[str]:
        with store.reading() as connection:
            return list(connection.execute(text("SELECT word FROM of_theirs")).scalars())

    @pytest.mark.parametrize("many", [False, True])
    def test_the_caller_goes_on(self, unique_rig: Rig, session: Session, many: bool) -> None:
        there = int(dispatch(unique_rig.parts, "export", {"customer": 1}).id or 0)
        session.execute(text("INSERT INTO of_theirs VALUES ('before')"))
        if many:
            given = [{"customer": 1}, {"customer": 2}]
            ids = list(dispatch_many(unique_rig.parts, "export", given, session=session))
        else:
            ids = [
                int(dispatch(unique_rig.parts, "export", {"customer": each}, session=session).id or 0)
                for each in (1, 2)
            ]
        session.execute(text("INSERT INTO of_theirs VALUES ('after')"))
        session.commit()
        assert ids[0] == there
        assert ids[1] != there
        assert self.words(unique_rig.store) == ["before", "after"]
        assert statuses(unique_rig.store, ids) == ["queued", "queued"]

    @pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
    def test_a_row_that_was_committed_after_the_transaction_began(
        self, unique_rig: Rig, session: Session
    ) -> None:
        """REPEATABLE READ, MySQL's own default, does not see it; the index does, and the row is found."""
        session.execute(text("SELECT count(*) FROM jobmans")).scalar()
        there = dispatch(unique_rig.parts, "export", {"customer": 1})
        assert dispatch(unique_rig.parts, "export", {"customer": 1}, session=session).id == there.id
        session.commit()

    def test_a_rollback_frees_the_key(self, unique_rig: Rig, session: Session) -> None:
        dispatch(unique_rig.parts, "export", {"customer": 1}, session=session)
        session.rollback()
        assert count_jobs(unique_rig.store) == 0
        assert dispatch_once(unique_rig.parts, "export", {"customer": 1})[1]


@WORKERS
def test_while_it_runs_in_a_loop(rig: Rig) -> None:
    """An `async def` job, among many: it has its key from its dispatch until its end is recorded."""
    worker = rig.loop_worker()
    first = rig.dispatch("nap", {"seconds": 0.3}, unique_key="k")
    others = [rig.dispatch("nap", unique_key=f"k{number}") for number in range(20)]
    while not rig.calls:
        worker.take()
    assert rig.row(first).status == "running"
    assert rig.dispatch("nap", unique_key="k") == first
    worker.drain()
    assert statuses(rig.store, [first, *others]) == ["completed"] * 21
    second = rig.dispatch("nap", unique_key="k")
    assert second != first
    assert requeue(rig.parts, [first]).conflicts == [Conflict(first, "k", second)]
    worker.drain()
    assert sorted(rig.calls) == sorted((each, 1) for each in (first, second, *others))


@WORKERS
def test_while_it_waits_for_its_next_try(rig: Rig) -> None:
    worker = rig.worker()
    first = rig.dispatch("again", {"after": 60.0}, unique_key="k")
    worker.drain()
    assert rig.row(first).status == "scheduled"
    assert rig.dispatch("again", unique_key="k") == first


@WORKERS
def test_a_job_that_dispatches_itself_is_there_already(rig: Rig) -> None:
    said: list[int] = []

    @job("loops", timeout=None)
    def loops() -> None:
        said.append(rig.dispatch("loops", unique_key="k"))

    rig.parts.registry.types["loops"] = loops
    first = rig.dispatch("loops", unique_key="k")
    rig.worker().drain()
    assert said == [first]
    assert rig.row(first).status == "completed"


@WORKERS
def test_many_with_few_keys_each_run_once(rig: Rig) -> None:
    """Of one call, and of calls in two batches; each row is pushed once."""

    @job("bulk", unique=True, timeout=None)
    def bulk(ctx: Context, number: int) -> None:
        rig.calls.append((ctx.job_id, ctx.attempt))

    rig.parts.registry.types["bulk"] = bulk
    ids = dispatch_many(rig.parts, "bulk", ({"number": each % 7} for each in range(BATCH + 50)))
    assert len(ids) == BATCH + 50
    assert len(set(ids)) == 7
    assert rig.worker().drain() == 7
    assert sorted(rig.calls) == [(each, 1) for each in sorted(set(ids))]
