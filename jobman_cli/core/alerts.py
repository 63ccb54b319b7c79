"""What an alert can be about."""

from __future__ import annotations

from enum import StrEnum


class AlertKind(StrEnum):
    """What an alert is about."""

    LONG_WAIT = "long-wait"
    NO_WORKER = "no-worker"
    JOB_FAILED = "job-failed"
    WORKER_DIED = "worker-died"
    SUPERVISOR_MISSING = "supervisor-missing"
    QUEUE_DRIFT = "queue-drift"
    SCHEDULE_MISSED = "schedule-missed"
    SCHEDULE_DIFFERS = "schedule-differs"
