"""The pages: one file each; this one has the menu and what is shown when something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from jobman_cli.dashboard.answers import Conflict, NotHere, fault
from jobman_cli.dashboard.languages import spoken
from jobman_cli.dashboard.pages import (
    audit,
    failed,
    job,
    jobs,
    metrics,
    overview,
    plugins,
    queues,
    reconcile,
    schedule,
    supervisors,
    tags,
    types,
)
from jobman_cli.dashboard.view import local_path, render
from jobman_cli.errors import (
    JobmanError,
    JobNotFound,
    QueueUnavailable,
    SchemaError,
    StoreUnavailable,
    UsageError,
)

#: Where a program learns what there is.
DESCRIBED = "See /api/openapi.json for what there is."
#: Gettext's mark for words that are translated where they are shown.
N_ = str


class Item(NamedTuple):
    """One page.

    Attributes:
        title: Its entry in the menu, in English; None for a page that is not in the menu.
    """

    path: str
    page: Callable[[Request], Response]
    title: str | None = None


PAGES = (
    Item("/", overview.page, N_("Overview")),
    Item("/jobs", jobs.page, N_("Jobs")),
    Item("/jobs/{id}", job.page),
    Item("/failed", failed.page, N_("Failed")),
    Item("/queues", queues.page, N_("Queues")),
    Item("/supervisors", supervisors.page, N_("Supervisors")),
    Item("/metrics", metrics.page, N_("Metrics")),
    Item("/schedule", schedule.page, N_("Schedule")),
    Item("/tags", tags.page, N_("Tags")),
    Item("/reconcile", reconcile.page, N_("Reconcile")),
    Item("/types", types.page, N_("Types")),
    Item("/types/{name}", types.one),
    Item("/plugins", plugins.page, N_("Plugins")),
    Item("/plugins/{plugin}/{name}", plugins.one),
    Item("/audit", audit.page, N_("Audit")),
)
MENU: tuple[Item, ...] = tuple(item for item in PAGES if item.title)

#: HTTP's word for each family of errors; the first that fits.
STATUS: Mapping[type[JobmanError], int] = {
    UsageError: 400,
    JobNotFound: 404,
    NotHere: 404,
    Conflict: 409,
    plugins.PluginPageFailed: 500,
    StoreUnavailable: 503,
    QueueUnavailable: 503,
    SchemaError: 503,
}


def page_routes() -> list[Route]:
    """A route for each page."""
    return [Route(item.path, item.page) for item in PAGES]


def status_of(error: Exception) -> int:
    """The HTTP status that an error is answered with."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 400)


async def trouble(request: Request, error: Exception) -> Response:
    """What went wrong and what to do, as a page or as JSON."""
    assert isinstance(error, JobmanError)  # noqa: S101  # the handler is registered for these
    status = status_of(error)
    if local_path(request).startswith("/api"):
        return fault(error.message, error.hint, status)
    page = render(request, "trouble.html", title=error.message, hint=error.hint)
    page.status_code = status
    return page


async def missing(request: Request, _: Exception) -> Response:
    """No such page."""
    if local_path(request).startswith("/api"):
        return fault("there is nothing at this address", DESCRIBED, 404)
    page = render(request, "trouble.html", title="There is no such page.", hint="Choose one from the menu.")
    page.status_code = 404
    return page


async def not_so(request: Request, error: Exception) -> Response:
    """What the router refuses, such as another method."""
    assert isinstance(error, HTTPException)  # noqa: S101  # the handler is registered for these
    said = error.detail.lower()
    if local_path(request).startswith("/api"):
        answer: Response = fault(said, DESCRIBED, error.status_code)
    else:
        answer = PlainTextResponse(f"{spoken(request, said)}\n", error.status_code)
    answer.headers.update(error.headers or {})
    return answer
