"""Which rows somebody asks for, made of what they wrote: the same for a command's options and an address."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jobman_cli.core.values import read_moment
from jobman_cli.errors import InvalidOption
from jobman_cli.operations.look import moment
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.queries import JobFilter
from jobman_cli.store.queries_failed import FailedFilter

AnyParts = Records | Lines | Parts


def job_filter(
    parts: AnyParts, *, since: str | None = None, until: str | None = None, mark: str = "", **fields: Any
) -> JobFilter:
    """The filter for jobs that were made within a span.

    Args:
        since, until: A date, a time, or ``2h``, ``3d`` … for ago; None is without end.
        mark: What stands before a name in a message: ``--`` for options.
        fields: The others of ``JobFilter``, already checked.

    Raises:
        InvalidOption: for what is no time, or no span.
    """
    first, last = _span(parts, since, until, mark)
    return JobFilter(since=first, until=last, **fields)


def failed_filter(
    parts: AnyParts, *, since: str | None = None, until: str | None = None, mark: str = "", **fields: Any
) -> FailedFilter:
    """As ``job_filter``, for rows of ``failed_jobs``, by the time of their failure."""
    first, last = _span(parts, since, until, mark)
    return FailedFilter(failed_since=first, failed_before=last, **fields)


def _span(
    parts: AnyParts, since: str | None, until: str | None, mark: str
) -> tuple[datetime | None, datetime | None]:
    begin, end = read_moment(since, f"{mark}since"), read_moment(until, f"{mark}until")
    first = None if begin is None else moment(parts, begin)
    last = None if end is None else moment(parts, end)
    if first is not None and last is not None and first >= last:
        raise InvalidOption(f"{mark}since is not before {mark}until", hint="Exchange them, or leave one out.")
    return first, last
