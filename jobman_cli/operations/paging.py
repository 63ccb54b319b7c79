"""Pages of rows, the newest first, both ways, each bounded by time however many rows there are.

What no index serves (a tag, a text, several questions at once) is looked for among some thousand ids in one
statement, until the page is full or the time is up. The page says where to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from jobman_cli.operations.selection import Stride
from jobman_cli.store.database import Database
from jobman_cli.store.queries import JobFilter, highest_job, list_jobs
from jobman_cli.store.queries_failed import FailedFilter, highest_failed, list_failed
from jobman_cli.store.tables import FailedJob, Job

#: Seconds after which a page is given as it is; the last statement may add as much as ``Stride`` aims at.
PAGE_TIME = 0.08

Row = TypeVar("Row", Job, FailedJob)
Filter = TypeVar("Filter", JobFilter, FailedFilter)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, the newest first.

    Attributes:
        rows: As many as were asked for, or fewer: then the time was up, or there are no more.
        before: Only ids below this one have not been looked at; None when that is none.
        after: Only ids above this one have not been looked at; None when the page begins with the newest.
        looked: How many ids were looked at in vain before the time was up; 0 when it was not.
    """

    rows: list[Row]
    before: int | None
    after: int | None = None
    looked: int = 0


@dataclass(frozen=True, slots=True)
class Source(Generic[Row]):
    """What is paged: how a list of it is read, and its highest id."""

    read: Callable[..., list[Row]]
    highest: Callable[..., int]


JOB_ROWS = Source(list_jobs, highest_job)
BRIEF_JOBS = Source(partial(list_jobs, brief=True), highest_job)
FAILED_ROWS = Source(list_failed, highest_failed)


def a_page(
    database: Database, source: Source[Row], wanted: Filter, limit: int, after: int | None = None
) -> Page[Row]:
    """A page of what matches.

    Args:
        after: The page that ends just above this id; None is the page that ``wanted.before`` asks for. When
            no full page is left above, the newest page is given: nobody wants three rows.
    """
    if after is not None:
        found = _upward(database, source, wanted, limit, after)
        if found.after is not None:
            return found
    return _downward(database, source, wanted, limit)


def _downward(database: Database, source: Source[Row], wanted: Filter, limit: int) -> Page[Row]:
    newer = None if wanted.before is None else wanted.before - 1
    if wanted.indexed:
        rows = database.read(source.read, wanted, limit)
        return Page(rows, _id(rows[-1]) if len(rows) == limit else None, newer)
    until = time.monotonic() + PAGE_TIME
    top = database.read(source.highest) + 1
    upper = top = top if wanted.before is None else min(top, wanted.before)
    bottom, stride, rows = wanted.floor or 1, Stride(), list[Any]()
    while upper > bottom:
        floor = max(bottom, upper - stride.size)
        with stride.timed():
            window = replace(wanted, before=upper, floor=floor)
            rows += database.read(source.read, window, limit - len(rows))
        if len(rows) >= limit:
            return Page(rows, _id(rows[-1]), newer)
        upper = floor
        if time.monotonic() >= until:
            break
    return Page(rows, upper, newer, top - upper) if upper > bottom else Page(rows, None, newer)


def _upward(database: Database, source: Source[Row], wanted: Filter, limit: int, after: int) -> Page[Row]:
    """The other way: ``after`` of the page is None when its end was reached."""
    lower = max(after + 1, wanted.floor or 1)
    if wanted.indexed:
        rows = database.read(source.read, replace(wanted, floor=lower), limit, True)
        return Page(rows[::-1], lower, _id(rows[-1]) if len(rows) == limit else None)
    until = time.monotonic() + PAGE_TIME
    end = database.read(source.highest) + 1
    end = end if wanted.before is None else min(end, wanted.before)
    start, stride, rows = lower, Stride(), list[Any]()
    while lower < end:
        upper = min(end, lower + stride.size)
        with stride.timed():
            window = replace(wanted, floor=lower, before=upper)
            rows += database.read(source.read, window, limit - len(rows), True)
        if len(rows) >= limit:
            return Page(rows[::-1], start, _id(rows[-1]))
        lower = upper
        if time.monotonic() >= until and lower < end:
            return Page(rows[::-1], start, lower - 1, lower - start)
    return Page(rows[::-1], start, None)


def _id(row: Any) -> int:
    return int(row.id)
