"""Cancel jobs, one by one or a queue's whole line."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from jobman_cli.core.states import FINAL, Status
from jobman_cli.errors import QueueUnavailable
from jobman_cli.operations.parts import Lines, Parts
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.operations.selection import BATCH, Stride, batches
from jobman_cli.store.lifecycle.cancel import Cancelled, cancel_jobs, clear_line
from jobman_cli.store.queries import JobFilter, highest_job

logger = logging.getLogger("jobman.cancel")


def cancel(parts: Parts | Lines, ids: Sequence[int]) -> list[Cancelled]:
    """Cancel waiting jobs and ask running ones to stop.

    Returns:
        The jobs that were touched, in id order: ``cancelled`` ones will not run; ``running`` ones see
        ``ctx.cancelled`` and may go on all the same. Finished and unknown ones are not among them.

    Raises:
        StoreUnavailable: when the database is away.
    """
    touched: list[Cancelled] = []
    reachable = True
    for some in batches(sorted(set(ids))):
        rows = parts.database.run(cancel_jobs, some)
        reachable = reachable and _remove(parts, rows)
        touched += rows
    return touched


def clear(parts: Parts | Lines, queue: str, progress: Progress = ignore) -> int:
    """Cancel all waiting jobs of a queue, scheduled ones included; their rows stay.

    Only the ids that were cancelled leave the line: what is dispatched meanwhile stays in it.

    Returns:
        How many.

    Raises:
        StoreUnavailable: when the database is away; what was cancelled before stays so.
    """
    cleared = after = 0
    newest, reachable = parts.database.read(highest_job), True
    stride = Stride(size=200, most=BATCH, aim=0.04)
    while True:
        with stride.timed():
            rows = parts.database.run(clear_line, queue, after, newest, stride.size)
        if not rows:
            return cleared
        reachable = reachable and _remove(parts, rows)
        cleared += len(rows)
        after = rows[-1].id
        progress(len(rows))


def waiting_in(queue: str) -> JobFilter:
    """The jobs that ``clear`` cancels."""
    running = {Status.RUNNING}
    return JobFilter(statuses=tuple(sorted(set(Status) - FINAL - running)), queue=queue)


def _remove(parts: Parts | Lines, rows: Sequence[Cancelled]) -> bool:
    """Out of the line as well; ids that stay there find a cancelled row and are dropped.

    Returns:
        False when the queue is away: no use in asking again.
    """
    by_queue: dict[str, list[int]] = {}
    for row in rows:
        if row.status == Status.CANCELLED:
            by_queue.setdefault(row.queue, []).append(row.id)
    try:
        for queue, ids in by_queue.items():
            parts.engine.remove(queue, ids)
    except QueueUnavailable as error:
        logger.warning("cancelled ids stay in the queue until a worker drops them: %s", error)
        return False
    return True
