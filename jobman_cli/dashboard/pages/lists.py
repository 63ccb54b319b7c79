"""What the lists of jobs and of failed jobs share: what an address asks for, and the way to other pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from jobman_cli.dashboard.search import QUALIFIERS, Search, read_id, read_search, write_search
from jobman_cli.operations import filters
from jobman_cli.operations.paging import Page
from jobman_cli.operations.parts import Lines, Records
from jobman_cli.operations.silence import without_silenced
from jobman_cli.store.queries import JobFilter
from jobman_cli.store.queries_failed import FailedFilter

#: Rows on a page.
LIMIT = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks a list for.

    Attributes:
        before, after: Ids that the page lies below or above; None for the newest page.
    """

    search: Search
    before: int | None
    after: int | None

    @property
    def q(self) -> str:
        """The search as text, as it is written."""
        return write_search(self.search)

    def links(self, page: Page[Any]) -> dict[str, int | None]:
        """The cursors of the next pages; None where there is none."""
        newer = page.after if self.before or self.after else None
        if newer is not None and self.search.before is not None and newer >= self.search.before - 1:
            newer = None
        return {"older": page.before, "newer": newer}


def asked_of(request: Request, known: tuple[str, ...] = tuple(QUALIFIERS)) -> Asked:
    """What the request's address asks for.

    Raises:
        UsageError: naming what is wrong.
    """
    given = request.query_params
    search = read_search(given.get("q", ""), known)
    cursors = [read_id(given[each], each) if given.get(each) else None for each in ("before", "after")]
    return Asked(search, *cursors)


def listed_jobs(records: Records | Lines, search: Search, before: int | None = None) -> JobFilter:
    """The filter for the jobs that a search lists: without completed ones that are silenced.

    Args:
        before: Only ids below this one, whatever the search says.
    """
    bounds = [each for each in (before, search.before, search.id and search.id + 1) if each is not None]
    wanted = filters.job_filter(
        records,
        statuses=search.statuses,
        type=search.type,
        queue=search.queue,
        tag=search.tag,
        error=search.error,
        since=search.since,
        until=search.until,
        before=min(bounds, default=None),
        floor=search.id,
    )
    return wanted if search.id else without_silenced(records.settings, wanted)


def failed_filter(records: Records | Lines, search: Search, before: int | None = None) -> FailedFilter:
    """The filter for ``failed_jobs`` rows, whose times are those of the failure."""
    return filters.failed_filter(
        records,
        queue=search.queue,
        type=search.type,
        error=search.error,
        since=search.since,
        until=search.until,
        before=before,
    )
