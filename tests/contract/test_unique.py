"""Unique jobs: one unfinished job to a key, on every database, whoever comes at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, add_worker, change, failed_rows, row_of, statuses
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.orm import Session

from jobman_cli.core.jobtype import job
from jobman_cli.core.outcome import COMPLETED
from jobman_cli.core.states import FINAL, Status
from jobman_cli.errors import InvalidOption, JobNotFound, UniqueKeyTaken, UsageError
from jobman_cli.operations.dispatch import Options, dispatch, dispatch_each, dispatch_many, dispatch_once
from jobman_cli.operations.failed import retry_all
from jobman_cli.operations.requeue import requeue, requeue_matching
from jobman_cli.runtime.inline import run_inline
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle import requeue as requeueing
from jobman_cli.store.lifecycle.claim import claim_ids
from jobman_cli.store.lifecycle.finish import Finish, complete
from jobman_cli.store.lifecycle.insert import NewJob, insert_job, insert_unique
from jobman_cli.store.lifecycle.unique import Conflict
from jobman_cli.store.queries import FailedFilter, JobFilter
from jobman_cli.store.tables import JOBS

NEW = NewJob("noop", "default", 0, 1, None)
UNFINISHED = [status.value for status in Status if status not in FINAL]


def place(store: Database, *keys: str, new: NewJob = NEW) -> list[int]:
    return store.run(insert_unique, new, ["{}"] * len(keys), list(keys)).ids


def end(store: Database, job_id: int, status: str = "completed") -> None:
    change(store, job_id, status=status)


def count(store: Database) -> int:
    with store.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(JOBS)).scalar_one())


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


class TestKey:
    @pytest.mark.parametrize("status", UNFINISHED)
    def test_an_unfinished_job_keeps_others_out(self, store: Database, status: str) -> None:
        [first] = place(store, "k")
        change(store, first, status=status)
        assert place(store, "k") == [first]
        assert first not in place(store, "K", "k x", "ḱ")  # keys are told apart to the letter
        assert row_of(store, first).unique_key == "k"

    @pytest.mark.parametrize("status", sorted(FINAL))
    def test_a_finished_one_lets_the_next_in(self, store: Database, status: str) -> None:
        [first] = place(store, "k")
        end(store, first, status)
        [second] = place(store, "k")
        assert second != first
        assert place(store, "k") == [second]
        assert statuses(store, [first, second]) == [status, "queued"]

    def test_its_last_commit_lets_the_next_in(self, store: Database) -> None:
        """The real finish, not a changed row."""
        worker, [first] = add_worker(store), place(store, "k")
        [claim] = store.run(claim_ids, worker, [first])
        assert place(store, "k") == [first]
        now = time.time()
        assert not store.run(complete, worker, [Finish(claim, COMPLETED, now, now)])
        assert place(store, "k") != [first]

    def test_jobs_without_a_key_do_not_mind(self, store: Database) -> None:
        ids = [int(store.run(insert_job, NEW, "{}")[0].id or 0) for _ in range(3)]
        assert len(set(ids)) == 3
        assert {row_of(store, each).unique_key for each in ids} == {None}

    def test_a_scheduled_one_bears_it_too(self, store: Database) -> None:
        [first] = place(store, "k", new=NewJob("noop", "q", 0, 1, None, (), 60.0))
        assert place(store, "k") == [first]
        job_row, found = store.run(insert_job, NEW, "{}", "k")
        assert (job_row.id, job_row.status, job_row.queue, found) == (first, "scheduled", "q", None)


class TestMany:
    def test_in_the_order_of_the_keys(self, store: Database) -> None:
        [there] = place(store, "b")
        placed = store.run(insert_unique, NEW, ["{}"] * 5, ["a", "b", "c", "a", "b"])
        assert placed.ids[1] == placed.ids[4] == there
        assert placed.ids[0] == placed.ids[3]
        assert [row.id for row in placed.written] == [placed.ids[0], placed.ids[2]]
        assert [row_of(store, each).unique_key for each in placed.ids[:3]] == ["a", "b", "c"]

    def test_a_thousand_in_a_few_statements(self, store: Database) -> None:
        keys = [f"key {number}" for number in range(1000)]
        there = place(store, *keys[::2])
        sent: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            sent.append(statement)

        event.listen(store.engine, "before_cursor_execute", note)
        try:
            ids = place(store, *keys)
        finally:
            event.remove(store.engine, "before_cursor_execute", note)
        assert len([each for each in sent if "jobmans" in each]) <= 4
        assert ids[::2] == there
        assert len(set(ids)) == count(store) == 1000


class TestRaces:
    @pytest.mark.parametrize("many", [False, True])
    def test_eight_at_once(self, store: Database, many: bool) -> None:
        """Each key has one row, whoever was first, and everybody is told the same one."""
        keys = [f"k{number}" for number in range(5 if many else 1)]
        gate = threading.Barrier(8, timeout=30)

        def go(number: int) -> list[int]:
            gate.wait()
            mine = keys if number % 2 else keys[::-1]
            found = dict(zip(mine, place(store, *mine), strict=True))
            return [found[key] for key in keys]

        for _ in range(3):
            with ThreadPoolExecutor(8) as pool:
                said = list(pool.map(go, range(8)))
            assert said == [said[0]] * 8
            assert count(store) == len(keys)
            with store.transaction() as connection:
                connection.execute(JOBS.delete())

    @pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
    def test_who_comes_second_waits_for_the_first(self, store: Database) -> None:
        """Until it has committed; a lock and a look would have seen nothing."""
        with store.transaction() as connection:
            first = insert_unique(connection, store.dialect, NEW, ["{}"], ["k"]).ids
            with ThreadPoolExecutor(1) as pool:
                second = pool.submit(place, store, "k")
                time.sleep(0.3)  # long enough for it to have gone on, if it did not wait
                assert not second.done()
                connection.commit()
                assert second.result(20) == first

    @pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
    def test_the_first_rolls_back(self, store: Database) -> None:
        with store.transaction() as connection:
            gone = insert_unique(connection, store.dialect, NEW, ["{}"], ["k"]).ids
            with ThreadPoolExecutor(1) as pool:
                second = pool.submit(place, store, "k")
                time.sleep(0.2)  # let it come up to the lock
                connection.rollback()
                assert second.result(20) != gone
        assert count(store) == 1

    @pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
    def test_a_requeue_that_is_overtaken_looks_again(
        self, store: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 13: somebody takes the key between the look and the UPDATE; the index refuses."""
        [old] = place(store, "k")
        end(store, old)
        look, taken = requeueing.part_by_key, []

        def overtaken(*arguments: Any) -> Any:
            seen = look(*arguments)
            if not taken:
                taken.extend(place(store, "k"))
            return seen

        monkeypatch.setattr(requeueing, "part_by_key", overtaken)
        again = store.run(requeueing.requeue_jobs, [old])
        assert again.rows == []
        assert again.conflicts == [Conflict(old, "k", taken[0])]
        assert statuses(store, [old, *taken]) == ["completed", "queued"]


