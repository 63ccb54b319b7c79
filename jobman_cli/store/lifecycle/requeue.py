"""Run finished jobs again, with fresh tries and a new place in the line. The fence goes on counting.

A job whose unique key is borne by another that is not finished stays as it is. Whoever takes the key between
the look and the UPDATE makes the UPDATE fail at the unique index, and ``Database.run`` looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, cast, delete, literal_column, null, select, text

from jobman_cli.core.clock import PRIORITY_STEP
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.move import Move
from jobman_cli.store.lifecycle.unique import Conflict, part_by_key
from jobman_cli.store.tables import FAILED_JOBS, JOBS

#: Jobs that ``requeue_jobs`` and ``retry_failed`` take.
_FINISHED, _FAILED = "status IN ('completed', 'failed', 'cancelled')", "status = 'failed'"


@dataclass(frozen=True, slots=True)
class Again:
    """What runs again.

    Attributes:
        rows: To be pushed, in id order.
        conflicts: Jobs whose unique key another job bears.
    """

    rows: list[InLine]
    conflicts: list[Conflict]


def requeue_jobs(connection: Connection, dialect: Dialect, ids: list[int]) -> Again:
    """Put finished jobs back into their lines and drop their ``failed_jobs`` rows.

    Args:
        ids: Ascending. Jobs that are not finished are left alone.
    """
    free, conflicts = part_by_key(connection, dialect, ids, _FINISHED)
    moved = _in_line(_requeue(dialect, _FINISHED)(connection, {"ids": dialect.id_list(free)}))
    if moved:
        gone = FAILED_JOBS.c.jobman_id.in_([row.id for row in moved])
        connection.execute(delete(FAILED_JOBS).where(gone))
    return Again(moved, conflicts)


def retry_failed(connection: Connection, dialect: Dialect, failed_ids: list[int]) -> Again:
    """Retry jobs by the ids of their ``failed_jobs`` rows, which go in the same transaction.

    Two retries at once share the rows between them: each row is locked by one.
    """
    mine = connection.execute(
        select(FAILED_JOBS.c.id, FAILED_JOBS.c.jobman_id)
        .where(FAILED_JOBS.c.id.in_(failed_ids))
        .order_by(FAILED_JOBS.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    if not mine:
        return Again([], [])
    free, conflicts = part_by_key(connection, dialect, sorted(row.jobman_id for row in mine), _FAILED)
    rows = _requeue(dialect, _FAILED)(connection, {"ids": dialect.id_list(free)})
    kept = {conflict.id for conflict in conflicts}
    gone = [row.id for row in mine if row.jobman_id not in kept]
    connection.execute(delete(FAILED_JOBS).where(FAILED_JOBS.c.id.in_(gone)))
    return Again(_in_line(rows), conflicts)


def _in_line(rows: Sequence[Any]) -> list[InLine]:
    return sorted((InLine(row.id, row.queue, row.rank) for row in rows), key=lambda row: row.id)


@cache
def _requeue(dialect: Dialect, condition: str) -> Move:
    pick = (
        select(JOBS.c.id)
        .where(dialect.one_of(JOBS.c.id, "ids"), text(condition))
        .order_by(JOBS.c.id)
        .with_for_update()
    )
    values = {
        "status": literal_column("'queued'"),
        "attempts": literal_column("0"),
        "rescues": literal_column("0"),
        "worker_id": null(),
        "progress": null(),
        "completed_code": null(),
        "started_at": null(),
        "completed_at": null(),
        "available_at": null(),
        "cancel_requested_at": null(),
        "queued_at": dialect.now(),
        "rank": dialect.now_ms() - cast(JOBS.c.priority, BigInteger) * literal_column(str(PRIORITY_STEP)),
    }
    return Move(dialect, pick, values, (JOBS.c.id, JOBS.c.queue, JOBS.c.rank))
