"""Add to what is counted, and thin it by age.

A row is one minute, job type and queue. Whoever counted adds: an upsert adds the sums and, by the lock
that it takes, orders the writers of a row; then its histograms are read, merged and written back. Rows are
always locked in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Update, bindparam, case, delete, func, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from jobman_cli.core.clock import waited
from jobman_cli.core.histogram import Histogram, bucket, merge
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import METRICS

#: Spans of a row, in seconds.
MINUTE, HOUR, DAY = 60, 3600, 86_400

#: ``(when the minute begins in seconds since 1970, type, queue)``
CountKey = tuple[int, str, str]


@dataclass(slots=True)
class Spread:
    """How a number of seconds is spread.

    Attributes:
        sum: Of all values.
        max: The greatest.
    """

    sum: float = 0.0
    max: float = 0.0
    histogram: Histogram = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: float) -> Spread:
        """One value; what two clocks make negative counts as none."""
        value = max(seconds, 0.0)
        return cls(value, value, {bucket(value): 1})

    def add(self, other: Spread) -> None:
        """Both together."""
        self.sum += other.sum
        self.max = max(self.max, other.max)
        merge(self.histogram, other.histogram)


@dataclass(slots=True)
class Count:
    """What is counted.

    Attributes:
        failed_attempts: Attempts that did not complete.
        failed_jobs: Those of them that were a job's last try.
        runtime: Of all attempts, in seconds.
        wait: From joining the line to the attempt's start, in seconds.
    """

    completed: int = 0
    failed_attempts: int = 0
    failed_jobs: int = 0
    runtime: Spread = field(default_factory=Spread)
    wait: Spread = field(default_factory=Spread)

    @property
    def attempts(self) -> int:
        """All that were counted."""
        return self.completed + self.failed_attempts

    def add(self, other: Count) -> None:
        """Both together."""
        self.completed += other.completed
        self.failed_attempts += other.failed_attempts
        self.failed_jobs += other.failed_jobs
        self.runtime.add(other.runtime)
        self.wait.add(other.wait)


def count_failure(rank: int, began: float, ended: float, *, final: bool) -> Count:
    """One attempt that did not complete, where no worker is left to count it.

    Args:
        rank: Its job's; tells since when it had waited.
        began: In seconds since 1970, as ``ended``, which is when its end was noticed.
        final: True when it was the job's last.
    """
    return Count(0, 1, int(final), Spread.of(ended - began), Spread.of(waited(rank, began)))


def add_counts(
    connection: Connection, dialect: Dialect, counts: Mapping[CountKey, Count], span: int = MINUTE
) -> None:
    """Add to the rows of some minutes (or hours, or days), made where they are missing."""
    if not counts:
        return
    given = {
        (datetime.fromtimestamp(at, UTC), type, queue): counts[at, type, queue]
        for at, type, queue in sorted(counts)
    }
    sums = [{"span": span, "at": at, "type": t, "queue": q, **_sums(given[at, t, q])} for at, t, q in given]
    connection.execute(_upsert(dialect), sums)
    ats, types, queues = ({key[part] for key in given} for part in range(3))
    held = (METRICS.c.at.in_(ats), METRICS.c.type.in_(types), METRICS.c.queue.in_(queues))
    rows = connection.execute(select(*_SPREADS).where(METRICS.c.span == span, *held)).all()
    merged = []
    for row in rows:
        if (count := given.get((row.at, row.type, row.queue))) is not None:
            runtimes = merge(read_histogram(row.runtime_histogram), count.runtime.histogram)
            waits = merge(read_histogram(row.wait_histogram), count.wait.histogram)
            merged.append(_name(span, row) | {"runtimes": document(runtimes), "waits": document(waits)})
    connection.execute(_write_histograms(), merged)


def thin(connection: Connection, dialect: Dialect, source: int, target: int, before: datetime) -> int:
    """Roll the rows of the oldest period up into one row for each type and queue.

    Args:
        source: The span of the rows to roll up, in seconds.
        target: The span of a period.
        before: Only what began before this moment, which is a period's beginning.

    Returns:
        How many rows went; 0 when there are none that old.
    """
    oldest = connection.execute(
        select(func.min(METRICS.c.at)).where(METRICS.c.span == source, METRICS.c.at < before)
    ).scalar()
    if oldest is None:
        return 0
    begin = int(oldest.timestamp()) // target * target
    start = datetime.fromtimestamp(begin, UTC)
    within = (METRICS.c.at >= start, METRICS.c.at < start + timedelta(seconds=target))
    rows = connection.execute(
        select(METRICS)
        .where(METRICS.c.span == source, *within)
        .order_by(METRICS.c.at, METRICS.c.type, METRICS.c.queue)
        .with_for_update()
    ).all()
    if not rows:  # somebody else was faster
        return 0
    counts: dict[CountKey, Count] = {}
    for row in rows:
        counts.setdefault((begin, row.type, row.queue), Count()).add(read_count(row))
    add_counts(connection, dialect, counts, target)
    connection.execute(delete(METRICS).where(*_this_row()), [_name(source, row) for row in rows])
    return len(rows)


def read_count(row: Any) -> Count:
    """A row's counts."""
    return Count(
        row.completed,
        row.failed_attempts,
        row.failed_jobs,
        Spread(row.runtime_sum, row.runtime_max, read_histogram(row.runtime_histogram)),
        Spread(row.wait_sum, row.wait_max, read_histogram(row.wait_histogram)),
    )