class TestAgain:
    """Rule 13: requeue and retry skip conflicts and name them."""

    def test_requeue_leaves_it_and_names_the_holder(self, unique_rig: Rig) -> None:
        store = unique_rig.store
        old, other = place(store, "k", "other")
        end(store, old)
        end(store, other, "cancelled")
        [holder] = place(store, "k")
        done = requeue(unique_rig.parts, [other, old, holder, 10**9])
        assert done.ids == [other]
        assert done.conflicts == [Conflict(old, "k", holder)]
        assert statuses(store, [old, other, holder]) == ["completed", "queued", "queued"]
        end(store, holder)
        assert requeue(unique_rig.parts, [old]).ids == [old]

    def test_of_several_with_one_key_the_first_runs(self, unique_rig: Rig) -> None:
        store, finished = unique_rig.store, []
        for _ in range(3):
            finished += place(store, "k")
            end(store, finished[-1])
        number, conflicts = requeue_matching(unique_rig.parts, JobFilter(statuses=("completed",)))
        assert number == 1
        assert [(each.id, each.holder) for each in conflicts] == [
            (each, finished[0]) for each in finished[1:]
        ]
        assert statuses(store, finished) == ["queued", "completed", "completed"]

    def test_retry_keeps_the_failed_row(self, unique_rig: Rig) -> None:
        store, worker = unique_rig.store, unique_rig.worker()
        old, free = (
            int(dispatch(unique_rig.parts, "give_up", {}, Options(unique_key=k)).id or 0) for k in "kf"
        )
        worker.drain()
        assert statuses(store, [old, free]) == ["failed", "failed"]
        [holder] = place(store, "k")
        done = retry_all(unique_rig.parts, FailedFilter())
        assert done.queued == 1
        assert done.conflicts == [Conflict(old, "k", holder)]
        assert statuses(store, [old, free]) == ["failed", "queued"]
        assert (len(failed_rows(store, old)), len(failed_rows(store, free))) == (1, 0)


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

    @pytest.mark.parametrize("key", ["", "x" * 191, " k", "k ", "a\nb", "a\x00", 7])
    def test_what_is_no_key(self, unique_rig: Rig, key: Any) -> None:
        with pytest.raises(InvalidOption, match="unique_key"):
            dispatch(unique_rig.parts, "noop", {}, Options(unique_key=key))
        assert count(unique_rig.store) == 0

    def test_the_longest_key(self, unique_rig: Rig) -> None:
        first = dispatch(unique_rig.parts, "noop", {}, Options(unique_key="😀" * 190))
        assert dispatch(unique_rig.parts, "noop", {}, Options(unique_key="😀" * 190)).id == first.id

    def test_here_and_now_it_is_refused(self, unique_rig: Rig) -> None:
        first = dispatch(unique_rig.parts, "noop", {}, Options(unique_key="k"))
        with pytest.raises(UniqueKeyTaken, match=f"job {first.id} .* queued: nothing was run"):
            run_inline(unique_rig.parts, "noop", {}, Options(unique_key="k"))
        assert count(unique_rig.store) == 1

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
        assert count(unique_rig.store) == 0
        assert dispatch_once(unique_rig.parts, "export", {"customer": 1})[1]


