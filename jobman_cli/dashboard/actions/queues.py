"""What can be done to a queue, and to what is not in one."""

from __future__ import annotations

from collections.abc import Mapping

from jobman_cli.core.values import read_queues
from jobman_cli.dashboard.actions import Done, Fields, Question, action, question
from jobman_cli.dashboard.desk import Desk
from jobman_cli.errors import UsageError
from jobman_cli.operations.cancel import clear as clear_queue
from jobman_cli.operations.cancel import waiting_in
from jobman_cli.operations.requeue import requeue_unqueued
from jobman_cli.operations.selection import look_jobs
from jobman_cli.operations.supervision import pause, resume

#: For how long a queue can be paused: what the form sends, and seconds; "" is until it is continued.
PAUSES: Mapping[str, float | None] = {
    "": None,
    "10m": 600.0,
    "1h": 3600.0,
    "6h": 6 * 3600.0,
    "24h": 86_400.0,
}


@action("pause-queue")
def pause_queue(desk: Desk, fields: Fields) -> Done:
    """Start no more of its jobs."""
    queue, span = _queue(fields), fields.get("for", "")
    if span not in PAUSES:
        known = ", ".join(name for name in PAUSES if name)
        raise UsageError(f"for: {span[:20]!r} is no time to pause", hint=f"Use {known}, or leave it out.")
    pause(desk.records, queue, PAUSES[span])
    return Done(
        f"Queue {queue} is paused for {span}." if span else f"Queue {queue} is paused until it is continued.",
        1,
    )


@action("continue-queue")
def continue_queue(desk: Desk, fields: Fields) -> Done:
    """Start its jobs again."""
    queue = _queue(fields)
    if not resume(desk.records, queue):
        return Done(f"Queue {queue} was not paused.")
    return Done(f"Queue {queue} goes on.", 1)


@question("clear-queue")
def ask_clear(desk: Desk, fields: Fields) -> Question:
    """How many jobs wait."""
    queue = _queue(fields)
    found = look_jobs(desk.records, waiting_in(queue))
    return Question(
        f"Cancel {found.number:,} waiting jobs of queue {queue}? Running jobs go on.",
        f"Cancel {found.number:,} jobs",
        found.number,
        found.first,
        {"queue": queue},
    )


@action("clear-queue")
def clear(desk: Desk, fields: Fields) -> Done:
    """Cancel all that wait; their rows stay."""
    queue = _queue(fields)
    number = clear_queue(desk.jobman.lines, queue)
    return Done(f"{number:,} waiting jobs of queue {queue} are cancelled.", number)


@action("push-unqueued")
def push_unqueued(desk: Desk, fields: Fields) -> Done:
    """Push every row that waits and is not in its queue."""
    done = requeue_unqueued(desk.jobman.lines)
    number = done.pending + done.missing
    if not desk.jobman.lines.engine.has_lines:
        return Done(f"{number:,} jobs were pushed.", number)
    return Done(
        f"{number:,} jobs were pushed: {done.pending:,} were pending, "
        f"{done.missing:,} of {done.checked:,} queued ones were missing.",
        number,
    )


def _queue(fields: Fields) -> str:
    return read_queues([fields.get("queue", "")[:100]], "queue")[0]
