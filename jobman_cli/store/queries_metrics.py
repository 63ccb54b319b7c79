"""Reads of what is counted, of the lines, and of monitored tags. Every query is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    type_coerce,
)

from jobman_cli.core.states import Status
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.metrics import Count, Spread, merge_documents, read_count
from jobman_cli.store.queries import database_now, lines
from jobman_cli.store.tables import ALERTS, FAILED_JOBS, IN_LINE, JOBS, METRICS, MONITORED_TAGS, QUEUES, Alert

#: Rows of a line that are counted at the most, and of each state, unless the reader asks for fewer.
FAR = 100_000
_SUMS = ("completed", "failed_attempts", "failed_jobs", "runtime_sum", "wait_sum")
#: The newest jobs in which a tag is looked for.
TAGGED = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """One row of metrics.

    Attributes:
        seconds: How long a time it stands for.
        at: When that begins.
    """

    at: datetime
    seconds: int
    type: str
    queue: str
    count: Count


@dataclass(frozen=True, slots=True)
class Line:
    """One queue's line, as the rows have it.

    Attributes:
        size: Rows that wait, counted up to where the reader asked for.
        oldest: Since when the first of the line waits.
        paused: Somebody has paused the queue.
    """

    queue: str
    size: int
    oldest: datetime | None
    paused: bool


@dataclass(frozen=True, slots=True)
class Total:
    """All that was ever counted of one job type in one queue; seconds are sums over attempts."""

    type: str
    queue: str
    completed: int
    failed_attempts: int
    failed_jobs: int
    runtime: float
    wait: float


def read_spans(
    connection: Connection, dialect: Dialect, since: datetime, type: str | None, queue: str | None
) -> list[Span]:
    """What was counted from a moment on, the oldest first."""
    query = select(METRICS).where(METRICS.c.at >= since)
    if type is not None:
        query = query.where(METRICS.c.type == type)
    if queue is not None:
        query = query.where(METRICS.c.queue == queue)
    rows = connection.execute(query.order_by(METRICS.c.at))
    return [Span(row.at, row.span, row.type, row.queue, read_count(row)) for row in rows]


def read_parts(
    connection: Connection,
    dialect: Dialect,
    since: datetime,
    end: datetime,
    type: str | None,
    queue: str | None,
    width: int,
) -> list[Span]:
    """What was counted from a moment on, as one span for each part, type and queue, the oldest first.

    The database adds the numbers up, and puts the histograms of a part side by side: looking into them with
    its JSON functions took four times as long as merging them here.

    Args:
        end: What begins at or after it stays as it is.
        width: Seconds of a part.
    """
    at = dialect.seconds(METRICS.c.at)
    part = case((METRICS.c.at >= end, at), else_=at - at % width).label("part")
    sums = [func.sum(METRICS.c[name]).label(name) for name in _SUMS]
    greatest = [func.max(METRICS.c[name]).label(name) for name in ("runtime_max", "wait_max")]
    lists = [
        type_coerce(dialect.documents(METRICS.c[name]), Text).label(name)
        for name in ("runtime_histogram", "wait_histogram")
    ]
    query = select(part, METRICS.c.type, METRICS.c.queue, *sums, *greatest, *lists).where(
        METRICS.c.at >= since
    )
    if type is not None:
        query = query.where(METRICS.c.type == type)
    if queue is not None:
        query = query.where(METRICS.c.queue == queue)
    rows = connection.execute(
        query.group_by(text("part"), METRICS.c.type, METRICS.c.queue).order_by(text("part"))
    )
    return [
        Span(datetime.fromtimestamp(int(row.part), UTC), width, row.type, row.queue, _read_sums(row))
        for row in rows
    ]


def read_runtimes(
    connection: Connection, dialect: Dialect, since: datetime
) -> dict[str, list[tuple[datetime, float, int]]]:
    """For each queue: when a span begins, its attempts' seconds and their number; the oldest first."""
    key = (METRICS.c.queue, METRICS.c.at)
    number = func.sum(METRICS.c.completed + METRICS.c.failed_attempts)
    query = select(*key, func.sum(METRICS.c.runtime_sum), number).where(METRICS.c.at >= since)
    found: dict[str, list[tuple[datetime, float, int]]] = {}
    for queue, at, seconds, attempts in connection.execute(query.group_by(*key).order_by(METRICS.c.at)):
        found.setdefault(queue, []).append((at, float(seconds), int(attempts)))
    return found


def read_totals(connection: Connection, dialect: Dialect) -> list[Total]:
    """The sums of all rows, for counters that only grow."""
    sums = [func.sum(METRICS.c[name]) for name in _SUMS]
    key = (METRICS.c.type, METRICS.c.queue)
    rows = connection.execute(select(*key, *sums).group_by(*key).order_by(*key))
    return [Total(row[0], row[1], *map(int, row[2:5]), *map(float, row[5:7])) for row in rows]


