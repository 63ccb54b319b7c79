"""Unique jobs: one unfinished job to a key, on every database, whoever comes at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, add_worker, change, count_jobs, failed_rows, row_of, set_worker, statuses
from sqlalchemy import event, text

from jobman_cli.core.outcome import COMPLETED
from jobman_cli.core.states import FINAL, Status
from jobman_cli.operations.cancel import cancel, clear
from jobman_cli.operations.dispatch import dispatch, dispatch_once
from jobman_cli.operations.failed import retry_all
from jobman_cli.operations.prune import prune
from jobman_cli.operations.request import Options
from jobman_cli.operations.requeue import requeue, requeue_matching
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle import requeue as requeueing
from jobman_cli.store.lifecycle.claim import claim_ids
from jobman_cli.store.lifecycle.finish import Finish, complete
from jobman_cli.store.lifecycle.insert import NewJob, insert_job, insert_unique
from jobman_cli.store.lifecycle.rescue import take_orphans
from jobman_cli.store.lifecycle.unique import Conflict
from jobman_cli.store.queries import JobFilter
from jobman_cli.store.queries_failed import FailedFilter
from jobman_cli.store.tables import FAILED_JOBS, JOBS

NEW = NewJob("noop", "default", 0, 1, None)
UNFINISHED = [status.value for status in Status if status not in FINAL]


def place(store: Database, *keys: str, new: NewJob = NEW) -> list[int]:
    return store.run(insert_unique, new, ["{}"] * len(keys), list(keys)).ids


def end(store: Database, job_id: int, status: str = "completed") -> None:
    change(store, job_id, status=status)


@pytest.fixture
def plain_rig(store: Database, tmp_path: Path) -> Iterator[Rig]:
    """A rig on every database, each its own line."""
    rig = Rig(store, "database", tmp_path)
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

    @pytest.mark.parametrize("ending", ["cancel", "clear", "prune"])
    def test_what_else_ends_a_job_frees_its_key(self, plain_rig: Rig, ending: str) -> None:
        store, parts = plain_rig.store, plain_rig.parts
        [first] = place(store, "k")
        if ending == "cancel":
            cancel(parts, [first])
        elif ending == "clear":
            clear(parts, "default")
        else:
            assert prune(parts, datetime.now(UTC) + timedelta(days=1), unfinished=True) == 1
        [second] = place(store, "k")
        assert second != first

    def test_a_rescued_job_keeps_it(self, store: Database) -> None:
        worker, [first] = add_worker(store), place(store, "k")
        store.run(claim_ids, worker, [first])
        set_worker(store, worker, "lost")
        store.run(take_orphans, 3, "database", 100)
        assert (row_of(store, first).status, row_of(store, first).rescues) == ("queued", 1)
        assert place(store, "k") == [first]

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
        assert len(set(ids)) == count_jobs(store) == 1000


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
            assert count_jobs(store) == len(keys)
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
        assert count_jobs(store) == 1

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

    def test_requeue_leaves_it_and_names_the_holder(self, plain_rig: Rig) -> None:
        store = plain_rig.store
        old, other = place(store, "k", "other")
        end(store, old)
        end(store, other, "cancelled")
        [holder] = place(store, "k")
        done = requeue(plain_rig.parts, [other, old, holder, 10**9])
        assert done.ids == [other]
        assert done.conflicts == [Conflict(old, "k", holder)]
        assert statuses(store, [old, other, holder]) == ["completed", "queued", "queued"]
        end(store, holder)
        assert requeue(plain_rig.parts, [old]).ids == [old]

    def test_of_several_with_one_key_the_first_runs(self, plain_rig: Rig) -> None:
        store, finished = plain_rig.store, []
        for _ in range(3):
            finished += place(store, "k")
            end(store, finished[-1])
        number, conflicts = requeue_matching(plain_rig.parts, JobFilter(statuses=("completed",)))
        assert number == 1
        assert [(each.id, each.holder) for each in conflicts] == [
            (each, finished[0]) for each in finished[1:]
        ]
        assert statuses(store, finished) == ["queued", "completed", "completed"]

    def test_retry_keeps_the_failed_row(self, plain_rig: Rig) -> None:
        store, worker = plain_rig.store, plain_rig.worker()
        old, free = (
            int(dispatch(plain_rig.parts, "give_up", {}, Options(unique_key=k)).id or 0) for k in "kf"
        )
        worker.drain()
        assert statuses(store, [old, free]) == ["failed", "failed"]
        [holder] = place(store, "k")
        done = retry_all(plain_rig.parts, FailedFilter())
        assert done.queued == 1
        assert done.conflicts == [Conflict(old, "k", holder)]
        assert statuses(store, [old, free]) == ["failed", "queued"]
        assert (len(failed_rows(store, old)), len(failed_rows(store, free))) == (1, 0)

    @pytest.mark.parametrize("failed", [False, True])
    def test_a_dispatch_at_the_same_time(self, plain_rig: Rig, failed: bool) -> None:
        """One of the two has the key, the other says who; a job that fails to run again stays as it was."""
        store, parts = plain_rig.store, plain_rig.parts
        gate = threading.Barrier(2, timeout=30)

        def again(job_id: int) -> list[Conflict]:
            gate.wait()
            return (retry_all(parts, FailedFilter()) if failed else requeue(parts, [job_id])).conflicts

        def anew(key: str) -> tuple[int, bool]:
            gate.wait()
            made, written = dispatch_once(parts, "noop", {}, Options(unique_key=key))
            return int(made.id or 0), written

        for number in range(6):
            key = f"k{number}"
            old = int(dispatch(parts, "give_up", {}, Options(unique_key=key)).id or 0)
            if failed:
                plain_rig.worker().drain()
            else:
                end(store, old)
            with ThreadPoolExecutor(2) as pool:
                one, other = pool.submit(again, old), pool.submit(anew, key)
                conflicts, (job_id, written) = one.result(60), other.result(60)
            assert conflicts == ([Conflict(old, key, job_id)] if written else [])
            assert (job_id == old) is not written
            states = statuses(store, [old])
            assert states == (["failed" if failed else "completed"] if written else ["queued"])
            assert len(failed_rows(store, old)) == (failed and written)
            with store.transaction() as connection:
                connection.execute(FAILED_JOBS.delete())
                connection.execute(JOBS.delete())


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
