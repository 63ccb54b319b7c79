"""Cancel jobs, one by one or a queue's whole line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from jobman_cli.errors import QueueUnavailable
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.operations.selection import BATCH
from jobman_cli.store.lifecycle.cancel import Cancelled, cancel_jobs, clear_line

logger = logging.getLogger("jobman.cancel")


def cancel(parts: Parts, ids: Sequence[int]) -> list[Cancelled]:
    """Cancel waiting jobs and ask running ones to stop.

    Returns:
        The jobs that were touched, in id order: ``cancelled`` ones will not run; ``running`` ones see
        ``ctx.cancelled`` and may go on all the same. Finished and unknown ones are not among them.

    Raises:
        StoreUnavailable: when the database is away.
    """
    touched: list[Cancelled] = []
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), BATCH):
        rows = parts.database.run(cancel_jobs, wanted[at : at + BATCH])
        _remove(parts, rows)
        touched += rows
    return touched


def clear(parts: Parts, queue: str, progress: Progress = ignore) -> int:
    """Cancel all waiting jobs of a queue, scheduled ones included; their rows stay.

    Only the ids that were cancelled leave the line: what is dispatched meanwhile stays in it.

    Returns:
        How many.

    Raises:
        StoreUnavailable: when the database is away; what was cancelled before stays so.
    """
    cleared = 0
    while rows := parts.database.run(clear_line, queue, BATCH):
        _remove(parts, rows)
        cleared += len(rows)
        progress(len(rows))
    return cleared


def _remove(parts: Parts, rows: Sequence[Cancelled]) -> None:
    """Out of the line as well; ids that stay there find a cancelled row and are dropped."""
    by_queue: dict[str, list[int]] = {}
    for row in rows:
        if row.status == "cancelled":
            by_queue.setdefault(row.queue, []).append(row.id)
    for queue, ids in by_queue.items():
        with suppress(QueueUnavailable):
            parts.engine.remove(queue, ids)
