"""Write new rows: one statement for any number of jobs of one type."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Connection,
    Double,
    Insert,
    Integer,
    String,
    bindparam,
    cast,
    literal,
    literal_column,
    null,
    select,
    update,
)

from jobman_cli.core.clock import PRIORITY_STEP
from jobman_cli.store.database import compact_json
from jobman_cli.store.dialects import Dialect, Kind
from jobman_cli.store.tables import JOBS, Job


@dataclass(frozen=True, slots=True)
class NewJob:
    """What all rows of one insert share.

    Attributes:
        delay: Seconds until the job is due; None queues it now.
        timeout: Seconds an attempt may take; None is without limit.
    """

    type: str
    queue: str
    priority: int
    tries: int
    timeout: float | None
    tags: tuple[str, ...] = ()
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class InLine:
    """A row that belongs into a queue.

    Attributes:
        rank: Its place there.
    """

    id: int
    queue: str
    rank: int


def insert_jobs(
    connection: Connection, dialect: Dialect, new: NewJob, attribs: Sequence[str]
) -> list[InLine]:
    """Write one row for each of ``attribs``, ``queued`` or (with a delay) ``scheduled``.

    Args:
        attribs: Validated attribs as JSON text, an object each.

    Returns:
        The rows, in the order of ``attribs``.
    """
    rows = _write(connection, dialect, new, attribs, (JOBS.c.id, JOBS.c.rank))
    return [InLine(row.id, new.queue, row.rank) for row in rows]


def insert_job(connection: Connection, dialect: Dialect, new: NewJob, attribs: str) -> tuple[Job, InLine]:
    """Write one row.

    Returns:
        The row as it was written, and its place in the line.
    """
    times = (JOBS.c.created_at, JOBS.c.queued_at, JOBS.c.available_at)
    row = _write(connection, dialect, new, [attribs], (JOBS.c.id, JOBS.c.rank, *times))[0]
    job = Job(
        id=row.id,
        rank=row.rank,
        created_at=row.created_at,
        queued_at=row.queued_at,
        available_at=row.available_at,
        type=new.type,
        queue=new.queue,
        priority=new.priority,
        status="queued" if new.delay is None else "scheduled",
        attribs=json.loads(attribs),
        tags=list(new.tags) or None,
        tries=new.tries,
        timeout=new.timeout,
    )
    return job, InLine(row.id, new.queue, row.rank)


def _write(
    connection: Connection, dialect: Dialect, new: NewJob, attribs: Sequence[str], returning: tuple[Any, ...]
) -> list[Any]:
    dialect.adopt(connection)
    delayed = new.delay is not None
    values: dict[str, Any] = {
        "new_type": new.type,
        "new_queue": new.queue,
        "new_priority": new.priority,
        "new_tries": new.tries,
        "new_timeout": new.timeout,
        "new_tags": compact_json(new.tags) if new.tags else None,
        "new": "[" + ",".join(['{"attribs":' + compact_json(text) + "}" for text in attribs]) + "]",
    }
    if delayed:
        values["new_delay"] = new.delay
    if dialect.insert_returning:
        rows = connection.execute(_insert(dialect, delayed, returning), values).all()
    else:
        rows = _insert_by_token(connection, dialect, delayed, returning, values)
    return sorted(rows, key=lambda row: row.id)


@cache
def _insert(dialect: Dialect, delayed: bool, returning: tuple[Any, ...] | None) -> Insert:
    new = dialect.rows("new", attribs=Kind.TEXT)
    priority = cast(bindparam("new_priority"), Integer)
    ahead = cast(priority, BigInteger) * literal_column(str(PRIORITY_STEP))
    now_ms = dialect.now_ms()
    if delayed:
        delay = cast(bindparam("new_delay"), Double)
        due_ms = now_ms + cast(delay * 1000, BigInteger)
        times = {"queued_at": null(), "available_at": dialect.later(delay), "rank": due_ms - ahead}
    else:
        times = {
            "queued_at": dialect.now(),
            "available_at": null(),
            "rank": now_ms - ahead,
        }
    columns: dict[str, Any] = {
        "type": cast(bindparam("new_type"), String(190)),
        "queue": cast(bindparam("new_queue"), String(190)),
        "priority": priority,
        "status": literal("scheduled" if delayed else "queued", literal_execute=True),
        "attribs": dialect.as_json(new.c.attribs),
        "tags": dialect.as_json(bindparam("new_tags", type_=String)),
        "tries": cast(bindparam("new_tries"), Integer),
        "timeout": cast(bindparam("new_timeout"), Double),
        "attempts": literal(0, literal_execute=True),
        "claims": literal(0, literal_execute=True),
        "rescues": literal(0, literal_execute=True),
        "created_at": dialect.now(),
        **times,
    }
    if returning is None:
        columns["worker_id"] = cast(bindparam("new_token"), String(36))
    statement = JOBS.insert().from_select(list(columns), select(*columns.values()).order_by(new.c.position))
    return statement if returning is None else statement.returning(*returning)


def _insert_by_token(
    connection: Connection,
    dialect: Dialect,
    delayed: bool,
    returning: tuple[Any, ...],
    values: dict[str, Any],
) -> Sequence[Any]:
    """Where INSERT gives nothing back: mark the rows with a token, read them, take the mark off."""
    token = str(uuid4())
    connection.execute(_insert(dialect, delayed, None), values | {"new_token": token})
    mine = JOBS.c.worker_id == token
    rows = connection.execute(select(*returning).where(mine)).all()
    connection.execute(update(JOBS).where(mine).values(worker_id=None))
    return rows
