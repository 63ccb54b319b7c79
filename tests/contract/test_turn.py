"""The turn, on every database with every engine: one transaction, adaptive, and no job lost or run twice.

The product's own `Turn` runs here in the test's process; its link is told when the database is away, and
when a COMMIT passes whose answer is lost.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from rig import (
    Bench,
    Rig,
    add_jobs,
    add_worker,
    attempts_of,
    change,
    counted_commits,
    failed_rows,
    row_of,
    set_worker,
    statuses,
)
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from jobman_cli.engine.protocol import Ticket
from jobman_cli.errors import QueueUnavailable, SchemaError, StoreUnavailable, WorkerLost
from jobman_cli.runtime import watch as watching
from jobman_cli.runtime.exchange import Exchange
from jobman_cli.runtime.pace import MOST
from jobman_cli.runtime.watch import Watch
from jobman_cli.store import database as database_module
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import claim_ids
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.release import release_all

ONE_OF_EACH = pytest.mark.parametrize(
    ("store", "rig"),
    [("sqlite", "database"), ("postgresql", "redis"), ("mariadb", "redis")],
    indirect=True,
    ids=["sqlite-database", "postgresql-redis", "mariadb-redis"],
)


def used_to(worker: Bench, *types: str) -> Bench:
    """Let the worker know that these types are short; what a busy machine would teach it is not learnt."""
    for name in types:
        for _ in range(3):
            worker.pace.learn(name, 0.00001)
    for _ in range(8):
        worker.pace.limit()
    worker.pace.learn = lambda *_: None
    return worker


class TestOneTransaction:
    def test_a_job_from_the_claim_to_its_end(self, rig: Rig) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("hello", {"name": "Ada"})
        assert worker.turn.take() == 1
        assert rig.row(job_id).status == "running", "its end is recorded with the next claim"
        assert worker.turn.take(wait=0) == 0
        row = rig.row(job_id)
        assert (row.status, row.completed_code, row.attempts, row.claims) == ("completed", "greeted", 1, 1)
        assert row.attribs == {"name": "Ada", "count": 1, "greeted": "Ada"}
        assert row.progress == {"done": 1, "total": 2}
        assert row.logs.endswith("[1] hello Ada\n")
        assert row.started_at <= row.completed_at
        assert row.worker_id == worker.uuid
        assert rig.calls == [(job_id, 1)]
        assert worker.turn.count == 1
        assert worker.turn.idle

    def test_finish_and_claim_share_a_commit(self, rig: Rig) -> None:
        worker = used_to(rig.worker(), "noop")
        ids = [rig.dispatch("noop") for _ in range(3 * MOST)]
        with counted_commits(rig.store) as commits:
            assert [worker.turn.take() for _ in range(3)] == [MOST] * 3
            assert len(commits) == 3
            assert statuses(rig.store, ids[2 * MOST - 1 : 2 * MOST + 1]) == ["completed", "running"]
            worker.turn.take(wait=0)
            assert len(commits) == 4
        assert set(statuses(rig.store, ids)) == {"completed"}
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]

    def test_recording_each_is_one_job_a_transaction(self, rig: Rig) -> None:
        worker = used_to(rig.worker(most=1), "noop")
        ids = [rig.dispatch("noop") for _ in range(5)]
        with counted_commits(rig.store) as commits:
            for number in range(1, 6):
                assert worker.turn.take() == 1
                assert len(commits) == number
                assert statuses(rig.store, ids)[: number - 1] == ["completed"] * (number - 1)
        worker.drain()
        assert set(statuses(rig.store, ids)) == {"completed"}

    def test_when_the_line_is_empty_it_records_at_once(self, rig: Rig) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("noop")
        worker.turn.take()
        began = time.monotonic()
        worker.turn.take()  # with its usual wait
        assert rig.row(job_id).status == "completed"
        assert time.monotonic() - began < 0.5

    def test_a_thousand_jobs_and_two_workers(self, rig: Rig) -> None:
        ids = add_jobs(rig.store, 1000)
        rig.engine.push([place(rig.store, job_id) for job_id in ids])
        workers = [rig.worker(), rig.worker()]
        for _ in range(400):
            for worker in workers:
                worker.receiver.look_again()
                worker.turn.take(wait=0)
            if len(rig.calls) == 1000:
                break
        for worker in workers:
            worker.drain()
        assert Counter(rig.calls) == Counter({(job_id, 1): 1 for job_id in ids})
        assert all(worker.turn.count for worker in workers)


class TestPace:
    def test_it_starts_with_one_and_at_most_doubles(self, rig: Rig) -> None:
        worker = rig.worker()
        for _ in range(40):
            rig.dispatch("noop")
        ran = [worker.turn.take(wait=0) for _ in range(6)]
        assert ran[0] == 1
        assert sum(ran) <= 40
        assert all(after <= 2 * before for before, after in pairwise(ran))

    @ONE_OF_EACH
    def test_slow_jobs_are_claimed_one_by_one(self, rig: Rig) -> None:
        worker = rig.worker()
        ids = [rig.dispatch("slow") for _ in range(4)]
        for number in range(4):
            assert worker.turn.take(wait=0) == 1
            assert statuses(rig.store, ids).count("queued") == 3 - number

    @ONE_OF_EACH
    def test_most_bounds_it(self, rig: Rig) -> None:
        worker = used_to(rig.worker(), "noop")
        for _ in range(10):
            rig.dispatch("noop")
        assert [worker.turn.take(3), worker.turn.take(1)] == [3, 1]

    def test_what_is_not_known_to_be_short_runs_alone(self, rig: Rig) -> None:
        """Rule 7: nothing else is in the hand when it starts, and what finished before it is recorded."""
        worker = used_to(rig.worker(), "noop")
        first, unknown, other, last = (rig.dispatch(name) for name in ("noop", "hello", "slow", "noop"))
        seen: list[list[str]] = []
        run = worker.runner.run

        def spy(attempt: Any) -> Any:
            seen.append([attempt.claim.type, *statuses(rig.store, [first, unknown, other, last])])
            return run(attempt)

        worker.runner.run = spy
        assert worker.turn.take(wait=0) == 3
        assert seen == [
            ["noop", "running", "running", "queued", "running"],
            ["noop", "running", "running", "queued", "running"],
            ["hello", "completed", "running", "queued", "completed"],
        ]
        worker.drain()
        assert set(statuses(rig.store, [first, unknown, other, last])) == {"completed"}
        row = rig.row(other)
        assert (row.claims, row.attempts) == (2, 1), "it was given back, and that is no attempt"

    def test_what_was_ever_rescued_runs_alone(self, rig: Rig) -> None:
        """Rule 7: poison charges no neighbour."""
        worker = used_to(rig.worker(), "noop")
        ids = [rig.dispatch("noop") for _ in range(3)]
        change(rig.store, ids[0], rescues=1, attempts=1, claims=1)
        order: list[int] = []
        run = worker.runner.run

        def spy(attempt: Any) -> Any:
            order.append(attempt.claim.id)
            if attempt.claim.id == ids[0]:
                assert statuses(rig.store, ids[1:]) == ["completed", "completed"]
                assert not worker.hand
            return run(attempt)

        worker.runner.run = spy
        assert worker.turn.take(wait=0) == 3
        assert order == [ids[1], ids[2], ids[0]]


class TestEnds:
    @ONE_OF_EACH
    def test_a_failure_is_tried_again_and_then_failed(self, rig: Rig) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("boom")
        worker.drain()
        row = rig.row(job_id)
        assert (row.status, row.attempts) == ("scheduled", 1)
        assert row.error_message == "ValueError: boom"
        assert "raise ValueError" in row.exception
        promote_now(rig, job_id)
        worker.drain()
        row = rig.row(job_id)
        assert (row.status, row.attempts, row.claims) == ("failed", 2, 2)
        assert [a.number for a in attempts_of(rig.store, job_id)] == [1, 2]
        (failed,) = failed_rows(rig.store, job_id)
        assert failed.connection == rig.engine.name
        assert "about to fail" in row.logs

    @ONE_OF_EACH
    def test_asked_for_later_given_up_and_unknown(self, rig: Rig) -> None:
        worker = rig.worker()
        later, given_up = rig.dispatch("again", {"after": 50}), rig.dispatch("give_up")
        (unknown,) = add_jobs(rig.store, type="gone")
        rig.engine.push([place(rig.store, unknown)])
        worker.drain()
        assert statuses(rig.store, [later, given_up, unknown]) == ["scheduled", "failed", "failed"]
        assert (rig.row(later).available_at - rig.row(later).failed_at).total_seconds() == pytest.approx(
            50, abs=2
        )
        assert [a.outcome for a in attempts_of(rig.store, later)] == ["retry"]
        assert rig.row(given_up).error_message == "no hope"
        assert "no job type 'gone'" in rig.row(unknown).error_message

    @ONE_OF_EACH
    def test_an_interrupted_job_is_given_back(self, rig: Rig) -> None:
        """Rule 14: unharmed, in its old place, the attempt not counted."""
        worker = rig.worker()
        job_id = rig.dispatch("interrupted")
        before = rig.row(job_id)
        worker.gate.interrupted = True
        worker.turn.take()
        worker.turn.settle()
        row = rig.row(job_id)
        assert (row.status, row.attempts, row.claims, row.rank) == ("queued", 0, 1, before.rank)
        assert rig.engine.missing([place(rig.store, job_id)]) == []

    @ONE_OF_EACH
    def test_ends_of_every_kind_in_one_turn(self, rig: Rig) -> None:
        names = ("noop", "boom", "hello", "give_up", "again")
        worker = used_to(rig.worker(), *names)
        ids = [rig.dispatch(name) for name in names]
        with counted_commits(rig.store) as commits:
            assert worker.turn.take() == 5
            worker.turn.take(wait=0)
        assert len(commits) == 2
        assert statuses(rig.store, ids) == ["completed", "scheduled", "completed", "failed", "scheduled"]


class TestReleasing:
    def test_settle_gives_back_what_is_not_started(self, rig: Rig) -> None:
        worker = used_to(rig.worker(), "noop", "slow")
        ids = [rig.dispatch("slow", {"seconds": 0.06}), *(rig.dispatch("noop") for _ in range(4))]
        worker.stopping = True
        assert worker.turn.take() == 1, "a worker that is to stop starts nothing more"
        worker.turn.settle()
        assert statuses(rig.store, ids) == ["completed", *["queued"] * 4]
        assert not worker.hand
        assert worker.hand.aside() == set()
        other = rig.worker()
        assert other.drain() == 4
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]

    def test_the_watch_empties_the_hand_behind_a_long_job(self, rig: Rig, monkeypatch: Any) -> None:
        """Rule 8: unstarted jobs leave the hand first and are released second; finished ones are recorded."""
        monkeypatch.setattr(watching, "TICK", 0.02)
        worker = used_to(rig.worker(), "noop", "slow")
        ids = [
            rig.dispatch("noop"),
            rig.dispatch("slow", {"seconds": 0.4}),
            *(rig.dispatch("noop") for _ in "ab"),
        ]
        watch = Watch(rig.parts, worker.uuid, worker.hand)
        seen: list[list[str]] = []
        forget = worker.hand.forget

        def spy(claims: Any) -> None:
            forget(claims)
            if claims:
                seen.append(statuses(rig.store, ids))

        worker.hand.forget = spy
        watch.start()
        try:
            assert worker.turn.take() == 2
        finally:
            watch.stop()
            watch.join(5)
        assert seen[0][1:] == ["running", "queued", "queued"]
        assert rig.row(ids[0]).status == "completed", "recorded while the long job ran"
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        assert set(statuses(rig.store, ids)) == {"completed"}


class TestRefusals:
    def test_an_end_that_is_refused_is_dropped(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        """Rule 2: what was given to another worker meanwhile is not ours to record."""
        worker = rig.worker()
        mine, stolen, failing = rig.dispatch("noop"), rig.dispatch("noop"), rig.dispatch("boom")
        worker.turn.take()
        used_to(worker, "noop", "boom")
        worker.turn.take()
        thief = add_worker(rig.store)
        change(rig.store, stolen, claims=7, worker_id=thief)
        change(rig.store, failing, claims=7, worker_id=thief)
        with caplog.at_level(logging.WARNING):
            worker.drain()
        assert statuses(rig.store, [mine, stolen, failing]) == ["completed", "running", "running"]
        assert attempts_of(rig.store, failing) == []
        assert len([r for r in caplog.records if "refused" in r.message]) == 2
        assert worker.hand.take_finished() == []

    def test_an_end_that_is_refused_while_more_is_claimed(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Rule 2: it is named, it is not counted, and its neighbours and the claims are as ever."""
        worker = used_to(rig.worker(), "noop")
        ids = [rig.dispatch("noop") for _ in range(5)]
        assert worker.turn.take(3) == 3
        change(rig.store, ids[1], claims=7, worker_id=add_worker(rig.store))
        with caplog.at_level(logging.WARNING):
            assert worker.turn.take(3) == 2
        assert [r.message for r in caplog.records] == [
            f"job {ids[1]}: its end was refused, it is no longer this worker's"
        ]
        worker.drain()
        assert statuses(rig.store, ids) == ["completed", "running", *["completed"] * 3]
        assert sum(count.completed for count in worker.meter.take().values()) == 4

    def test_a_lost_worker_claims_nothing_and_says_so(self, rig: Rig) -> None:
        """Rule 3: it finds out at its next claim."""
        worker = rig.worker()
        job_id = rig.dispatch("noop")
        set_worker(rig.store, worker.uuid, "lost")
        with pytest.raises(WorkerLost):
            for _ in range(3):
                worker.exchange._next_look = 0.0
                worker.turn.take(wait=0)
        assert rig.calls == []
        assert rig.row(job_id).claims == 0

    @ONE_OF_EACH
    def test_an_idle_worker_finds_out_too(self, rig: Rig) -> None:
        """Rule 3: within some seconds, though it claims nothing."""
        worker = rig.worker()
        worker.turn.take(wait=0)
        set_worker(rig.store, worker.uuid, "lost")
        worker.exchange._next_look = 0.0
        with pytest.raises(WorkerLost):
            for _ in range(2):
                worker.turn.take(wait=0)

    @ONE_OF_EACH
    def test_ids_that_another_claimed_first(self, rig: Rig) -> None:
        worker, other = rig.worker(), rig.worker()
        job_id = rig.dispatch("noop")
        rig.store.run(claim_ids, other.uuid, [job_id])
        assert worker.turn.take(wait=0) == 0
        assert worker.drain() == 0
        assert rig.calls == []


