"""Who did what on the dashboard."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.search import read_id
from jobman_cli.dashboard.view import render
from jobman_cli.operations.journal import audits

#: Rows on a page.
LIMIT = 50


def page(request: Request) -> Response:
    """The newest actions, page by page."""
    before = request.query_params.get("before")
    rows = audits(request.app.state.desk.records, read_id(before, "before") if before else None, LIMIT)
    further = rows[-1].id if len(rows) == LIMIT else None
    return render(request, "audit.html", rows=rows, further=further)
