"""What was measured, what waits, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jobman_cli.operations.objects import iso

if TYPE_CHECKING:
    from jobman_cli.operations.metrics import Metrics, QueueState
    from jobman_cli.store.tables import Alert, Audit

#: Of an alert's row, what is shown.
ALERT_KEYS = ("key", "kind", "message", "count", "raised_at", "last_told_at", "details")
#: Of what was done on the dashboard, what is shown.
AUDIT_KEYS = ("id", "at", "actor", "address", "action", "details", "outcome", "number", "message")


def metrics_object(found: Metrics, states: Sequence[QueueState]) -> dict[str, Any]:
    """Figures by type and by queue, with each queue's state now."""
    queues = found.queues()
    now = {state.queue: state for state in states}
    return {
        "since": iso(found.since),
        "until": iso(found.until),
        "types": [{"type": name, **asdict(figures)} for name, figures in found.types().items()],
        "queues": [
            {**queue_object(name, now.get(name)), **asdict(queues.get(name) or found.measure(queue=name))}
            for name in sorted({*queues, *now})
        ],
    }


def series_object(found: Metrics, type: str | None, queue: str | None) -> dict[str, Any]:
    """Figures of one type or queue, and how they went."""
    return {
        "since": iso(found.since),
        "until": iso(found.until),
        "type": type,
        "queue": queue,
        **asdict(found.measure()),
        "series": [
            {"at": iso(at), "seconds": seconds, **asdict(figures)} for at, seconds, figures in found.series()
        ],
    }


def queue_object(name: str, state: QueueState | None) -> dict[str, Any]:
    """A queue now; one of which nothing is known is empty."""
    from jobman_cli.operations.metrics import QueueState

    return asdict(state or QueueState(name, 0, None, False, 0, None, None))


def tags_array(counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Monitored tags, with how many of the newest jobs bear each, by state."""
    return [{"tag": tag, "jobs": jobs} for tag, jobs in counts.items()]


def alert_object(alert: Alert) -> dict[str, Any]:
    """A trouble that goes on."""
    return {key: getattr(alert, key) for key in ALERT_KEYS}


def audit_object(entry: Audit) -> dict[str, Any]:
    """What somebody did on the dashboard."""
    return {key: getattr(entry, key) for key in AUDIT_KEYS}
