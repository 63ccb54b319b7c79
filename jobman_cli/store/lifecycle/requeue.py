"""Run finished jobs again, with fresh tries and a new place in the line. The fence goes on counting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, cast, delete, literal_column, null, select, text

from jobman_cli.core.clock import PRIORITY_STEP
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.move import Move
from jobman_cli.store.tables import FAILED_JOBS, JOBS


def requeue_jobs(connection: Connection, dialect: Dialect, ids: list[int]) -> list[InLine]:
    """Put finished jobs back into their lines and drop their ``failed_jobs`` rows.

    Returns:
        The rows to push, in id order. Jobs that are not finished are not among them.
    """
    rows = _requeue(dialect, "status IN ('completed', 'failed', 'cancelled')")(
        connection, {"ids": dialect.id_list(ids)}
    )
    moved = _in_line(rows)
    if moved:
        gone = FAILED_JOBS.c.jobman_id.in_([row.id for row in moved])
        connection.execute(delete(FAILED_JOBS).where(gone))
    return moved


def retry_failed(connection: Connection, dialect: Dialect, failed_ids: list[int]) -> tuple[list[InLine], int]:
    """Retry jobs by the ids of their ``failed_jobs`` rows, which go in the same transaction.

    Two retries at once share the rows between them: each row is locked by one.

    Returns:
        The rows to push, in id order, and how many ``failed_jobs`` rows were taken away.
    """
    mine = connection.execute(
        select(FAILED_JOBS.c.id, FAILED_JOBS.c.jobman_id)
        .where(FAILED_JOBS.c.id.in_(failed_ids))
        .order_by(FAILED_JOBS.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    if not mine:
        return [], 0
    ids = dialect.id_list(sorted(row.jobman_id for row in mine))
    rows = _requeue(dialect, "status = 'failed'")(connection, {"ids": ids})
    gone = delete(FAILED_JOBS).where(FAILED_JOBS.c.id.in_([row.id for row in mine]))
    return _in_line(rows), connection.execute(gone).rowcount


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
