"""`async def` jobs: many at once in a worker with an event loop, one at a time in any other worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from rig import Rig, attempts_of, change, failed_rows, set_worker, statuses
from sqlalchemy import text

from jobman_cli.errors import WorkerLost
from jobman_cli.operations.cancel import cancel
from jobman_cli.runtime.loop_turn import company
from jobman_cli.runtime.watch import TICK

ONE_OF_EACH = pytest.mark.parametrize(
    ("store", "rig"),
    [("sqlite", "database"), ("postgresql", "redis"), ("mariadb", "redis")],
    indirect=True,
    ids=["sqlite-database", "postgresql-redis", "mariadb-redis"],
)


@pytest.fixture
def effects(rig: Rig) -> Iterator[Callable[[], list[tuple[int, int]]]]:
    with rig.store.transaction() as connection:
        connection.execute(text("DROP TABLE IF EXISTS effect"))  # the database is shared by the suites
        connection.execute(text("CREATE TABLE effect (job_id INTEGER, attempt INTEGER)"))

    def found() -> list[tuple[int, int]]:
        with rig.store.reading() as connection:
            return sorted((row[0], row[1]) for row in connection.execute(text("SELECT * FROM effect")))

    yield found
    with rig.store.transaction() as connection:
        connection.execute(text("DROP TABLE effect"))


class TestManyAtOnce:
    def test_a_job_from_the_claim_to_its_end(self, rig: Rig) -> None:
        worker = rig.loop_worker()
        job_id = rig.dispatch("a_hello", {"name": "Ada"})
        assert worker.drain() == 1
        row = rig.row(job_id)
        assert (row.status, row.completed_code, row.attempts, row.claims) == ("completed", "greeted", 1, 1)
        assert row.attribs == {"name": "Ada", "greeted": "Ada"}
        assert row.progress == {"done": 1, "total": 2}
        assert row.logs.endswith("[1] hello Ada\n")
        assert row.worker_id == worker.uuid
        assert rig.calls == [(job_id, 1)]

    def test_they_overlap_and_each_runs_once(self, rig: Rig) -> None:
        worker = rig.loop_worker(100)
        ids = [rig.dispatch("nap", {"seconds": 0.5}) for _ in range(100)]
        began = time.monotonic()
        assert worker.drain() == 100
        assert time.monotonic() - began < 10, "one after another they take 50 s"
        assert set(statuses(rig.store, ids)) == {"completed"}
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]

    @ONE_OF_EACH
    def test_no_more_than_the_concurrency(self, rig: Rig) -> None:
        worker, seen = rig.loop_worker(5), []
        ids = [rig.dispatch("nap", {"seconds": 0.02}) for _ in range(30)]
        while set(statuses(rig.store, ids)) != {"completed"}:
            worker.take()
            seen.append(worker.hand.load())
        assert max(seen) == 5
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]

    def test_failures(self, rig: Rig) -> None:
        worker = rig.loop_worker()
        ids = [rig.dispatch(name) for name in ("a_boom", "a_boom", "give_up", "again")]
        worker.drain()
        assert statuses(rig.store, ids) == ["scheduled", "scheduled", "failed", "scheduled"]
        row = rig.row(ids[0])
        assert row.error_message == "ValueError: boom"
        assert "raise ValueError" in row.exception and "asyncio" not in row.exception
        assert [a.outcome for a in attempts_of(rig.store, ids[0])] == ["error"]
        assert len(failed_rows(rig.store, ids[2])) == 1

    @ONE_OF_EACH
    def test_plain_functions_run_beside(self, rig: Rig) -> None:
        worker = rig.loop_worker()
        ids = [rig.dispatch("slow", {"seconds": 0.5}) for _ in range(10)]
        ids += [rig.dispatch("hello"), rig.dispatch("nap")]
        began = time.monotonic()
        worker.drain()
        assert time.monotonic() - began < 4, "one after another they take 5 s"
        assert set(statuses(rig.store, ids)) == {"completed"}

    @ONE_OF_EACH
    def test_timeouts(self, rig: Rig) -> None:
        """The job's own TimeoutError is an error like any other."""
        worker = rig.loop_worker()
        late, own, beside = rig.dispatch("late"), rig.dispatch("late", {"own": True}), rig.dispatch("nap")
        worker.drain()
        assert statuses(rig.store, [late, own, beside]) == ["failed", "failed", "completed"]
        assert rig.row(late).error_message == "timed out after 0.2 s"
        assert "await asyncio.sleep(60)" in rig.row(late).exception, "it says where the job stood"
        assert "cleared up" in rig.row(late).logs
        assert rig.row(own).error_message.startswith("TimeoutError")

    @ONE_OF_EACH
    def test_what_a_job_leaves_running_ends_with_it(self, rig: Rig, tmp_path: Path) -> None:
        worker = rig.loop_worker()
        rig.dispatch("leaves", {"file": str(tmp_path / "left")})
        worker.drain()
        wait_until((tmp_path / "left").exists, 5, "the end of the task")


