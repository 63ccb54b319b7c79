"""Write new rows: one statement for any number of jobs of one type."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple
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
    literal_column,
    null,
    select,
    update,
)

from jobman_cli.core.clock import PRIORITY_STEP
from jobman_cli.errors import JobNotFound, StoreUnavailable
from jobman_cli.store.database import compact_json
from jobman_cli.store.dialects import Dialect, Kind
from jobman_cli.store.lifecycle.unique import key_holders
from jobman_cli.store.tables import JOBS, Job, as_utc, new_row

#: What the database decides about a new row.
_WRITTEN = (JOBS.c.id, JOBS.c.rank, JOBS.c.created_at, JOBS.c.queued_at, JOBS.c.available_at)
#: A row of those.
Written = Sequence[Any]
_first = itemgetter(0)
#: How often a key may be found taken, and its holder gone a moment later.
KEY_TRIES = 8


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


#: One job, ready for ``insert_job``: its attribs as JSON text, and its unique key.
Ready = tuple[NewJob, str, str | None]


class InLine(NamedTuple):
    """A row that belongs into a queue. A tuple, because a dispatch of many makes one a job.

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
    queue = new.queue
    return [InLine(job_id, queue, rank) for job_id, rank in rows]


def insert_row(connection: Connection, dialect: Dialect, new: NewJob, attribs: str) -> Written:
    """Write one row, in one statement where INSERT gives back what it wrote.

    Args:
        attribs: As for ``insert_jobs``.
    """
    if not dialect.insert_returning:
        return insert_rows(connection, dialect, new, [attribs])[0]
    dialect.adopt(connection)
    values = _shared(new) | {"new_attribs": attribs}
    rows: Sequence[Written] = dialect.send(connection, _insert_one(dialect, new.delay is not None), values)
    return rows[0]


def insert_rows(
    connection: Connection, dialect: Dialect, new: NewJob, attribs: Sequence[str]
) -> Sequence[Written]:
    """As ``insert_row``, for each of ``attribs``, in their order; still one statement."""
    return _write(connection, dialect, new, attribs, _WRITTEN)


