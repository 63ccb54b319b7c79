"""Failed jobs: retry them after the fix, or forget them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from jobman_cli.errors import InvalidOption
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.paging import FAILED_ROWS, Page, a_page
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.operations.selection import BATCH, Stride, batches, each_failed
from jobman_cli.store.lifecycle.prune import forget_failed
from jobman_cli.store.lifecycle.requeue import retry_failed
from jobman_cli.store.lifecycle.unique import Conflict
from jobman_cli.store.queries import database_now
from jobman_cli.store.queries_failed import FailedFilter, find_failed, list_failed
from jobman_cli.store.tables import FailedJob

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HUNDRED_YEARS = 24 * 366 * 100


def failed(parts: Parts | Lines | Records, wanted: FailedFilter, limit: int = 50) -> list[FailedJob]:
    """A page of ``failed_jobs``, the newest first."""
    return parts.database.read(list_failed, wanted, limit)


def page(
    parts: Parts | Records, wanted: FailedFilter, limit: int = 50, after: int | None = None
) -> Page[FailedJob]:
    """A page of ``failed_jobs``, bounded as ``look.page`` is."""
    return a_page(parts.database, FAILED_ROWS, wanted, limit, after)


def named(parts: Parts | Lines | Records, names: Sequence[str]) -> tuple[list[FailedJob], list[str]]:
    """The ``failed_jobs`` rows of some ids or uuids.

    Returns:
        The rows in id order, each once, and the names that none has.
    """
    keys = {name: failed_key(name) for name in names}
    ids = sorted({key for key in keys.values() if isinstance(key, int)})
    uuids = sorted({key for key in keys.values() if isinstance(key, str)})
    rows: dict[int, FailedJob] = {}
    pairs: list[tuple[list[int], list[str]]] = [(some, []) for some in batches(ids)]
    pairs += [([], some) for some in batches(uuids)]
    for some_ids, some_uuids in pairs:
        rows |= {int(row.id or 0): row for row in parts.database.read(find_failed, some_ids, some_uuids)}
    known = {*rows, *(row.uuid for row in rows.values())}
    return [rows[id] for id in sorted(rows)], [name for name, key in keys.items() if key not in known]


def failed_key(name: str) -> int | str | None:
    """What a text can mean: an id, a uuid (in small letters), or None when it can be neither."""
    digits = name.lstrip("0")
    if name.isascii() and digits.isdigit() and len(digits) <= 19 and int(digits) < 2**63:
        return int(digits)
    return name.lower() if _UUID.fullmatch(name.lower()) else None


@dataclass(slots=True)
class Retried:
    """What runs again, and what does not.

    Attributes:
        queued: How many jobs were queued. Those that another retry took at the same time do not count.
        conflicts: Failed jobs that stay as they are: an unfinished one bears their unique key.
    """

    queued: int = 0
    conflicts: list[Conflict] = field(default_factory=list)


def retry(parts: Parts | Lines, rows: Sequence[FailedJob]) -> Retried:
    """Run failed jobs again; the ``failed_jobs`` rows go in the transaction that queues the jobs."""
    done = Retried()
    for ids in batches([int(row.id or 0) for row in rows]):
        _retry(parts, ids, done)
    return done


def retry_all(parts: Parts | Lines, wanted: FailedFilter, progress: Progress = ignore) -> Retried:
    """Run all failed jobs that match again. Those that fail anew meanwhile are left for the next time."""
    done, stride = Retried(), Stride(size=200, most=BATCH, aim=0.04)
    for ids in each_failed(parts, wanted):
        for some in stride.batches(ids):
            _retry(parts, some, done)
            progress(len(some))
    return done


def _retry(parts: Parts | Lines, ids: list[int], done: Retried) -> None:
    again = parts.database.run(retry_failed, ids)
    if again.rows:
        push(parts, again.rows)
    done.queued += len(again.rows)
    done.conflicts += again.conflicts


def forget(parts: Parts | Lines | Records, rows: Sequence[FailedJob]) -> int:
    """Drop ``failed_jobs`` rows; the jobs' own rows stay ``failed``.

    Returns:
        How many.
    """
    return sum(parts.database.run(forget_failed, ids) for ids in batches([int(row.id or 0) for row in rows]))


def flush(parts: Parts | Lines, wanted: FailedFilter, progress: Progress = ignore) -> int:
    """Drop all ``failed_jobs`` rows that match; the jobs' own rows stay ``failed``.

    Returns:
        How many.
    """
    dropped = 0
    for ids in each_failed(parts, wanted):
        dropped += parts.database.run(forget_failed, ids)
        progress(len(ids))
    return dropped


def older_than(parts: Parts | Lines | Records, wanted: FailedFilter, hours: float) -> FailedFilter:
    """The same filter, for jobs that failed more than so many hours ago, by the database's clock.

    Raises:
        InvalidOption: when the number makes no sense.
    """
    if not 0 <= hours <= _HUNDRED_YEARS:
        raise InvalidOption(f"hours: {hours:g} is out of bounds", hint="Use a number of hours, 0 or more.")
    return replace(wanted, failed_before=parts.database.read(database_now) - timedelta(hours=hours))
