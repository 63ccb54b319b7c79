"""Write new rows: one statement for any number of jobs of one type."""

from __future__ import annotations

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
from jobman_cli.store.tables import JOBS


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


def insert_jobs(connection: Connection, dialect: Dialect, new: NewJob, attribs: Sequence[str]) -> list[InLine]:
    """Write one row for each of ``attribs``, ``queued`` or (with a delay) ``scheduled``.

    Args:
        attribs: Validated attribs as JSON text, an object each.

    Returns:
        The rows, in the order of ``attribs``.
    """
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
        rows = connection.execute(_insert(dialect, delayed), values).all()
    else:
        rows = _insert_by_token(connection, dialect, delayed, values)
    return sorted((InLine(row.id, new.queue, row.rank) for row in rows), key=lambda row: row.id)


@cache
def _insert(dialect: Dialect, delayed: bool, token: bool = False) -> Insert:
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
    if token:
        columns["worker_id"] = cast(bindparam("new_token"), String(36))
    statement = JOBS.insert().from_select(list(columns), select(*columns.values()).order_by(new.c.position))
    return statement if token else statement.returning(JOBS.c.id, JOBS.c.rank)


def _insert_by_token(connection: Connection, dialect: Dialect, delayed: bool, values: dict[str, Any]) -> Sequence[Any]:
    """Where INSERT gives nothing back: mark the rows with a token, read them, take the mark off."""
    token = str(uuid4())
    connection.execute(_insert(dialect, delayed, token=True), values | {"new_token": token})
    mine = JOBS.c.worker_id == token
    rows = connection.execute(select(JOBS.c.id, JOBS.c.rank).where(mine)).all()
    connection.execute(update(JOBS).where(mine).values(worker_id=None))
    return rows