class TestLostAnswers:
    """The COMMIT passes, its answer is lost, and the worker sends the turn again."""

    def test_claims_are_adopted(self, rig: Rig) -> None:
        """Rule 6: after it, the worker believes the rows."""
        worker = used_to(rig.worker(), "noop")
        ids = [rig.dispatch("noop") for _ in range(5)]
        worker.link.plan = ["after"]
        assert worker.turn.take() == 5
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        assert [(rig.row(i).status, rig.row(i).claims) for i in ids] == [("completed", 1)] * 5

    def test_ends_and_claims_of_one_turn(self, rig: Rig) -> None:
        """Rule 6: both halves had passed; neither is done again, and what was claimed is run."""
        worker = used_to(rig.worker(), "noop")
        ids = [rig.dispatch("noop") for _ in range(6)]
        assert worker.turn.take(3) == 3
        worker.link.plan = ["after"]
        assert worker.turn.take(3) == 3
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        assert [(rig.row(i).status, rig.row(i).claims) for i in ids] == [("completed", 1)] * 6

    @ONE_OF_EACH
    def test_a_commit_that_is_still_on_its_way(self, rig: Rig) -> None:
        """Rule 6: the next claim waits for its rows, and then they are adopted."""
        worker = used_to(rig.worker(), "noop")
        ids = [rig.dispatch("noop") for _ in range(5)]
        worker.link.plan = ["late"]
        assert worker.turn.take() == 5
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        assert [(rig.row(i).status, rig.row(i).claims) for i in ids] == [("completed", 1)] * 5

    def test_ends_are_not_doubled(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        """Rule 6: one attempts row, one failed_jobs row, one copy of the log, no word of a refusal."""
        worker = used_to(rig.worker(), "hello", "give_up", "again", "noop")
        ids = [rig.dispatch(name) for name in ("hello", "give_up", "again")]
        worker.turn.take()
        more = rig.dispatch("noop")
        worker.link.plan = ["after", "after", "before"]
        with caplog.at_level(logging.WARNING):
            assert worker.turn.take(wait=0) == 1
        assert statuses(rig.store, ids) == ["completed", "failed", "scheduled"]
        assert rig.row(ids[0]).logs.count("hello") == 1
        assert [len(attempts_of(rig.store, i)) for i in ids] == [0, 1, 1]
        assert [len(failed_rows(rig.store, i)) for i in ids] == [0, 1, 0]
        assert [r.message for r in caplog.records if "refused" in r.message] == []
        worker.drain()
        assert rig.calls[3:] == [(more, 1)]

    def test_a_release_is_pushed_all_the_same(self, rig: Rig) -> None:
        """Rule 14: a released job is back in its line though the answer was lost."""
        worker = used_to(rig.worker(), "noop", "slow")
        ids = [rig.dispatch("slow", {"seconds": 0.06}), rig.dispatch("noop")]
        worker.stopping = True
        worker.turn.take()
        worker.link.plan = [None, "after"]
        worker.turn.settle()
        assert statuses(rig.store, ids) == ["completed", "queued"]
        assert rig.engine.missing([place(rig.store, ids[1])]) == []

    @pytest.mark.parametrize("seed", range(2))
    def test_a_stormy_day(self, rig: Rig, seed: int, monkeypatch: Any) -> None:
        """Whatever breaks and when: each job runs once, each end is recorded once, nothing is left."""
        monkeypatch.setattr(Exchange, "_jitter", lambda _self: 0.0)
        dice = random.Random(seed)
        expected = {"noop": "completed", "slow": "completed", "give_up": "failed", "boom": "scheduled"}
        worker = used_to(rig.worker(), "noop", "give_up", "boom")  # and slow ones are given back again
        ids = [rig.dispatch(dice.choice([*expected])) for _ in range(40)]
        for _ in range(30):
            worker.link.plan = [dice.choice(["away", "before", "after", "after", None]) for _ in range(3)]
            worker.receiver.look_again()
            worker.turn.take(dice.choice([1, 3, 9]), wait=0)
        worker.link.plan = []
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        for job_id in ids:
            row = rig.row(job_id)
            assert (row.status, row.attempts) == (expected[row.type], 1)
            assert len(attempts_of(rig.store, job_id)) == (row.type in ("give_up", "boom"))
            assert len(failed_rows(rig.store, job_id)) == (row.type == "give_up")


class TestOnTheWayOut:
    """An error that no outage explains ends the worker: what its ``shutdown`` does then."""

    def test_what_ran_is_recorded_and_does_not_run_again(self, rig: Rig) -> None:
        """The results of the turn that broke are still in the hand."""
        worker = used_to(rig.worker(), "noop", "boom")
        ids = [*(rig.dispatch("noop") for _ in range(3)), rig.dispatch("boom")]
        assert worker.turn.take() == 4
        more = rig.dispatch("noop")
        claim = worker.receiver.claim

        def broken(*_: Any) -> Any:
            raise SchemaError("no such column")

        worker.receiver.claim = broken
        with pytest.raises(SchemaError):
            worker.turn.take(wait=0)
        worker.receiver.claim = claim
        worker.turn.close()
        rig.store.run(release_all, worker.uuid)
        assert worker.hand.ids() == set()
        assert statuses(rig.store, ids) == ["completed"] * 3 + ["scheduled"]
        rig.engine.push([place(rig.store, more)])  # what was popped is lost, as reconcile finds out
        assert rig.worker().drain() == 1
        assert sorted(rig.calls) == [(job_id, 1) for job_id in [*ids, more]]


class TestAway:
    def test_nothing_is_popped_and_results_are_kept(self, rig: Rig, monkeypatch: Any) -> None:
        """Rule 12: while the database is away nothing more is popped, and what finished is not lost."""
        worker = used_to(rig.worker(most=2), "noop")
        ids = [rig.dispatch("noop") for _ in range(6)]
        assert worker.turn.take(wait=0) == 2
        received: list[Ticket | None] = []
        receive = worker.receiver.receive

        def spy(limit: int, wait: float) -> Ticket | None:
            received.append(receive(limit, wait))
            return received[-1]

        worker.receiver.receive = spy
        waits: list[float] = []
        jitter = Exchange._jitter
        monkeypatch.setattr(Exchange, "_jitter", lambda self: waits.append(jitter(self)) or 0.0)
        worker.link.plan = ["away", "before", *["away"] * 8]
        assert worker.turn.take(wait=0) == 2
        assert len(received) == 1, "one pop, kept until the database was back"
        assert len(waits) == 10
        assert max(waits) <= 2.0
        assert waits[0] <= 0.1
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        assert {rig.row(i).claims for i in ids} == {1}

    @pytest.mark.parametrize(("store", "rig"), [("sqlite", "redis")], indirect=True, ids=["sqlite-redis"])
    def test_a_queue_that_is_away_is_waited_for(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("noop")
        worker.turn.take()
        second = rig.dispatch("noop")
        receive = worker.receiver.receive

        def away(_limit: int, _wait: float) -> None:
            raise QueueUnavailable("away")

        worker.receiver.receive = away
        with caplog.at_level(logging.WARNING):
            assert [worker.turn.take() for _ in range(4)] == [0] * 4
        assert rig.row(job_id).status == "completed", "the database is there, so ends are recorded"
        assert len([r for r in caplog.records if "waits for it" in r.message]) <= 2, "once, not every time"
        assert worker.pauses, "it does not spin"
        assert not worker.turn.idle
        worker.receiver.receive = receive
        assert worker.drain() == 1
        assert rig.row(second).status == "completed"

    @ONE_OF_EACH
    def test_a_deadlock_resends_the_turn_and_runs_no_job_again(self, rig: Rig, monkeypatch: Any) -> None:
        """Rule 10: the victim's transaction is sent again; its jobs have run once."""
        worker = used_to(rig.worker(), "noop")
        ids = [rig.dispatch("noop") for _ in range(4)]
        worker.turn.take(2)
        link, victims = worker.link.transaction, []

        @contextmanager
        def deadlock(alone: bool = False) -> Iterator[Any]:
            if len(victims) < 2:
                victims.append(1)
                with link() as connection:  # not alone: what it did is undone
                    yield connection
                    raise OperationalError("claim", {}, Exception("deadlock"))
            with link(alone) as connection:
                yield connection

        worker.link.transaction = deadlock
        monkeypatch.setattr(rig.store.dialect, "is_deadlock", lambda error: "deadlock" in str(error))
        assert worker.turn.take(2) == 2
        worker.drain()
        assert sorted(rig.calls) == [(job_id, 1) for job_id in ids]
        assert len(victims) == 2
        assert {rig.row(i).claims for i in ids} == {1}

    @ONE_OF_EACH
    def test_deadlocks_without_end_are_a_database_that_is_away(self, rig: Rig, monkeypatch: Any) -> None:
        """Rule 10: a worker whose turn is the victim again and again waits, and loses no result."""
        monkeypatch.setattr(database_module, "DEADLOCK_TRIES", 2)
        monkeypatch.setattr(rig.store.dialect, "is_deadlock", lambda error: "deadlock" in str(error))

        def deadlock(_connection: Any, _dialect: Any) -> None:
            raise OperationalError("claim", {}, Exception("deadlock"))

        with pytest.raises(StoreUnavailable):
            rig.store.run(deadlock)


@ONE_OF_EACH
class TestCompleting:
    """The job's own SQL and its completion: both, exactly once, or neither."""

    @pytest.fixture
    def effects(self, rig: Rig) -> Iterator[Callable[[], list[tuple[int, int]]]]:
        with rig.store.transaction() as connection:
            connection.execute(text("DROP TABLE IF EXISTS effect"))  # the database is shared by the suites
            connection.execute(text("CREATE TABLE effect (job_id INTEGER, attempt INTEGER)"))

        def read() -> list[tuple[int, int]]:
            with rig.store.reading() as connection:
                found = connection.execute(text("SELECT job_id, attempt FROM effect"))
                return [tuple(row) for row in found]

        yield read
        with rig.store.transaction() as connection:
            connection.execute(text("DROP TABLE effect"))

    def test_both_in_one_commit(self, rig: Rig, effects: Any) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("paid")
        with counted_commits(rig.store) as commits:
            worker.turn.take()
            assert len(commits) == 2, "the claim, and the job's own"
        row = rig.row(job_id)
        assert (row.status, row.completed_code, row.attribs["receipt"]) == ("completed", "paid", 7)
        assert row.logs.count("paying") == 1
        assert effects() == [(job_id, 1)]
        worker.drain()
        assert rig.row(job_id).claims == 1

    def test_an_error_inside_is_a_failed_attempt(self, rig: Rig, effects: Any) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("paid", {"then": "inside"})
        worker.drain()
        assert effects() == []
        row = rig.row(job_id)
        assert (row.status, row.error_message) == ("failed", "ValueError: inside")

    @pytest.mark.parametrize("then", ["after", "twice"])
    def test_what_comes_after_it_is_only_logged(self, rig: Rig, effects: Any, then: str) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("paid", {"then": then})
        worker.drain()
        assert effects() == [(job_id, 1)]
        row = rig.row(job_id)
        assert (row.status, row.error_message) == ("completed", None)
        assert attempts_of(rig.store, job_id) == []

    def test_an_attempt_that_was_lost_writes_nothing(
        self, rig: Rig, effects: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Rule 2: the fence holds for the job's own transaction too, and the job is told."""
        worker = rig.worker()
        job_id = rig.dispatch("paid")
        begin = worker.runner.begin

        def steal(claim: Any) -> Any:
            change(rig.store, claim.id, claims=9)
            return begin(claim)

        worker.runner.begin = steal
        worker.turn.take()
        assert "AttemptLost" in caplog.text
        worker.turn.take(wait=0)
        assert effects() == []
        assert rig.row(job_id).status == "running"

    def test_a_lost_answer_is_asked_of_the_row(
        self, rig: Rig, effects: Any, monkeypatch: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Rule 6: the COMMIT passed, so the attempt is completed and is not made again."""
        worker = rig.worker()
        job_id = rig.dispatch("paid")
        commit = Session.commit

        def lost(session: Any) -> None:
            commit(session)
            raise OperationalError("COMMIT", {}, Exception("gone away"))

        monkeypatch.setattr(Session, "commit", lost)
        worker.turn.take()
        worker.turn.take(wait=0)
        monkeypatch.undo()
        assert effects() == [(job_id, 1)]
        assert rig.row(job_id).status == "completed"
        assert caplog.text == "", "the job itself never noticed"
        worker.drain()
        assert rig.calls == [(job_id, 1)]

    def test_a_commit_that_never_was(self, rig: Rig, effects: Any, monkeypatch: Any) -> None:
        worker = rig.worker()
        job_id = rig.dispatch("paid")

        def away(session: Any) -> None:
            raise OperationalError("COMMIT", {}, Exception("gone away"))

        monkeypatch.setattr(Session, "commit", away)
        worker.turn.take()
        worker.turn.take(wait=0)
        monkeypatch.undo()
        assert effects() == []
        assert rig.row(job_id).status == "failed"


def place(store: Database, job_id: int) -> InLine:
    row = row_of(store, job_id)
    return InLine(row.id, row.queue, row.rank)


def promote_now(rig: Rig, job_id: int) -> None:
    change(rig.store, job_id, status="queued")
    rig.engine.push([place(rig.store, job_id)])
