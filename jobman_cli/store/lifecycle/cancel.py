"""Cancel: one statement, whose CASE decides by the state that the row has at that very moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, case, func, literal_column, select, text

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.move import Move
from jobman_cli.store.tables import JOBS

_WAITING = "status IN ('pending', 'queued', 'scheduled')"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of one job.

    Attributes:
        status: ``cancelled``, or ``running``: it has been asked to stop.
    """

    id: int
    queue: str
    status: str


def cancel_jobs(connection: Connection, dialect: Dialect, ids: list[int]) -> list[Cancelled]:
    """Cancel waiting jobs, ask running ones to stop; finished ones are left as they are.

    Returns:
        The rows that were touched, in id order.
    """
    rows = _by_ids(dialect)(connection, {"ids": dialect.id_list(ids)})
    return _sorted(rows)


def clear_line(
    connection: Connection, dialect: Dialect, queue: str, after: int, upto: int, limit: int
) -> list[Cancelled]:
    """Cancel some of a queue's waiting jobs, scheduled ones included.

    Args:
        after: Only ids above this one.
        upto: Only ids up to this one.

    Returns:
        The rows that were cancelled, in id order; empty when none is left.
    """
    values = {"line": queue, "above": after, "highest": upto, "most": limit}
    return _sorted(_by_queue(dialect)(connection, values))


def _sorted(rows: Sequence[Any]) -> list[Cancelled]:
    return sorted((Cancelled(row.id, row.queue, row.status) for row in rows), key=lambda row: row.id)


@cache
def _by_ids(dialect: Dialect) -> Move:
    unfinished = text("status IN ('pending', 'queued', 'scheduled', 'running')")
    pick = select(JOBS.c.id).where(dialect.one_of(JOBS.c.id, "ids"), unfinished)
    return _cancel(dialect, pick.order_by(JOBS.c.id).with_for_update())


@cache
def _by_queue(dialect: Dialect) -> Move:
    pick = (
        select(JOBS.c.id)
        .where(
            JOBS.c.queue == bindparam("line"),
            text(_WAITING),
            JOBS.c.id > bindparam("above"),
            JOBS.c.id <= bindparam("highest"),
        )
        .order_by(JOBS.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update()
    )
    return _cancel(dialect, pick)


def _cancel(dialect: Dialect, pick: Select[Any]) -> Move:
    values = {
        "cancel_requested_at": func.coalesce(JOBS.c.cancel_requested_at, dialect.now()),
        "status": case((text(_WAITING), literal_column("'cancelled'")), else_=JOBS.c.status),
    }
    return Move(dialect, pick, values, (JOBS.c.id, JOBS.c.queue, JOBS.c.status))
