"""Reads of what goes on now: who runs which jobs, how long lines are, what is paused. All are bounded."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, literal_column, or_, select, text

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.queries import database_now, lines
from jobman_cli.store.queries_metrics import FAR
from jobman_cli.store.tables import IN_LINE, JOBS, QUEUES, RUNNING

#: Running jobs that are read at the most.
MANY = 2000


class RunningJob(NamedTuple):
    """A job in a worker's hand."""

    worker_id: str
    id: int
    type: str
    queue: str
    attempts: int
    started_at: datetime | None


class LineCount(NamedTuple):
    """Rows of a line by state."""

    queued: int
    pending: int


def running_jobs(connection: Connection, dialect: Dialect) -> list[RunningJob]:
    """The jobs that run, by worker and in the order in which they were dispatched."""
    columns = [JOBS.c[name] for name in RunningJob._fields]
    query = select(*columns).where(text(RUNNING)).order_by(JOBS.c.worker_id, JOBS.c.id).limit(MANY)
    return [RunningJob(*tuple(row)) for row in connection.execute(query)]


def count_lines(connection: Connection, dialect: Dialect, most: int = FAR) -> dict[str, LineCount]:
    """How many rows of each queue wait in its line, how many for a push that failed; each up to ``most``."""

    def count(queue: str, status: str) -> int:
        mine = (JOBS.c.queue == queue, text(IN_LINE), JOBS.c.status == literal_column(f"'{status}'"))
        some = select(JOBS.c.id).where(*mine).limit(most).subquery()
        number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
        return number

    return {
        name: LineCount(count(name, "queued"), count(name, "pending")) for name in lines(connection, dialect)
    }


def paused_until(connection: Connection, dialect: Dialect) -> dict[str, datetime | None]:
    """The queues that are paused now, and until when; None is until somebody continues them."""
    columns = QUEUES.c
    goes_on = or_(columns.paused_until.is_(None), columns.paused_until > database_now(connection, dialect))
    query = select(columns.name, columns.paused_until).where(columns.paused_at.is_not(None), goes_on)
    return {row.name: row.paused_until for row in connection.execute(query.order_by(columns.name))}
