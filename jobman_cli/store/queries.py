"""Every read that is not part of a write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, type_coerce

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import (
    ATTEMPTS,
    FAILED_JOBS,
    JOBS,
    WORKERS,
    Attempt,
    FailedJob,
    Job,
    UTCDateTime,
    Worker,
)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; None leaves a question open.

    Attributes:
        before: Only ids below this one: the next page.
    """

    status: str | None = None
    type: str | None = None
    queue: str | None = None
    before: int | None = None


def find_job(connection: Connection, dialect: Dialect, job_id: int) -> Job | None:
    """One row."""
    row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).mappings().first()
    return None if row is None else Job(**row)


def find_jobs(connection: Connection, dialect: Dialect, ids: Sequence[int]) -> list[Job]:
    """The rows of some ids, in id order; ids without a row are left out."""
    rows = connection.execute(select(JOBS).where(JOBS.c.id.in_(ids)).order_by(JOBS.c.id)).mappings()
    return [Job(**row) for row in rows]


def list_jobs(connection: Connection, dialect: Dialect, wanted: JobFilter, limit: int) -> list[Job]:
    """A page of jobs, the newest first."""
    query = select(JOBS).order_by(JOBS.c.id.desc()).limit(limit)
    for column, value in (
        (JOBS.c.status, wanted.status),
        (JOBS.c.type, wanted.type),
        (JOBS.c.queue, wanted.queue),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.before is not None:
        query = query.where(JOBS.c.id < wanted.before)
    return [Job(**row) for row in connection.execute(query).mappings()]


def list_attempts(connection: Connection, dialect: Dialect, job_id: int) -> list[Attempt]:
    """The attempts of a job that did not complete, the first one first."""
    query = select(ATTEMPTS).where(ATTEMPTS.c.jobman_id == job_id).order_by(ATTEMPTS.c.id)
    return [Attempt(**row) for row in connection.execute(query).mappings()]


def find_failed_job(connection: Connection, dialect: Dialect, job_id: int) -> FailedJob | None:
    """A job's ``failed_jobs`` row."""
    query = select(FAILED_JOBS).where(FAILED_JOBS.c.jobman_id == job_id).order_by(FAILED_JOBS.c.id.desc())
    row = connection.execute(query).mappings().first()
    return None if row is None else FailedJob(**row)


def live_workers(connection: Connection, dialect: Dialect, lease: float) -> list[Worker]:
    """Workers whose last sign of life is younger than the lease (seconds), by the database's clock."""
    query = select(WORKERS).where(WORKERS.c.state == "running").order_by(WORKERS.c.started_at)
    rows = [Worker(**row) for row in connection.execute(query).mappings()]
    current = database_now(connection, dialect)
    return [row for row in rows if row.heartbeat_at and row.heartbeat_at > current - timedelta(seconds=lease)]


def database_now(connection: Connection, dialect: Dialect) -> datetime:
    """The database's clock."""
    return connection.execute(select(type_coerce(dialect.now(), UTCDateTime()))).scalar_one()
