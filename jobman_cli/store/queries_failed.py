"""Reads of ``failed_jobs``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import FAILED_JOBS, JOBS, FailedJob


@dataclass(frozen=True, slots=True)
class FailedFilter:
    """Which ``failed_jobs`` rows; None leaves a question open.

    Attributes:
        error: Text that the exception holds, whatever the case.
        failed_since: Failed at or after this moment.
        failed_before: Failed before this moment.
        before: Only ids below this one: the next page of a list that begins with the newest.
        floor: Only this id and those above it.
        upto: Only ids up to this one.
    """

    queue: str | None = None
    type: str | None = None
    error: str | None = None
    failed_since: datetime | None = None
    failed_before: datetime | None = None
    before: int | None = None
    floor: int | None = None
    upto: int | None = None

    @property
    def indexed(self) -> bool:
        """True when no row is read in vain."""
        asked = (self.queue, self.type, self.error, self.failed_since, self.failed_before)
        return all(each is None for each in asked)


def find_failed(
    connection: Connection, dialect: Dialect, ids: Sequence[int], uuids: Sequence[str]
) -> list[FailedJob]:
    """The ``failed_jobs`` rows of some ids or uuids, in id order."""
    query = select(FAILED_JOBS).where(or_(FAILED_JOBS.c.id.in_(ids), FAILED_JOBS.c.uuid.in_(uuids)))
    rows = connection.execute(query.order_by(FAILED_JOBS.c.id)).mappings()
    return [FailedJob(**row) for row in rows]


def failed_of(connection: Connection, dialect: Dialect, ids: Sequence[int]) -> list[FailedJob]:
    """The ``failed_jobs`` rows of some jobs, in id order."""
    query = select(FAILED_JOBS).where(FAILED_JOBS.c.jobman_id.in_(ids)).order_by(FAILED_JOBS.c.id)
    return [FailedJob(**row) for row in connection.execute(query).mappings()]


def list_failed(
    connection: Connection, dialect: Dialect, wanted: FailedFilter, limit: int, upward: bool = False
) -> list[FailedJob]:
    """A page of ``failed_jobs``, the newest first; upward the oldest first."""
    order = FAILED_JOBS.c.id.asc() if upward else FAILED_JOBS.c.id.desc()
    query = _narrow_failed(select(FAILED_JOBS), wanted).order_by(order).limit(limit)
    return [FailedJob(**row) for row in connection.execute(query).mappings()]


def highest_failed(connection: Connection, dialect: Dialect) -> int:
    """The id of the newest ``failed_jobs`` row; 0 when there is none."""
    return int(connection.execute(select(func.coalesce(func.max(FAILED_JOBS.c.id), 0))).scalar_one())


def failed_ids(
    connection: Connection, dialect: Dialect, wanted: FailedFilter, after: int, limit: int
) -> list[int]:
    """Ids of the ``failed_jobs`` rows that match, ascending, above ``after``."""
    query = _narrow_failed(select(FAILED_JOBS.c.id), wanted).where(FAILED_JOBS.c.id > after)
    return list(connection.execute(query.order_by(FAILED_JOBS.c.id).limit(limit)).scalars())


def count_failed(connection: Connection, dialect: Dialect, wanted: FailedFilter) -> tuple[int, int]:
    """How many ``failed_jobs`` rows match, and the highest id among them (0 when there is none)."""
    query = _narrow_failed(select(func.count(), func.coalesce(func.max(FAILED_JOBS.c.id), 0)), wanted)
    number, highest = connection.execute(query).one()
    return number, highest


def _narrow_failed(query: Select[Any], wanted: FailedFilter) -> Select[Any]:
    if wanted.queue is not None:
        query = query.where(FAILED_JOBS.c.queue == wanted.queue)
    if wanted.type is not None:
        of_type = select(JOBS.c.id).where(JOBS.c.id == FAILED_JOBS.c.jobman_id, JOBS.c.type == wanted.type)
        query = query.where(of_type.exists())
    if wanted.error is not None:
        query = query.where(FAILED_JOBS.c.exception.icontains(wanted.error, autoescape=True))
    if wanted.failed_since is not None:
        query = query.where(FAILED_JOBS.c.failed_at >= wanted.failed_since)
    if wanted.failed_before is not None:
        query = query.where(FAILED_JOBS.c.failed_at < wanted.failed_before)
    if wanted.before is not None:
        query = query.where(FAILED_JOBS.c.id < wanted.before)
    if wanted.floor is not None:
        query = query.where(FAILED_JOBS.c.id >= wanted.floor)
    if wanted.upto is not None:
        query = query.where(FAILED_JOBS.c.id <= wanted.upto)
    return query
