"""Delete: old jobs with all that belongs to them, and ``failed_jobs`` rows that nobody wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select

from jobman_cli.core.states import FINAL, Status
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS

_UNFINISHED = sorted(status.value for status in Status if status not in FINAL)

#: Called with the rows that are about to go, each with its table's name; it returns when they are safe. It is
#: called again with a batch that was rolled back and sent anew, and then forgets what it was given before.
Archive = Callable[[list[tuple[str, dict[str, Any]]]], None]


#: How far apart the ids of a batch may be, on average, to be deleted as a range.
SPREAD = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a batch ended: the next one begins behind it."""

    created_at: datetime
    id: int


def prune_batch(
    connection: Connection,
    dialect: Dialect,
    before: datetime,
    after: Mark | None,
    limit: int,
    unfinished: bool,
    archive: Archive | None,
) -> tuple[int, Mark | None]:
    """Delete one batch of jobs made before ``before``, oldest first.

    Args:
        unfinished: Also those that are not finished; running ones stay all the same.
        archive: Given the batch's rows, inside the transaction, before they are deleted.

    Returns:
        How many jobs were deleted, and the mark for the next batch; None when this was the last.
    """
    dialect.plan_anew(connection)
    query = select(JOBS.c.id, JOBS.c.created_at).where(JOBS.c.created_at < before, _prunable(unfinished))
    if after is not None:
        further = and_(JOBS.c.created_at == after.created_at, JOBS.c.id > after.id)
        query = query.where(
            JOBS.c.created_at >= after.created_at, or_(JOBS.c.created_at > after.created_at, further)
        )
    found = connection.execute(query.order_by(JOBS.c.created_at, JOBS.c.id).limit(limit)).all()
    if not found:
        return 0, None
    ids = sorted(row.id for row in found)
    if archive is None and ids[-1] - ids[0] < SPREAD * len(ids):
        old = and_(JOBS.c.created_at < before, _prunable(unfinished))
        deleted = _delete_range(connection, ids[0], ids[-1], old)
    else:
        deleted = _delete_jobs(connection, dialect, ids, unfinished, archive)
    last = found[-1]
    return deleted, Mark(last.created_at, last.id) if len(found) == limit else None


def count_old(
    connection: Connection, dialect: Dialect, before: datetime, unfinished: bool
) -> tuple[int, int, list[int]]:
    """Jobs made before a moment: how many a prune deletes, how many it keeps, and the first ids to go."""
    old, goes = JOBS.c.created_at < before, _prunable(unfinished)
    query = select(func.count()).select_from(JOBS)
    going = connection.execute(query.where(old, goes)).scalar_one()
    kept = connection.execute(query.where(old, ~goes)).scalar_one()
    first = select(JOBS.c.id).where(old, goes).order_by(JOBS.c.created_at, JOBS.c.id).limit(10)
    return going, kept, list(connection.execute(first).scalars())


def delete_jobs(connection: Connection, dialect: Dialect, ids: Sequence[int]) -> int:
    """Delete finished jobs with their attempts and ``failed_jobs`` rows; unfinished ones stay.

    Returns:
        How many.
    """
    return _delete_jobs(connection, dialect, sorted(ids), False, None)


def forget_failed(connection: Connection, dialect: Dialect, failed_ids: Sequence[int]) -> int:
    """Drop ``failed_jobs`` rows; their jobs stay ``failed``.

    Returns:
        How many.
    """
    return connection.execute(delete(FAILED_JOBS).where(FAILED_JOBS.c.id.in_(failed_ids))).rowcount


def _prunable(unfinished: bool) -> ColumnElement[bool]:
    # Said by what it is not: the walk is to follow the index on created_at, not the one on status.
    return JOBS.c.status != "running" if unfinished else JOBS.c.status.not_in(_UNFINISHED)


def _delete_range(connection: Connection, low: int, high: int, old: ColumnElement[bool]) -> int:
    """Delete what is old among neighbouring ids: a walk, where a list of ids is a look for each.

    It may meet more than the batch, but only what is to go all the same. What belonged to jobs that are gone
    is found by their absence, so nothing need be handed back.
    """
    deleted = connection.execute(delete(JOBS).where(JOBS.c.id.between(low, high), old)).rowcount
    for table in (ATTEMPTS, FAILED_JOBS):
        theirs = exists().where(JOBS.c.id == table.c.jobman_id)
        connection.execute(delete(table).where(table.c.jobman_id.between(low, high), ~theirs))
    return deleted


def _delete_jobs(
    connection: Connection, dialect: Dialect, ids: list[int], unfinished: bool, archive: Archive | None
) -> int:
    """Lock, archive, delete. The status is asked again: a job may have been requeued meanwhile."""
    these = and_(dialect.one_of(JOBS.c.id, "ids"), _prunable(unfinished))
    given = {"ids": dialect.id_list(ids)}
    if archive is None and dialect.update_returning:
        gone = connection.execute(delete(JOBS).where(these).returning(JOBS.c.id), given).scalars().all()
        _delete_belonging(connection, dialect, gone)
        return len(gone)
    columns = [JOBS.c.id] if archive is None else list(JOBS.columns)
    locked = select(*columns).where(these).order_by(JOBS.c.id).with_for_update()
    jobs = [dict(row) for row in connection.execute(locked, given).mappings()]
    gone = [job["id"] for job in jobs]
    if archive is not None and gone:
        archive([("jobmans", job) for job in jobs] + _read_belonging(connection, dialect, gone))
    _delete_belonging(connection, dialect, gone)
    connection.execute(delete(JOBS).where(dialect.one_of(JOBS.c.id, "ids")), {"ids": dialect.id_list(gone)})
    return len(gone)


def _read_belonging(
    connection: Connection, dialect: Dialect, ids: Sequence[int]
) -> list[tuple[str, dict[str, Any]]]:
    rows: list[tuple[str, dict[str, Any]]] = []
    for table in (ATTEMPTS, FAILED_JOBS):
        query = select(table).where(dialect.one_of(table.c.jobman_id, "ids")).order_by(table.c.id)
        found = connection.execute(query, {"ids": dialect.id_list(list(ids))}).mappings()
        rows += [(table.name, dict(row)) for row in found]
    return rows


def _delete_belonging(connection: Connection, dialect: Dialect, ids: Sequence[int]) -> None:
    for table in (ATTEMPTS, FAILED_JOBS):
        theirs = delete(table).where(dialect.one_of(table.c.jobman_id, "ids"))
        connection.execute(theirs, {"ids": dialect.id_list(list(ids))})