class TestEndsFromOutside:
    def test_a_cancelled_job_is_told_by_its_watch(self, rig: Rig) -> None:
        worker = rig.loop_worker()
        asked, other = rig.dispatch("nap", {"seconds": 60}), rig.dispatch("nap", {"seconds": TICK * 2})
        worker.take()
        wait_until(lambda: len(worker.hand.long(TICK)) > 0, 5, "a tick")
        cancel(rig.parts, [asked])
        worker.watch.tick()
        worker.drain()
        assert statuses(rig.store, [asked, other]) == ["cancelled", "completed"]
        assert [a.error_message for a in attempts_of(rig.store, asked)] == ["cancelled while it ran"]

    def test_an_interrupt_gives_all_back(self, rig: Rig) -> None:
        """Rule 14: unharmed, in their old places, the attempts not counted."""
        worker = rig.loop_worker()
        ids = [rig.dispatch("nap", {"seconds": 60}) for _ in range(5)]
        before = [rig.row(job_id).rank for job_id in ids]
        worker.take()
        wait_until(lambda: len(rig.calls) == 5, 5, "their start")
        worker.loop.interrupt()
        worker.turn.close()
        rows = [rig.row(job_id) for job_id in ids]
        assert [(row.status, row.attempts, row.claims) for row in rows] == [("queued", 0, 1)] * 5
        assert [row.rank for row in rows] == before

    @ONE_OF_EACH
    def test_a_close_waits_for_what_runs_and_records_it(self, rig: Rig) -> None:
        worker = rig.loop_worker(5)
        ids = [rig.dispatch("nap", {"seconds": 0.3}) for _ in range(7)]
        worker.take()
        worker.turn.close()  # although the loop may not have begun them yet
        assert statuses(rig.store, ids) == ["completed"] * 5 + ["queued"] * 2

    @ONE_OF_EACH
    def test_a_lost_worker_cancels_what_it_runs(self, rig: Rig) -> None:
        """Rule 3: its jobs run elsewhere by now."""
        worker = rig.loop_worker()
        job_id = rig.dispatch("nap", {"seconds": 60})
        worker.take()
        wait_until(lambda: rig.calls, 5, "its start")
        set_worker(rig.store, worker.uuid, "lost")
        worker.worker.exchange._next_look = 0.0
        with pytest.raises(WorkerLost):
            worker.take()
        worker.turn.close()
        assert rig.row(job_id).claims == 1


class TestLostAnswers:
    def test_claims_are_adopted_and_what_runs_is_not(self, rig: Rig) -> None:
        """Rule 6: jobs that run, or have just finished, are known; only the lost claims are."""
        worker = rig.loop_worker()
        running = [rig.dispatch("nap", {"seconds": 0.6}) for _ in range(5)]
        worker.take()
        wait_until(lambda: len(rig.calls) == 5, 5, "their start")
        more = [rig.dispatch("nap") for _ in range(5)]
        worker.link.plan = ["after"]
        assert worker.take() == 5
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in running + more]
        assert {rig.row(job_id).claims for job_id in running + more} == {1}

    @ONE_OF_EACH
    def test_a_look_takes_no_running_job_for_a_stray(self, rig: Rig) -> None:
        worker = rig.loop_worker()
        job_id = rig.dispatch("nap", {"seconds": 0.5})
        worker.take()
        wait_until(lambda: rig.calls, 5, "its start")
        worker.worker.exchange._next_look = 0.0
        worker.take()
        assert rig.row(job_id).status == "running"
        worker.drain()
        assert rig.row(job_id).claims == 1


class TestTheLoopIsHeld:
    @ONE_OF_EACH
    def test_the_page_names_the_job_and_nothing_is_claimed(self, rig: Rig) -> None:
        worker = rig.loop_worker()
        neighbour = rig.dispatch("late")
        worker.take()
        wait_until(lambda: rig.calls, 5, "its start")
        hog = rig.dispatch("hog", {"seconds": 3 * TICK + 1.0})
        worker.take()
        wait_until(lambda: len(rig.calls) == 2, 5, "the hog")
        waiting = rig.dispatch("nap")

        def held() -> bool:
            worker.watch.tick()
            return worker.loop.is_stalled()

        wait_until(held, 5, "the watch's notice")
        overdue = worker.page.overdue(time.monotonic() + 10, 1.0)
        assert [each.job_id for each in overdue] == [hog], "not the neighbour whose time is up"
        assert worker.take() == 0
        assert rig.row(waiting).status == "queued"
        wait_until(lambda: not held(), 10, "the loop's next turn")
        worker.drain()
        assert statuses(rig.store, [neighbour, hog, waiting]) == ["failed", "completed", "completed"]


