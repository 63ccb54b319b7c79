"""Take jobs back from workers that are gone.

A job that was started counts a rescue, and its attempt is no try; the place in the line is kept. One
that has been rescued too often kills its workers: it fails, and says so. A job that was asked to stop
ends ``cancelled``. What was claimed and never started is only released.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    String,
    bindparam,
    case,
    cast,
    insert,
    literal,
    null,
    or_,
    select,
    text,
)

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import record_failed_job
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.metrics import MINUTE, Count, CountKey, count_failure
from jobman_cli.store.lifecycle.move import Move
from jobman_cli.store.lifecycle.release import release_all
from jobman_cli.store.tables import ATTEMPTS, JOBS, RUNNING, WORKERS

#: ``jobman_attempts.outcome`` of an attempt that ended with its worker.
RESCUED = "rescued"


@dataclass(slots=True)
class Rescued:
    """What was taken back.

    Attributes:
        rows: To be pushed again.
        rescued: Jobs that were started: ids.
        failed: Those of them that were rescued once too often.
        released: How many jobs had not been started.
        counts: For the metrics: what failed, which no worker counts.
    """

    rows: list[InLine] = field(default_factory=list)
    rescued: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    released: int = 0
    counts: dict[CountKey, Count] = field(default_factory=dict)

    def count(self, job: Any, *, final: bool) -> None:
        """Count the attempt that ended with its worker, in the minute of now.

        Args:
            job: Its row: ``type``, ``queue``, ``rank`` and ``started_at`` are read.
            final: True when the job is failed by it.
        """
        now = time.time()
        one = count_failure(job.rank, job.started_at.timestamp(), now, final=final)
        self._count((int(now) // MINUTE * MINUTE, job.type, job.queue), one)

    def _count(self, key: CountKey, count: Count) -> None:
        self.counts.setdefault(key, Count()).add(count)

    def add(self, other: Rescued) -> None:
        """Both together."""
        self.rows += other.rows
        self.rescued += other.rescued
        self.failed += other.failed
        self.released += other.released
        for key, count in other.counts.items():
            self._count(key, count)


def take_back(
    connection: Connection,
    dialect: Dialect,
    worker: str,
    limit: int,
    engine: str,
    reason: str,
    started: Sequence[int] = (),
    known: bool = False,
) -> Rescued:
    """Take all jobs of one dead worker back, whose row was given up in this very transaction.

    Args:
        limit: Rescues that a job may have; the next death fails it.
        engine: For ``failed_jobs.connection``.
        reason: What happened to the worker, for the attempt's ``error_message``.
        started: Ids of the jobs that ran.
        known: True when ``started`` tells the whole truth: every other job is released. False rescues all.
    """
    taken = Rescued()
    if not known or started:
        some = {"ids": dialect.id_list(list(started))} if known else {}
        rows = _rescue(dialect, known)(connection, {"holder": worker, "limit": limit} | some)
        _note(connection, dialect, rows, worker, limit, engine, reason, taken)
    if known:
        released = release_all(connection, dialect, worker)
        taken.rows += released
        taken.released += len(released)
    return taken


def take_orphans(connection: Connection, dialect: Dialect, limit: int, engine: str, most: int) -> Rescued:
    """Take back running jobs whose worker's row is missing or says that it has ended.

    A claim can commit after its worker was given up: its client died, the server went on.

    Args:
        most: Rows at the most.
    """
    taken = Rescued()
    found = connection.execute(_orphans(dialect), {"most": most}).all()
    for row in found:
        values = {"holder": row.worker_id, "limit": limit, "ids": dialect.id_list([row.id])}
        moved = _rescue(dialect, True)(connection, values)
        _note(connection, dialect, moved, row.worker_id, limit, engine, "its worker is gone", taken)
    return taken


def _note(
    connection: Connection,
    dialect: Dialect,
    rows: Sequence[Any],
    worker: str,
    limit: int,
    engine: str,
    reason: str,
    taken: Rescued,
) -> None:
    for row in sorted(rows, key=lambda row: row.id):
        taken.rescued.append(row.id)
        message = f"worker died: {reason}"
        if row.status == "failed":
            message = f"worker died {row.rescues} times; the last time: {reason}"
            taken.failed.append(row.id)
            taken.count(row, final=True)
            claim = Claim(
                row.id, row.type, row.queue, {}, row.tries, None, row.attempts, row.claims, row.rescues, 0
            )
            record_failed_job(connection, dialect, claim, row, message, engine)
        elif row.status == "queued":
            taken.rows.append(InLine(row.id, row.queue, row.rank))
        values = {
            "jobman_id": row.id,
            "number": row.attempts,
            "claim": row.claims,
            "worker_id": worker,
            "started_at": row.started_at,
            "outcome": RESCUED,
            "error_message": message,
        }
        connection.execute(insert(ATTEMPTS).values(ended_at=dialect.now()), values)


@cache
def _orphans(dialect: Dialect) -> Select[Any]:
    return (
        select(JOBS.c.id, JOBS.c.worker_id)
        .outerjoin(WORKERS, WORKERS.c.uuid == JOBS.c.worker_id)
        .where(text(f"jobmans.{RUNNING}"), or_(WORKERS.c.uuid.is_(None), WORKERS.c.state != "running"))
        .order_by(JOBS.c.id)
        .limit(bindparam("most", type_=Integer))
    )


@cache
def _rescue(dialect: Dialect, some: bool) -> Move:
    pick = select(JOBS.c.id).where(text(RUNNING), JOBS.c.worker_id == bindparam("holder"))
    if some:
        pick = pick.where(dialect.one_of(JOBS.c.id, "ids"))
    again = JOBS.c.rescues + 1 <= bindparam("limit", type_=Integer)
    died = literal("worker died ") + cast(JOBS.c.rescues + 1, String(12)) + literal(" times")
    values = {
        # Assigned before rescues: MySQL's SET sees what was assigned to its left.
        "status": case(
            (JOBS.c.cancel_requested_at.is_not(None), "cancelled"), (again, "queued"), else_="failed"
        ),
        "error_message": case((again, JOBS.c.error_message), else_=died),
        "failed_at": case((again, JOBS.c.failed_at), else_=dialect.now()),
        "worker_id": case((again, null()), else_=JOBS.c.worker_id),
        "rescues": JOBS.c.rescues + 1,
    }
    returning = (
        JOBS.c.id,
        JOBS.c.type,
        JOBS.c.queue,
        JOBS.c.rank,
        JOBS.c.status,
        JOBS.c.attribs,
        JOBS.c.tags,
        JOBS.c.tries,
        JOBS.c.attempts,
        JOBS.c.claims,
        JOBS.c.rescues,
        JOBS.c.started_at,
    )
    # A row that is locked belongs to a transaction that may be frozen for a lease: it is left, and found as
    # an orphan in the next round.
    return Move(dialect, pick.order_by(JOBS.c.id).with_for_update(skip_locked=True), values, returning)
