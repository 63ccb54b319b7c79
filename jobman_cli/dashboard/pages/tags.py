"""Monitored tags: how many jobs bear them, how they ended."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.core.states import Status
from jobman_cli.dashboard.search import Search
from jobman_cli.dashboard.view import render
from jobman_cli.operations.metrics import tag_counts


def page(request: Request) -> Response:
    """Each monitored tag with the jobs that bear it, by state."""
    counts = tag_counts(request.app.state.desk.records)

    def search(tag: str, status: str | None = None) -> str:
        return Search().but(tag=tag, statuses=(status,) if status else ())

    return render(request, "tags.html", counts=counts, states=tuple(Status), search=search)
