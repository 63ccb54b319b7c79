"""Failed jobs: retry them after the fix, or forget them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from jobman_cli.errors import InvalidOption
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.operations.selection import each_failed
from jobman_cli.store.lifecycle.prune import forget_failed
from jobman_cli.store.lifecycle.requeue import retry_failed
from jobman_cli.store.queries import FailedFilter, count_failed, database_now, find_failed, list_failed
from jobman_cli.store.tables import FailedJob


def failed(parts: Parts, wanted: FailedFilter, limit: int = 50) -> list[FailedJob]:
    """A page of ``failed_jobs``, the newest first."""
    return parts.database.read(list_failed, wanted, limit)


def count(parts: Parts, wanted: FailedFilter) -> int:
    """How many ``failed_jobs`` rows match."""
    return parts.database.read(count_failed, wanted)[0]


def named(parts: Parts, names: Sequence[str]) -> tuple[list[FailedJob], list[str]]:
    """The ``failed_jobs`` rows of some ids or uuids.

    Returns:
        The rows in id order, and the names that none has.
    """
    ids = [int(name) for name in names if name.isdecimal() and len(name) < 19]
    rows = parts.database.read(find_failed, ids, [name.lower() for name in names])
    known = {str(row.id) for row in rows} | {row.uuid for row in rows}
    return rows, [name for name in names if name.lower() not in known and name.lstrip("0") not in known]


def retry(parts: Parts, rows: Sequence[FailedJob]) -> int:
    """Run failed jobs again; the ``failed_jobs`` rows go in the transaction that queues the jobs.

    Returns:
        How many jobs were queued. Rows that another retry took at the same time are not among them.
    """
    moved, _ = parts.database.run(retry_failed, [row.id for row in rows])
    if moved:
        push(parts, moved)
    return len(moved)


def retry_all(parts: Parts, wanted: FailedFilter, progress: Progress = ignore) -> int:
    """Run all failed jobs that match again. Those that fail anew meanwhile are left for the next time.

    Returns:
        How many jobs were queued.
    """
    queued = 0
    for ids in each_failed(parts, _until_now(parts, wanted)):
        moved, _ = parts.database.run(retry_failed, ids)
        if moved:
            push(parts, moved)
        queued += len(moved)
        progress(len(ids))
    return queued


def forget(parts: Parts, rows: Sequence[FailedJob]) -> int:
    """Drop ``failed_jobs`` rows; the jobs' own rows stay ``failed``.

    Returns:
        How many.
    """
    return parts.database.run(forget_failed, [row.id for row in rows])


def flush(parts: Parts, wanted: FailedFilter, progress: Progress = ignore) -> int:
    """Drop all ``failed_jobs`` rows that match; the jobs' own rows stay ``failed``.

    Returns:
        How many.
    """
    dropped = 0
    for ids in each_failed(parts, _until_now(parts, wanted)):
        dropped += parts.database.run(forget_failed, ids)
        progress(len(ids))
    return dropped


def older_than(parts: Parts, wanted: FailedFilter, hours: float) -> FailedFilter:
    """The same filter, for jobs that failed more than so many hours ago, by the database's clock.

    Raises:
        InvalidOption: when the number makes no sense.
    """
    if not 0 <= hours <= 24 * 366 * 100:
        raise InvalidOption(f"hours: {hours:g} is out of bounds", hint="Use a number of hours, 0 or more.")
    return replace(wanted, failed_before=parts.database.read(database_now) - timedelta(hours=hours))


def _until_now(parts: Parts, wanted: FailedFilter) -> FailedFilter:
    return replace(wanted, upto=parts.database.read(count_failed, wanted)[1])