def read_histogram(document: Mapping[str, int]) -> Histogram:
    """A histogram from its JSON form."""
    return {int(index): count for index, count in document.items()}


def merge_documents(documents: str) -> Histogram:
    """One histogram from a JSON list of several."""
    found: dict[str, int] = {}
    for each in from_json(documents):
        for index, count in each.items():
            found[index] = found.get(index, 0) + count
    return read_histogram(found)


def document(histogram: Histogram) -> dict[str, int]:
    """A histogram's JSON form."""
    return {str(index): histogram[index] for index in sorted(histogram)}


_SPREADS = (
    METRICS.c.at,
    METRICS.c.type,
    METRICS.c.queue,
    METRICS.c.runtime_histogram,
    METRICS.c.wait_histogram,
)
_ADDED = ("completed", "failed_attempts", "failed_jobs", "runtime_sum", "wait_sum")
_GREATEST = ("runtime_max", "wait_max")


def _sums(count: Count) -> dict[str, Any]:
    return {
        "completed": count.completed,
        "failed_attempts": count.failed_attempts,
        "failed_jobs": count.failed_jobs,
        "runtime_sum": count.runtime.sum,
        "runtime_max": count.runtime.max,
        "runtime_histogram": {},
        "wait_sum": count.wait.sum,
        "wait_max": count.wait.max,
        "wait_histogram": {},
    }


@cache
def _upsert(dialect: Dialect) -> Any:
    def changes(given: Any) -> dict[str, Any]:
        values = {name: METRICS.c[name] + given[name] for name in _ADDED}
        for name in _GREATEST:
            values[name] = case((given[name] > METRICS.c[name], given[name]), else_=METRICS.c[name])
        return values

    if dialect.name == "mysql":
        statement = mysql.insert(METRICS)
        return statement.on_duplicate_key_update(changes(statement.inserted))
    insert = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    upsert: Any = insert(METRICS)
    return upsert.on_conflict_do_update(
        index_elements=list(METRICS.primary_key.columns), set_=changes(upsert.excluded)
    )


def _name(span: int, row: Any) -> dict[str, Any]:
    return {"of_span": span, "of_at": row.at, "of_type": row.type, "of_queue": row.queue}


def _this_row() -> tuple[Any, ...]:
    return tuple(
        METRICS.c[name] == bindparam(f"of_{name}", type_=METRICS.c[name].type)
        for name in ("span", "at", "type", "queue")
    )


@cache
def _write_histograms() -> Update:
    values = {
        name: bindparam(given, type_=METRICS.c[name].type)
        for name, given in (("runtime_histogram", "runtimes"), ("wait_histogram", "waits"))
    }
    return update(METRICS).where(*_this_row()).values(**values)