class TestCompany:
    def test_its_numbers(self) -> None:
        assert [company(200, rescues, 3) for rescues in range(5)] == [200, 34, 5, 1, 1]
        assert [company(10, rescues, 0) for rescues in range(2)] == [10, 1]
        assert company(1, 0, 3) == 1

    @ONE_OF_EACH
    def test_who_was_rescued_too_often_runs_alone(self, rig: Rig) -> None:
        """Rule 7: a job that kills its worker the last time charges no neighbour."""
        worker = rig.loop_worker()
        poison, *others = [rig.dispatch("nap", {"seconds": 0.1}) for _ in range(6)]
        change(rig.store, poison, rescues=3, attempts=3, claims=3)
        seen: list[set[int]] = []
        start = worker.hand.start

        def spy(claim: Any, context: Any, now: float) -> None:
            start(claim, context, now)
            seen.append(set(worker.hand.running))

        worker.hand.start = spy
        worker.drain()
        assert [running for running in seen if poison in running] == [{poison}]
        assert max(map(len, seen)) == 5
        assert sorted(rig.calls) == [(poison, 4), *((job_id, 1) for job_id in others)]


class TestCompleting:
    def test_all_at_once_and_each_effect_once(self, rig: Rig, effects: Any) -> None:
        """No block waits, in the loop's own thread, for the lock of another."""
        worker = rig.loop_worker()
        ids = [rig.dispatch("a_paid") for _ in range(20)]
        worker.drain()
        assert effects() == [(job_id, 1) for job_id in ids]
        rows = [rig.row(job_id) for job_id in ids]
        assert {(row.status, row.completed_code, row.attribs["receipt"]) for row in rows} == {
            ("completed", "paid", 7)
        }

    @ONE_OF_EACH
    def test_errors(self, rig: Rig, effects: Any) -> None:
        worker = rig.loop_worker()
        names = ("inside", "after", "plain with")
        inside, after, plain = ids = [rig.dispatch("a_paid", {"then": then}) for then in names]
        worker.drain()
        assert statuses(rig.store, ids) == ["failed", "completed", "failed"]
        assert effects() == [(after, 1)]
        assert rig.row(inside).error_message == "ValueError: inside"
        assert "plain `with`" in rig.row(plain).error_message

    @ONE_OF_EACH
    def test_the_fence(self, rig: Rig, effects: Any) -> None:
        worker = rig.loop_worker()
        job_id = rig.dispatch("a_paid")
        begin = worker.worker.runner.begin

        def stolen(claim: Any) -> Any:
            change(rig.store, job_id, claims=7)
            return begin(claim)

        worker.worker.runner.begin = stolen
        worker.drain()
        assert effects() == []
        assert rig.row(job_id).status == "running"

    @ONE_OF_EACH
    def test_in_a_worker_that_runs_one_at_a_time(self, rig: Rig, effects: Any) -> None:
        worker = rig.worker()
        ids = [rig.dispatch("a_paid"), rig.dispatch("a_paid", {"then": "plain with"})]
        worker.drain()
        assert effects() == [(ids[0], 1)]
        assert statuses(rig.store, ids) == ["completed", "failed"]


class TestOneAtATime:
    def test_any_worker_runs_them(self, rig: Rig) -> None:
        worker = rig.worker()
        ids = [rig.dispatch(name) for name in ("a_hello", "a_boom", "late", "nap")]
        worker.drain()
        assert statuses(rig.store, ids) == ["completed", "scheduled", "failed", "completed"]
        assert rig.row(ids[2]).error_message == "timed out after 0.2 s"
        assert "cleared up" in rig.row(ids[2]).logs
        assert "own_loop" not in rig.row(ids[1]).exception, "the trace begins in the job"

    @ONE_OF_EACH
    def test_one_loop_is_kept_and_what_is_left_in_it_ends(self, rig: Rig, tmp_path: Path) -> None:
        worker = rig.worker()
        rig.dispatch("nap")
        worker.drain()
        kept = worker.runner._loop._runner
        rig.dispatch("nap")
        worker.drain()
        assert worker.runner._loop._runner is kept
        rig.dispatch("leaves", {"file": str(tmp_path / "left")})
        worker.drain()
        assert (tmp_path / "left").exists()
        rig.dispatch("nap")
        worker.drain()
        worker.runner.close()
