"""What was measured: throughput, failures, runtimes and waits, by job type and by queue."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.charts import WINDOWS, runtimes, throughput, waits
from jobman_cli.dashboard.view import render
from jobman_cli.errors import UsageError
from jobman_cli.operations.metrics import metrics

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def page(request: Request) -> Response:
    """A window's figures, of everything, or of one type or queue."""
    since = request.query_params.get("since", "1h")
    if since not in WINDOWS:
        raise UsageError(f"since: {since[:20]!r} is no time to look back", hint=f"Use {', '.join(WINDOWS)}.")
    type, queue = _name(request, "type"), _name(request, "queue")
    length, width = WINDOWS[since]
    found = metrics(request.app.state.desk.records, length, type, queue, width)
    parts = found.bins(width)
    return render(
        request,
        "metrics.html",
        since=since,
        windows=list(WINDOWS),
        type=type,
        queue=queue,
        all=found.measure(),
        tables=[("type", found.types()), ("queue", found.queues())],
        charts=[throughput(parts), runtimes(parts), waits(parts)],
    )


def _name(request: Request, key: str) -> str | None:
    value = request.query_params.get(key)
    if value and not _NAME.fullmatch(value):
        raise UsageError(
            f"{key}: {value[:40]!r} cannot be a name", hint="Use letters, digits, and the characters _ . : -"
        )
    return value or None