def place_of(new: NewJob, row: Written) -> InLine:
    """A new row's place in its line."""
    return InLine(row[0], new.queue, row[1])


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows for some keys.

    Attributes:
        ids: The job of each key, in the order of the keys: written now, or there already.
        written: The rows that were written, in that order.
    """

    ids: list[int]
    written: list[InLine]


def insert_unique(
    connection: Connection, dialect: Dialect, new: NewJob, attribs: Sequence[str], keys: Sequence[str]
) -> Placed:
    """Write one row for each key that no unfinished job bears, whatever the number in one statement.

    Args:
        attribs: As for ``insert_jobs``; of several with one key the first is written.
        keys: The unique key of each.

    Raises:
        StoreUnavailable: when jobs of a key came and went each time that it was looked at.
    """
    left: dict[str, str] = {}
    for key, text in zip(keys, attribs, strict=True):
        left.setdefault(key, text)
    ids: dict[str, int] = {}
    written: list[InLine] = []
    for _ in range(KEY_TRIES):
        returning = (JOBS.c.id, JOBS.c.rank, JOBS.c.unique_key)
        for job_id, rank, key in _write(connection, dialect, new, list(left.values()), returning, list(left)):
            ids[key] = job_id
            written.append(InLine(job_id, new.queue, rank))
        if taken := [key for key in left if key not in ids]:
            ids |= key_holders(connection, dialect, taken)
        left = {key: left[key] for key in taken if key not in ids}
        if not left:
            return Placed([ids[key] for key in keys], written)
    raise StoreUnavailable(
        f"jobs with the unique key {next(iter(left))!r} came and went {KEY_TRIES} times", hint="Try again."
    )


def insert_job(
    connection: Connection, dialect: Dialect, new: NewJob, attribs: str, key: str | None = None
) -> tuple[Job, InLine | None]:
    """Write one row, unless an unfinished job bears its unique key. Without a key it is one statement, where
    INSERT gives back what it wrote.

    Returns:
        The row as it was written, and its place in the line; or the row that bears the key, and None.
    """
    if key is not None:
        placed = insert_unique(connection, dialect, new, [attribs], [key])
        there = dialect.as_committed(select(JOBS).where(JOBS.c.id == placed.ids[0]))
        if (found := connection.execute(there).mappings().first()) is None:
            raise JobNotFound(f"job {placed.ids[0]} bore the key {key!r} and is deleted", hint="Try again.")
        return Job(**found), placed.written[0] if placed.written else None
    row = insert_row(connection, dialect, new, attribs)
    return job_of(new, attribs, row), place_of(new, row)


def job_of(new: NewJob, attribs: str, row: Written) -> Job:
    """The row as it was written."""
    job_id, rank, created_at, queued_at, available_at = row
    return new_row(
        id=job_id,
        rank=rank,
        created_at=as_utc(created_at),
        queued_at=None if queued_at is None else as_utc(queued_at),
        available_at=None if available_at is None else as_utc(available_at),
        type=new.type,
        queue=new.queue,
        priority=new.priority,
        status="queued" if new.delay is None else "scheduled",
        attribs=json.loads(attribs),
        tags=list(new.tags) or None,
        tries=new.tries,
        timeout=new.timeout,
    )


def _write(
    connection: Connection,
    dialect: Dialect,
    new: NewJob,
    attribs: Sequence[str],
    returning: tuple[Any, ...],
    keys: Sequence[str] | None = None,
) -> list[Any]:
    dialect.adopt(connection)
    documents = ['{"attribs":' + compact_json(text) + "}" for text in attribs]
    if keys is not None:
        pairs = zip(attribs, keys, strict=True)
        documents = [compact_json({"attribs": text, "unique_key": key}) for text, key in pairs]
    delayed, keyed = new.delay is not None, keys is not None
    values = _shared(new) | {"new": "[" + ",".join(documents) + "]"}
    # MariaDB's RETURNING would also hand back the rows that were there.
    if dialect.insert_returning and (dialect.update_returning or not keyed):
        rows = dialect.send(connection, _insert(dialect, delayed, keyed, returning), values)
    else:
        rows = _insert_by_token(connection, dialect, delayed, keyed, returning, values)
    return sorted(rows, key=_first)


def _shared(new: NewJob) -> dict[str, Any]:
    values = {
        "new_type": new.type,
        "new_queue": new.queue,
        "new_priority": new.priority,
        "new_tries": new.tries,
        "new_timeout": new.timeout,
        "new_tags": compact_json(new.tags) if new.tags else None,
    }
    return values if new.delay is None else values | {"new_delay": new.delay}


@cache
def _insert_one(dialect: Dialect, delayed: bool) -> Insert:
    attribs = dialect.as_json(bindparam("new_attribs", type_=String))
    return JOBS.insert().values(_columns(dialect, delayed, attribs)).returning(*_WRITTEN)


@cache
def _insert(dialect: Dialect, delayed: bool, keyed: bool, returning: tuple[Any, ...] | None) -> Insert:
    new = dialect.rows("new", attribs=Kind.TEXT, **{"unique_key": Kind.TEXT} if keyed else {})
    columns = _columns(dialect, delayed, dialect.as_json(new.c.attribs))
    if keyed:
        columns["unique_key"] = new.c.unique_key
    if returning is None:
        columns["worker_id"] = cast(bindparam("new_token"), String(36))
    names, rows = list(columns), select(*columns.values()).order_by(new.c.position)
    statement = dialect.insert_or_not(JOBS, names, rows) if keyed else JOBS.insert().from_select(names, rows)
    return statement if returning is None else statement.returning(*returning)


def _columns(dialect: Dialect, delayed: bool, attribs: Any) -> dict[str, Any]:
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
    return {
        "type": cast(bindparam("new_type"), String(190)),
        "queue": cast(bindparam("new_queue"), String(190)),
        "priority": priority,
        "status": literal_column("'scheduled'" if delayed else "'queued'"),
        "attribs": attribs,
        "tags": dialect.as_json(bindparam("new_tags", type_=String)),
        "tries": cast(bindparam("new_tries"), Integer),
        "timeout": cast(bindparam("new_timeout"), Double),
        "attempts": literal_column("0"),
        "claims": literal_column("0"),
        "rescues": literal_column("0"),
        "created_at": dialect.now(),
        **times,
    }


def _insert_by_token(
    connection: Connection,
    dialect: Dialect,
    delayed: bool,
    keyed: bool,
    returning: tuple[Any, ...],
    values: dict[str, Any],
) -> Sequence[Any]:
    """Where INSERT gives nothing back: mark the rows with a token, read them, take the mark off."""
    token = str(uuid4())
    connection.execute(_insert(dialect, delayed, keyed, None), values | {"new_token": token})
    mine = JOBS.c.worker_id == token
    rows = connection.execute(select(*returning).where(mine)).all()
    connection.execute(update(JOBS).where(mine).values(worker_id=None))
    return rows
