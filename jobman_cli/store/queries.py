"""Every read that is not part of a write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Select,
    TextClause,
    and_,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    type_coerce,
)

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.tables import (
    ATTEMPTS,
    DUE,
    IN_LINE,
    JOBS,
    WORKERS,
    Attempt,
    Job,
    UTCDateTime,
    Worker,
)

#: What may be long in a row.
LONG_COLUMNS = ("attribs", "logs", "exception")
#: Counting a place in the line stops here.
FAR = 10_000


@dataclass(frozen=True, slots=True)
class Silence:
    """Jobs of any of these types, or with any of these tags."""

    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; None (or empty) leaves a question open.

    Attributes:
        statuses: Any of these.
        error: Text that the last error message holds, whatever the case.
        since: Made at or after this moment.
        until: Made before this moment.
        before: Only ids below this one: the next page of a list that begins with the newest.
        floor: Only this id and those above it.
        without: None of these that is completed.
        only: None but these.
    """

    statuses: tuple[str, ...] = ()
    type: str | None = None
    queue: str | None = None
    tag: str | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    floor: int | None = None
    without: Silence | None = None
    only: Silence | None = None

    @property
    def indexed(self) -> bool:
        """True when an index leads from one match to the next: then no row is read in vain."""
        asked = (len(self.statuses) > 0, self.type is not None)
        others = (self.queue, self.tag, self.error, self.since, self.until, self.without, self.only)
        return sum(asked) < 2 and len(self.statuses) < 2 and all(each is None for each in others)


def find_job(connection: Connection, dialect: Dialect, job_id: int) -> Job | None:
    """One row."""
    row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).mappings().first()
    return None if row is None else Job(**row)


def find_jobs(connection: Connection, dialect: Dialect, ids: Sequence[int]) -> list[Job]:
    """The rows of some ids, in id order; ids without a row are left out."""
    rows = connection.execute(select(JOBS).where(JOBS.c.id.in_(ids)).order_by(JOBS.c.id)).mappings()
    return [Job(**row) for row in rows]


def list_jobs(
    connection: Connection,
    dialect: Dialect,
    wanted: JobFilter,
    limit: int,
    upward: bool = False,
    brief: bool = False,
) -> list[Job]:
    """A page of jobs, the newest first.

    Args:
        upward: The oldest first.
        brief: Without what may be long: attribs, logs and traceback are not read.
    """
    order = JOBS.c.id.asc() if upward else JOBS.c.id.desc()
    columns = [each for each in JOBS.columns if not (brief and each.name in LONG_COLUMNS)]
    query = _narrow(select(*columns), dialect, wanted).order_by(order).limit(limit)
    return [Job(**row) for row in connection.execute(query).mappings()]


def job_ids(connection: Connection, dialect: Dialect, wanted: JobFilter, after: int, limit: int) -> list[int]:
    """Ids of the jobs that match, ascending, above ``after``."""
    query = _narrow(select(JOBS.c.id), dialect, wanted).where(JOBS.c.id > after)
    return list(connection.execute(query.order_by(JOBS.c.id).limit(limit)).scalars())


def count_jobs(connection: Connection, dialect: Dialect, wanted: JobFilter) -> int:
    """How many jobs match."""
    query = select(func.count()).select_from(JOBS)
    number: int = connection.execute(_narrow(query, dialect, wanted)).scalar_one()
    return number


def highest_job(connection: Connection, dialect: Dialect) -> int:
    """The id of the newest job; 0 when there is none."""
    return int(connection.execute(select(func.coalesce(func.max(JOBS.c.id), 0))).scalar_one())


def job_states(connection: Connection, dialect: Dialect, ids: Sequence[int]) -> dict[int, str]:
    """The states of some jobs by their ids; ids without a row are left out."""
    rows = connection.execute(select(JOBS.c.id, JOBS.c.status).where(JOBS.c.id.in_(ids)))
    return {row.id: row.status for row in rows}


def place_in_line(connection: Connection, dialect: Dialect, job: Job) -> int:
    """How many jobs of its line come before a waiting job; counted up to ``FAR``."""
    ahead = and_(JOBS.c.rank == job.rank, JOBS.c.id < job.id)
    first = (
        select(JOBS.c.id)
        .where(JOBS.c.queue == job.queue, text(IN_LINE), or_(JOBS.c.rank < job.rank, ahead))
        .limit(FAR)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(first)).scalar_one()


def lines(connection: Connection, dialect: Dialect) -> list[str]:
    """The queues in which rows are ``queued``: one look into the index for each, whatever their length."""
    found: list[str] = []
    while True:
        last = {"last": found[-1] if found else ""}
        queue = connection.execute(_next_line(dialect.jobs_by_line), last).scalar()
        if queue is None:
            return found
        found.append(queue)


@cache
def _next_line(jobs: str) -> TextClause:
    return text(f"SELECT queue FROM {jobs} WHERE {IN_LINE} AND queue > :last ORDER BY queue LIMIT 1")  # noqa: S608  # our own words


