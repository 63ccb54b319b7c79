"""Everything at a glance: is it going, how fast, what waits, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.charts import WINDOWS, per_minute, runtimes, throughput
from jobman_cli.dashboard.pages.supervisors import hosts
from jobman_cli.dashboard.view import COUNTED, render
from jobman_cli.operations.alerts import alerts
from jobman_cli.operations.metrics import Measure, metrics, queue_states, states
from jobman_cli.operations.supervision import overview

#: Minutes over which the jobs per minute are an average.
LATELY = 5
#: Alerts that are shown; the rest is counted.
ALERTS = 20


def page(request: Request) -> Response:
    """The overview, of the last hour."""
    records = request.app.state.desk.records
    length, width = WINDOWS["1h"]
    found = metrics(records, length, width=width)
    parts = found.bins(width)
    lately = per_minute(parts)[-LATELY:]
    queues = queue_states(records, COUNTED)
    waiting = [queue for queue in queues if queue.oldest is not None]
    seen = overview(records)
    troubles = alerts(records)
    return render(
        request,
        "overview.html",
        all=found.measure(),
        rate=sum(lately) / max(len(lately), 1),
        minutes=LATELY,
        states=states(records, COUNTED),
        queues=queues,
        longest=max(waiting, key=lambda queue: queue.oldest or 0.0, default=None),
        busiest_type=_busiest(found.types()),
        busiest_queue=_busiest(found.queues()),
        charts=[throughput(parts), runtimes(parts)],
        seen=seen,
        hosts=hosts(seen),
        alerts=troubles[:ALERTS],
        more_alerts=max(len(troubles) - ALERTS, 0),
    )


def _busiest(figures: Mapping[str, Measure]) -> tuple[str, Measure] | None:
    return max(figures.items(), key=lambda item: item[1].per_minute, default=None)
