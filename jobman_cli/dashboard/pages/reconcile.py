"""Rows against queue: what the rows say that waits, what the queue holds, and what repair has pushed."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.view import COUNTED, render
from jobman_cli.errors import QueueUnavailable
from jobman_cli.operations.journal import reconciliations
from jobman_cli.operations.requeue import Sample, sample_unqueued
from jobman_cli.operations.supervision import lines_now

#: Seconds for which rows are compared with the queue; a whole comparison is `requeue --unqueued --dry-run`.
GLANCE = 0.05
#: Rounds that are shown.
ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One queue.

    Attributes:
        queued, pending: Rows, each counted up to ``COUNTED``.
        held: Ids that the queue holds; None when that is not known, or the table is the line.
    """

    queue: str
    queued: int
    pending: int
    held: int | None


def page(request: Request) -> Response:
    """Both sides of each line, a sample of what is missing, the last rounds of repair."""
    parts = request.app.state.desk.jobman.lines
    sample: Sample | None = None
    away: str | None = None
    held: dict[str, int | None] = {}
    counted = lines_now(parts, COUNTED)
    try:
        sample = sample_unqueued(parts, GLANCE)
        held = {name: parts.engine.size(name) for name in counted}
    except QueueUnavailable as error:
        away = error.message
    return render(
        request,
        "reconcile.html",
        has_lines=parts.engine.has_lines,
        lines=[Line(name, row.queued, row.pending, held.get(name)) for name, row in counted.items()],
        sample=sample,
        away=away,
        rounds=reconciliations(parts, ROUNDS),
    )
