"""Failed jobs, to be retried after the fix or forgotten."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.pages.lists import LIMIT, asked_of, failed_filter
from jobman_cli.dashboard.search import OF_FAILED, QUALIFIERS
from jobman_cli.dashboard.view import render
from jobman_cli.operations import failed
from jobman_cli.operations.objects.jobs import failed_payload


def page(request: Request) -> Response:
    """The newest failed jobs that match, page by page."""
    records = request.app.state.desk.records
    asked = asked_of(request, OF_FAILED)
    found = failed.page(records, failed_filter(records, asked.search, asked.before), LIMIT, asked.after)
    return render(
        request,
        "failed.html",
        asked=asked,
        page=found,
        links=asked.links(found),
        types={row.id: str(failed_payload(row).get("type", "")) for row in found.rows},
        qualifiers={name: QUALIFIERS[name] for name in OF_FAILED},
    )