def is_claimable(connection: Connection, dialect: Dialect, queues: Sequence[str]) -> bool:
    """True when some row of these queues may be claimed now, or is due to be; waits for no lock."""
    due = (text(DUE), JOBS.c.available_at <= dialect.now())
    return any(
        connection.execute(select(JOBS.c.id).where(JOBS.c.queue == queue, *waiting).limit(1)).first()
        for queue in queues
        for waiting in ((text(IN_LINE),), due)
    )


def overtaken_jobs(
    connection: Connection,
    dialect: Dialect,
    queue: str,
    head: tuple[int, int] | None,
    after: tuple[int, int] | None,
    underway: float,
    limit: int,
) -> list[InLine]:
    """Queued rows that sort before the head of their line, in the line's order.

    Args:
        head: ``(rank, id)`` of the line's first member; None when it has none: then every row counts.
        after: ``(rank, id)`` of the last row of the batch before.
        underway: Rows queued less than so many seconds ago do not count: they may be on their way.
    """
    query = select(JOBS.c.id, JOBS.c.queue, JOBS.c.rank).where(
        JOBS.c.queue == queue,
        text(IN_LINE),
        JOBS.c.status == literal_column("'queued'"),
        JOBS.c.queued_at < dialect.later(literal(-underway, Double)),
    )
    if head is not None:
        query = query.where(JOBS.c.rank <= head[0], or_(JOBS.c.rank < head[0], JOBS.c.id < head[1]))
    if after is not None:
        query = query.where(JOBS.c.rank >= after[0], or_(JOBS.c.rank > after[0], JOBS.c.id > after[1]))
    rows = connection.execute(query.order_by(JOBS.c.rank, JOBS.c.id).limit(limit))
    return [InLine(*tuple(row)) for row in rows]


def list_attempts(connection: Connection, dialect: Dialect, job_id: int) -> list[Attempt]:
    """The attempts of a job that did not complete, the first one first."""
    query = select(ATTEMPTS).where(ATTEMPTS.c.jobman_id == job_id).order_by(ATTEMPTS.c.id)
    return [Attempt(**row) for row in connection.execute(query).mappings()]


def live_workers(connection: Connection, dialect: Dialect, lease: float) -> list[Worker]:
    """Workers whose last sign of life is younger than the lease (seconds), by the database's clock."""
    query = select(WORKERS).where(WORKERS.c.state == "running").order_by(WORKERS.c.started_at)
    rows = [Worker(**row) for row in connection.execute(query).mappings()]
    oldest = database_now(connection, dialect) - timedelta(seconds=lease)
    return [row for row in rows if row.heartbeat_at and row.heartbeat_at > oldest]


def find_workers(connection: Connection, dialect: Dialect, uuids: Sequence[str]) -> list[Worker]:
    """The rows of some workers; those that were tidied away are left out."""
    query = select(WORKERS).where(WORKERS.c.uuid.in_(uuids))
    return [Worker(**row) for row in connection.execute(query).mappings()]


def database_now(connection: Connection, dialect: Dialect) -> datetime:
    """The database's clock."""
    return connection.execute(select(type_coerce(dialect.now(), UTCDateTime()))).scalar_one()


def lease_time(connection: Connection, dialect: Dialect) -> float:
    """The clock that judges leases; see ``Dialect.lease_clock``."""
    return float(connection.execute(select(dialect.lease_clock())).scalar_one())


def _narrow(query: Select[Any], dialect: Dialect, wanted: JobFilter) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = []
    if len(wanted.statuses) == 1:
        conditions.append(JOBS.c.status == wanted.statuses[0])
    elif wanted.statuses:
        conditions.append(JOBS.c.status.in_(wanted.statuses))
    if wanted.type is not None:
        conditions.append(JOBS.c.type == wanted.type)
    if wanted.queue is not None:
        conditions.append(JOBS.c.queue == wanted.queue)
    if wanted.tag is not None:
        conditions.append(dialect.has_item(JOBS.c.tags, wanted.tag))
    if wanted.error is not None:
        conditions.append(JOBS.c.error_message.icontains(wanted.error, autoescape=True))
    if wanted.since is not None:
        conditions.append(JOBS.c.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(JOBS.c.created_at < wanted.until)
    if wanted.before is not None:
        conditions.append(JOBS.c.id < wanted.before)
    if wanted.floor is not None:
        conditions.append(JOBS.c.id >= wanted.floor)
    if wanted.without is not None:
        conditions.append(or_(JOBS.c.status != "completed", ~_silenced(dialect, wanted.without)))
    if wanted.only is not None:
        conditions.append(_silenced(dialect, wanted.only))
    return query.where(*conditions)


def _silenced(dialect: Dialect, silence: Silence) -> ColumnElement[bool]:
    # A row without tags holds none of them: NULL would be neither yes nor no.
    tagged = (func.coalesce(dialect.has_item(JOBS.c.tags, tag), false()) for tag in silence.tags)
    return or_(JOBS.c.type.in_(silence.types), *tagged)