@pytest.mark.parametrize("store", ["postgresql", "sqlite"], indirect=True)
def test_the_index_answers_and_knows_no_other_rows(store: Database) -> None:
    """What a key costs the jobs that have none: nothing is in the index for them."""
    for _ in range(50):
        store.run(insert_job, NEW, "{}")
    place(store, "k", "l")
    end(store, place(store, "m")[0])
    question = "SELECT id FROM jobmans WHERE unique_key IN ('k') AND unique_key IS NOT NULL "
    question += "AND status NOT IN ('completed', 'failed', 'cancelled')"
    with store.transaction() as connection:
        if store.dialect.name == "sqlite":
            connection.execute(text("ANALYZE"))
            plan = " ".join(str(row) for row in connection.execute(text("EXPLAIN QUERY PLAN " + question)))
            size = "SELECT stat FROM sqlite_stat1 WHERE idx = 'ux_jobmans_unique'"
        else:
            connection.execute(text("ANALYZE jobmans"))
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = " ".join(connection.execute(text("EXPLAIN " + question)).scalars())
            size = "SELECT reltuples FROM pg_class WHERE relname = 'ux_jobmans_unique'"
        entries = int(str(connection.execute(text(size)).scalar_one()).split(".")[0].split()[0])
    assert "ux_jobmans_unique" in plan
    assert entries == 2
