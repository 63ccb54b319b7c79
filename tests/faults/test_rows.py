"""What the rows say when a worker, a claim or a COMMIT comes too late: rules 1, 4, 5, 6, 9 and 14."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rig import Rig, add_jobs, add_worker, attempts_of, change, row_of, set_worker, statuses
from sqlalchemy import select

from jobman_cli.core.outcome import Outcome, OutcomeKind
from jobman_cli.operations.line import promote
from jobman_cli.operations.rescue import rescue_dead, rescue_orphans
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import claim_ids
from jobman_cli.store.lifecycle.finish import Finish, fail
from jobman_cli.store.lifecycle.release import release
from jobman_cli.store.lifecycle.requeue import requeue_jobs
from jobman_cli.store.lifecycle.workers import lose, tidy
from jobman_cli.store.tables import JOBS, WORKERS


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
    worker.exchange._next_look = 0.0
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


def test_lose_leaves_a_locked_row_to_the_other(store: Database) -> None:
    """Rule 5: two judges share the workers between them."""
    if store.dialect.name == "sqlite":
        assert store.run(lose, [add_worker(store)])  # one writer at a time, by itself
        return
    worker = add_worker(store)
    with store.transaction() as connection:
        assert lose(connection, store.dialect, [worker]) == [worker]
        assert store.run(lose, [worker]) == []


def test_rounds_of_repair_at_once(store: Database, tmp_path: Path) -> None:
    """Eight processes may look after the same rows: each job is taken back, or queued, by one of them."""
    rig, rounds = Rig(store, "database", tmp_path), 8
    dead, lost = add_worker(store), add_worker(store)
    jobs, orphans, due = add_jobs(store, 20), add_jobs(store, 20), add_jobs(store, 20, delay=60.0)
    store.run(claim_ids, dead, jobs)
    store.run(claim_ids, lost, orphans)
    set_worker(store, lost, "lost")
    for job in due:
        change(store, job, available_at=datetime.now(UTC) - timedelta(minutes=1))
    gate = threading.Barrier(rounds, timeout=30)

    def look(_number: int) -> tuple[list[int], int]:
        gate.wait()
        taken = rescue_dead(rig.parts, [dead], "it died")
        taken.add(rescue_orphans(rig.parts))
        return taken.rescued, promote(rig.parts)

    with ThreadPoolExecutor(rounds) as pool:
        found = list(pool.map(look, range(rounds)))
    assert sorted(job for rescued, _ in found for job in rescued) == jobs + orphans
    assert sum(promoted for _, promoted in found) == len(due)
    assert set(statuses(store, jobs + orphans + due)) == {"queued"}
    for job in jobs + orphans:
        assert (row_of(store, job).rescues, len(attempts_of(store, job))) == (1, 1)
    rig.close()
