"""Into the line and to its door: due jobs become ``queued``, pushes that failed are marked ``pending``."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Update,
    bindparam,
    cast,
    literal_column,
    select,
    text,
    update,
)

from jobman_cli.core.clock import PRIORITY_STEP
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.move import Move
from jobman_cli.store.tables import DUE, IN_LINE, JOBS

#: Rows in one statement.
BATCH = 1000


def promote_due(connection: Connection, dialect: Dialect, limit: int = BATCH) -> list[InLine]:
    """Make ``scheduled`` jobs whose time has come ``queued``; they join the end of their line.

    Returns:
        The rows to push.
    """
    return _rows(_promote(dialect)(connection, {"most": limit}))


def mark_pending(connection: Connection, dialect: Dialect, ids: list[int]) -> int:
    """Say that a push failed, unless the job was claimed meanwhile: the push may have arrived.

    Returns:
        How many rows were marked.
    """
    return connection.execute(_mark_pending(dialect), {"ids": dialect.id_list(ids)}).rowcount


def pending_jobs(
    connection: Connection, dialect: Dialect, after: int = 0, limit: int = BATCH
) -> list[InLine]:
    """Rows that wait for a push, by id, above the id ``after``."""
    rows = connection.execute(
        select(JOBS.c.id, JOBS.c.queue, JOBS.c.rank)
        .where(JOBS.c.status == "pending", JOBS.c.id > after)
        .order_by(JOBS.c.id)
        .limit(limit)
    ).all()
    return _rows(rows)


def queued_jobs(connection: Connection, dialect: Dialect, after: int = 0, limit: int = BATCH) -> list[InLine]:
    """Rows that are to be in their lines, by id, above the id ``after``."""
    rows = connection.execute(
        select(JOBS.c.id, JOBS.c.queue, JOBS.c.rank)
        .where(JOBS.c.status == "queued", JOBS.c.id > after)
        .order_by(JOBS.c.id)
        .limit(limit)
    ).all()
    return _rows(rows)


def mark_queued(connection: Connection, dialect: Dialect, ids: list[int]) -> int:
    """Say that ``pending`` rows have been pushed; called after the push, never before.

    Returns:
        How many rows were marked.
    """
    return connection.execute(_mark_queued(dialect), {"ids": dialect.id_list(ids)}).rowcount


def _rows(rows: Any) -> list[InLine]:
    return [InLine(row.id, row.queue, row.rank) for row in rows]


@cache
def _promote(dialect: Dialect) -> Move:
    pick = (
        select(JOBS.c.id)
        .where(text(DUE), JOBS.c.available_at <= dialect.now())
        .order_by(JOBS.c.available_at)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    values = {
        "status": literal_column("'queued'"),
        "queued_at": dialect.now(),
        "rank": dialect.now_ms() - cast(JOBS.c.priority, BigInteger) * literal_column(str(PRIORITY_STEP)),
    }
    return Move(dialect, pick, values, (JOBS.c.id, JOBS.c.queue, JOBS.c.rank))


@cache
def _mark_pending(dialect: Dialect) -> Update:
    return (
        update(JOBS)
        .where(dialect.one_of(JOBS.c.id, "ids"), text(IN_LINE), JOBS.c.status == "queued", JOBS.c.claims == 0)
        .values(status="pending")
    )


@cache
def _mark_queued(dialect: Dialect) -> Update:
    return (
        update(JOBS)
        .where(dialect.one_of(JOBS.c.id, "ids"), JOBS.c.status == "pending")
        .values(status="queued")
    )
