"""Prune: delete old finished jobs with all that belongs to them, in short transactions."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from jobman_cli.errors import InvalidOption
from jobman_cli.operations.archive import open_archive
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.store.lifecycle.prune import Mark, count_old, prune_batch
from jobman_cli.store.queries import database_now

#: Seconds that one transaction aims at; none may reach 0.2.
AIM = 0.025
FEWEST, MOST = 100, 10_000


@dataclass(frozen=True, slots=True)
class Old:
    """What is older than the limit.

    Attributes:
        before: The moment that divides old from new, by the database's clock.
        going: How many jobs a prune deletes.
        kept: How many it keeps, because they are not finished.
        first: The ids of the first ones to go.
    """

    before: datetime
    going: int
    kept: int
    first: list[int]


def look_old(parts: Parts | Lines | Records, before: datetime, unfinished: bool = False) -> Old:
    """What a prune of the jobs made before a moment would find.

    Args:
        unfinished: As for ``prune``.
    """
    going, kept, first = parts.database.read(count_old, before, unfinished)
    return Old(before, going, kept, first)


def cutoff(parts: Parts | Lines | Records, days: float) -> datetime:
    """The moment so many days ago, by the database's clock.

    Raises:
        InvalidOption: when the number makes no sense.
    """
    if not math.isfinite(days) or not 0 <= days <= 36525:
        raise InvalidOption(f"days: {days:g} is out of bounds", hint="Use a number of days, 0 … 36525.")
    return parts.database.read(database_now) - timedelta(days=days)


def prune(
    parts: Parts | Lines | Records,
    before: datetime,
    *,
    unfinished: bool = False,
    archive: Path | None = None,
    progress: Progress = ignore,
) -> int:
    """Delete jobs made before a moment, with their attempts and ``failed_jobs`` rows.

    Args:
        unfinished: Also jobs that are not finished; running ones stay all the same.
        archive: A ``.jsonl.gz`` file that must not exist yet. Rows are written and synced to it before
            the transaction that deletes them commits.
        progress: Told after each batch.

    Returns:
        How many jobs were deleted.

    Raises:
        StoreUnavailable: when the database is away; what was deleted before stays deleted.
        InvalidOption: when the archive cannot be made.
        ArchiveFailed: when it cannot be written; what is not in it was not deleted.
    """
    deleted, size = 0, FEWEST * 10
    mark: Mark | None = None
    with open_archive(archive) as kept:
        write = None if kept is None else kept.write
        while True:
            began = time.monotonic()
            number, mark = parts.database.run(prune_batch, before, mark, size, unfinished, write)
            if kept is not None and number:
                kept.keep()
            took = max(time.monotonic() - began, 0.001)
            deleted += number
            progress(number)
            size = max(FEWEST, min(MOST, int(size * min(2.0, AIM / took))))
            if mark is None:
                return deleted