def count_rows(connection: Connection, dialect: Dialect) -> dict[int, int]:
    """How many rows of metrics there are of each span."""
    query = select(METRICS.c.span, func.count()).group_by(METRICS.c.span)
    return {row[0]: row[1] for row in connection.execute(query)}


def read_lines(connection: Connection, dialect: Dialect, most: int = FAR) -> list[Line]:
    """The queues in which something waits; the rows of each counted up to ``most``."""
    now = database_now(connection, dialect)
    paused = select(QUEUES.c.name).where(
        QUEUES.c.paused_at.is_not(None), or_(QUEUES.c.paused_until.is_(None), QUEUES.c.paused_until > now)
    )
    stopped = set(connection.execute(paused).scalars())
    found = []
    for queue in lines(connection, dialect):
        waiting = and_(JOBS.c.queue == queue, text(IN_LINE))
        some = select(JOBS.c.id).where(waiting).limit(most).subquery()
        size = connection.execute(select(func.count()).select_from(some)).scalar_one()
        firsts = [_first(connection, queue, status) for status in ("queued", "pending")]
        oldest = min((first for first in firsts if first is not None), default=None)
        found.append(Line(queue, size, oldest, queue in stopped))
    return found


def count_states(connection: Connection, dialect: Dialect, most: int = FAR) -> dict[str, int]:
    """Jobs that are not done, by state, and failed ones that nobody has retried; each up to ``most``."""
    found = {}
    for status in ("pending", "queued", "scheduled", "running"):
        found[status] = _count(connection, most, JOBS.c.id, JOBS.c.status == literal_column(f"'{status}'"))
    return found | {"failed": _count(connection, most, FAILED_JOBS.c.id)}


def count_by_state(
    connection: Connection, dialect: Dialect, statuses: Sequence[str], most: int
) -> dict[str, int]:
    """How many jobs are in each state; each counted up to ``most``."""
    row = connection.execute(_counts(tuple(statuses), most)).one()
    return dict(zip(statuses, row, strict=True))


@cache
def _counts(statuses: tuple[str, ...], most: int) -> Select[Any]:
    columns: list[Any] = []
    for status in statuses:
        # Said in the text: a plan for any state would be one for the most frequent.
        is_so = JOBS.c.status == literal_column(f"'{Status(status).value}'")
        some = select(JOBS.c.id).where(is_so).limit(most).subquery()
        columns.append(select(func.count()).select_from(some).scalar_subquery())
    return select(*columns)


def open_alerts(connection: Connection, dialect: Dialect, limit: int = 1000) -> list[Alert]:
    """The troubles that go on, the oldest first."""
    query = (
        select(ALERTS).where(ALERTS.c.state.in_(("new", "open"))).order_by(ALERTS.c.raised_at).limit(limit)
    )
    return [Alert(**row) for row in connection.execute(query).mappings()]


def monitored_tags(connection: Connection, dialect: Dialect) -> list[str]:
    """The tags that are monitored, in order."""
    return list(connection.execute(select(MONITORED_TAGS.c.tag).order_by(MONITORED_TAGS.c.tag)).scalars())


def recent_tags(connection: Connection, dialect: Dialect) -> list[tuple[Sequence[str], str]]:
    """Tags and state of each of the newest jobs that has tags."""
    newest = connection.execute(select(func.max(JOBS.c.id))).scalar() or 0
    query = select(JOBS.c.tags, JOBS.c.status).where(JOBS.c.id > newest - TAGGED, JOBS.c.tags.is_not(None))
    return [(row.tags or (), row.status) for row in connection.execute(query)]


def _read_sums(row: Any) -> Count:
    return Count(
        int(row.completed),
        int(row.failed_attempts),
        int(row.failed_jobs),
        Spread(float(row.runtime_sum), row.runtime_max, merge_documents(row.runtime_histogram)),
        Spread(float(row.wait_sum), row.wait_max, merge_documents(row.wait_histogram)),
    )


def _first(connection: Connection, queue: str, status: str) -> datetime | None:
    """When the first of a line joined it."""
    query = select(JOBS.c.queued_at).where(
        JOBS.c.queue == queue, text(IN_LINE), JOBS.c.status == literal_column(f"'{status}'")
    )
    found: datetime | None = connection.execute(query.order_by(JOBS.c.rank, JOBS.c.id).limit(1)).scalar()
    return found


def _count(
    connection: Connection, most: int, column: ColumnElement[Any], *conditions: ColumnElement[bool]
) -> int:
    some = select(column).where(*conditions).limit(most).subquery()
    number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return number
