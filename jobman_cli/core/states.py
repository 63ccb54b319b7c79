"""The states of a job and the moves between them.

``docs/explanation/architecture.md`` draws this table; the state-machine test walks it.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What ``jobmans.status`` may hold."""

    PENDING = "pending"
    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: Nothing happens to a job in one of these by itself.
FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

#: A worker may claim a job in one of these.
WAITING = frozenset({Status.PENDING, Status.QUEUED})

#: From a state to the states that one compare-and-set may lead to.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.QUEUED, Status.RUNNING, Status.CANCELLED}),
    Status.QUEUED: frozenset({Status.PENDING, Status.RUNNING, Status.CANCELLED}),
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.RUNNING: frozenset(
        {Status.COMPLETED, Status.FAILED, Status.SCHEDULED, Status.QUEUED, Status.CANCELLED}
    ),
    Status.COMPLETED: frozenset({Status.QUEUED}),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
}
