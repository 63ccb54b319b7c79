"""The queues: what waits in each, who serves it, whether it is paused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.actions.queues import PAUSES
from jobman_cli.dashboard.charts import WINDOWS, per_minute
from jobman_cli.dashboard.view import COUNTED, render
from jobman_cli.operations.metrics import QueueState, metrics, queue_states
from jobman_cli.operations.supervision import paused_queues_until

#: Seconds that one point of a sparkline stands for.
POINT = 120


@dataclass(frozen=True, slots=True)
class Row:
    """One queue.

    Attributes:
        until: When its pause ends; None without an end.
        course: What ended per minute, over the last hour.
    """

    now: QueueState
    paused: bool
    until: datetime | None
    course: Sequence[float]

    @property
    def rate(self) -> float:
        """Jobs per minute, the average of the hour."""
        return sum(self.course) / max(len(self.course), 1)


def page(request: Request) -> Response:
    """Every queue that is known, in the order of their names."""
    records = request.app.state.desk.records
    now = {state.queue: state for state in queue_states(records, COUNTED)}
    paused = paused_queues_until(records)
    found = metrics(records, WINDOWS["1h"][0], width=POINT)
    rows = [
        Row(
            now.get(name) or QueueState(name, 0, None, name in paused, 0, None, None),
            name in paused,
            paused.get(name),
            per_minute(found.bins(POINT, queue=name)),
        )
        for name in sorted({*now, *paused})
    ]
    return render(request, "queues.html", rows=rows, pauses=PAUSES)
