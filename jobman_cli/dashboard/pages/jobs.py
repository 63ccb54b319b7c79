"""Jobs of every state, searched and paged."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.core.states import Status
from jobman_cli.dashboard.pages.lists import LIMIT, asked_of, listed_jobs
from jobman_cli.dashboard.search import QUALIFIERS
from jobman_cli.dashboard.view import render
from jobman_cli.operations import look

#: Jobs of a state are counted up to this many: while jobs run, an open page counts them once a second.
COUNTED = 1_000


def page(request: Request) -> Response:
    """The newest jobs that match, page by page."""
    records = request.app.state.desk.records
    asked = asked_of(request)
    wanted = listed_jobs(records, asked.search, asked.before)
    found = look.page(records, wanted, LIMIT, asked.after, brief=True)
    return render(
        request,
        "jobs.html",
        asked=asked,
        page=found,
        links=asked.links(found),
        states=look.count_states(records, tuple(Status), COUNTED),
        counted=COUNTED,
        silent=wanted.without is not None,
        qualifiers=QUALIFIERS,
    )
