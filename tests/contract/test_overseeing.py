"""What the dashboard looks at, on every database: rounds of repair, lines, pauses, who runs what, memory."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, add_jobs, add_worker, change
from sqlalchemy import select

from jobman_cli.errors import StoreUnavailable
from jobman_cli.operations import journal
from jobman_cli.operations.journal import note_reconciliation, reconciliations
from jobman_cli.operations.line import push_pending
from jobman_cli.operations.metrics import metrics
from jobman_cli.operations.reconcile import push_overtaken, rebuild
from jobman_cli.operations.requeue import look_unqueued, requeue_unqueued, sample_unqueued
from jobman_cli.operations.supervision import pause, paused_queues_until, resume, running_by_worker
from jobman_cli.runtime.identity import resident_bytes
from jobman_cli.store.lifecycle.metrics import Count, add_counts
from jobman_cli.store.lifecycle.workers import heartbeat
from jobman_cli.store.queries import database_now
from jobman_cli.store.queries_fleet import count_lines
from jobman_cli.store.tables import WORKERS

REDIS = pytest.mark.parametrize("rig", ["redis"], indirect=True)
#: The kinds of database are the contract suite's own matter; one is enough for what Redis is asked.
SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def plain(store: Any, tmp_path: Path) -> Any:
    rig = Rig(store, "database", tmp_path)
    yield rig
    rig.close()


def rounds(rig: Rig) -> list[tuple[str, int]]:
    return [(row.kind, row.pushed) for row in reconciliations(rig.parts)]


class TestRounds:
    @REDIS
    @SQLITE
    def test_each_kind_is_written_down(self, rig: Rig) -> None:
        assert rebuild(rig.parts) is not None  # a new Redis: it is filled, with nothing
        assert (push_pending(rig.parts), push_overtaken(rig.parts)) == (0, 0)
        assert requeue_unqueued(rig.parts).missing == 0
        assert rounds(rig) == [], "a round that pushes nothing is not worth a row"

        waiting = [rig.dispatch("noop") for _ in range(4)]
        change(rig.store, waiting[3], status="pending")
        assert push_pending(rig.parts) == 1
        rig.engine._client.zpopmin("jobman:queue:default", 1)
        earlier = rig.store.read(database_now) - timedelta(seconds=60)
        change(rig.store, waiting[0], queued_at=earlier)
        assert push_overtaken(rig.parts) == 1
        rig.engine._client.zremrangebyrank("jobman:queue:default", 1, 2)
        requeue_unqueued(rig.parts)
        rig.engine._client.flushdb()
        rebuild(rig.parts)
        assert rounds(rig) == [("rebuild", 4), ("by-hand", 2), ("overtaken", 1), ("pending", 1)]

    @SQLITE
    def test_a_journal_that_cannot_be_written_fails_no_round(
        self, plain: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: Any) -> None:
            raise StoreUnavailable("the disk is full")

        monkeypatch.setattr(journal, "write_reconciliation", broken)
        (job,) = add_jobs(plain.store)
        change(plain.store, job, status="pending")
        assert push_pending(plain.parts) == 1
        assert plain.row(job).status == "queued"
        assert "not written down" in caplog.text

    def test_the_newest_come_first(self, plain: Rig) -> None:
        for number in (3, 0, 5):
            note_reconciliation(plain.parts, "pending", number)
        assert [row.pushed for row in reconciliations(plain.parts, limit=2)] == [5, 3]


class TestSample:
    @REDIS
    @SQLITE
    def test_it_says_how_far_it_got(self, rig: Rig) -> None:
        jobs = [rig.dispatch("noop") for _ in range(3)]
        change(rig.store, jobs[0], status="pending")
        rig.engine.remove("default", [jobs[2]])
        whole = sample_unqueued(rig.parts, 60.0)
        assert (whole.number, whole.first, whole.checked, whole.whole) == (2, [jobs[0], jobs[2]], 2, True)
        assert look_unqueued(rig.parts).number == 2
        short = sample_unqueued(rig.parts, 0.0)
        assert (short.number, short.checked, short.whole) == (1, 0, False), "one batch, then the time is up"

    def test_where_the_table_is_the_line_nothing_is_missing(self, plain: Rig) -> None:
        add_jobs(plain.store, 3)
        found = sample_unqueued(plain.parts, 60.0)
        assert (found.number, found.checked, found.whole) == (0, 0, True)


def test_lines_are_counted_by_state(plain: Rig) -> None:
    add_jobs(plain.store, 3)
    (pending,) = add_jobs(plain.store, queue="mail")
    change(plain.store, pending, status="pending")
    (done,) = add_jobs(plain.store, queue="done")
    change(plain.store, done, status="completed")
    assert {name: tuple(line) for name, line in plain.store.read(count_lines).items()} == {
        "default": (3, 0),
        "mail": (0, 1),
    }


def test_pauses_say_until_when(plain: Rig) -> None:
    pause(plain.parts, "ever")
    pause(plain.parts, "short", 600.0)
    pause(plain.parts, "over", 0.001)
    now = plain.store.read(database_now)
    found = paused_queues_until(plain.parts)
    assert list(found) == ["ever", "short"]
    assert found["ever"] is None
    assert timedelta(seconds=500) < found["short"] - now < timedelta(seconds=601)
    assert resume(plain.parts, "ever")
    assert list(paused_queues_until(plain.parts)) == ["short"]


def test_who_runs_what(plain: Rig) -> None:
    first, second = add_worker(plain.store), add_worker(plain.store)
    jobs = add_jobs(plain.store, 3)
    now = plain.store.read(database_now)
    for job, worker in zip(jobs, (first, second, first), strict=True):
        change(plain.store, job, status="running", worker_id=worker, attempts=1, started_at=now)
    add_jobs(plain.store)
    found = running_by_worker(plain.parts)
    assert {worker: [job.id for job in some] for worker, some in found.items()} == {
        first: [jobs[0], jobs[2]],
        second: [jobs[1]],
    }
    assert found[second][0].started_at == now


def test_a_heartbeat_tells_memory(plain: Rig) -> None:
    mine, other = add_worker(plain.store), add_worker(plain.store)
    plain.store.run(heartbeat, "supervisor", {mine: 70 * 2**20})
    plain.store.run(heartbeat, "supervisor")
    with plain.store.reading() as connection:
        rows = connection.execute(select(WORKERS.c.uuid, WORKERS.c.memory))
        found = {row.uuid: row.memory for row in rows}
    assert found == {mine: 70 * 2**20, other: None}


def test_resident_memory_is_that_of_the_process() -> None:
    size = resident_bytes(os.getpid())
    assert size is not None and 10 * 2**20 < size < 10 * 2**30
    assert resident_bytes(2**22 + 1) is None, "no such process"


def test_equal_parts_of_a_window(plain: Rig) -> None:
    now = int(plain.store.read(database_now).timestamp()) // 60 * 60
    ago = {minutes: now - 60 * minutes for minutes in (0, 1, 2, 12)}
    counts = {(at, "mail", "default"): Count(completed=6, failed_attempts=1) for at in ago.values()}
    plain.store.run(add_counts, counts)
    found = metrics(plain.parts, 1800.0)
    minutes = found.bins(60)
    ended = {int(at.timestamp()): figures.completed + figures.failed_attempts for at, figures in minutes}
    assert {at: number for at, number in ended.items() if number} == {ago[m]: 7 for m in (1, 2, 12)}
    assert len(minutes) in (30, 31) and max(ended) < ago[0] + 60, "the minute that goes on is left out"
    assert dict(minutes)[found.since].per_minute == 0
    tens = found.bins(600)
    assert sum(figures.completed for _, figures in tens) == 18
    assert all((at.timestamp() % 600) == 0 for at, _ in tens)
    (last,) = (figures for at, figures in minutes if int(at.timestamp()) == ago[1])
    assert last.per_minute == pytest.approx(7)
