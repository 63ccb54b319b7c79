"""What runs by the clock: the next times, what came of the last, what cannot be fired."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.view import render
from jobman_cli.operations.redact import redact
from jobman_cli.operations.schedule import Look, look

#: Times of each entry that are shown.
NEXT = 3


def page(request: Request) -> Response:
    """Every entry, in the order of the configuration."""
    desk = request.app.state.desk
    rows = look(desk.parts, NEXT)
    patterns = desk.jobman.settings.redact
    given = {
        row.entry.name: redact(
            dict(row.entry.options if row.entry.job is None else row.entry.attribs), patterns
        )
        for row in rows
    }
    return render(request, "schedule.html", rows=rows, given=given, state_of=state_of)


def state_of(row: Look) -> str:
    """``broken``, ``differs`` (other times than the configuration's are in force), ``paused`` or ``on``."""
    if row.fault is not None:
        return "broken"
    if row.in_force not in (None, row.entry.clock):
        return "differs"
    return "paused" if row.paused else "on"
