"""One round of bringing jobs to their lines: what is due, and what a push did not reach."""

from __future__ import annotations

from contextlib import suppress

from jobman_cli.errors import QueueUnavailable
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.journal import note_reconciliation
from jobman_cli.operations.parts import Lines, Parts
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.store.lifecycle.line import BATCH, mark_queued, pending_jobs, promote_due


def promote(parts: Parts) -> int:
    """Queue the scheduled jobs whose time has come.

    Returns:
        How many.
    """
    moved = 0
    while True:
        rows = parts.database.run(promote_due)
        if rows:
            push(parts, rows)
        moved += len(rows)
        if len(rows) < BATCH:
            return moved


def push_pending(parts: Parts | Lines) -> int:
    """Push the rows whose push failed; ends quietly while the queue is away.

    Returns:
        How many were pushed.
    """
    pushed: list[int] = []
    with suppress(QueueUnavailable):
        push_all_pending(parts, pushed.append)
    note_reconciliation(parts, "pending", sum(pushed))
    return sum(pushed)


def push_all_pending(parts: Parts | Lines, progress: Progress = ignore) -> int:
    """Push the rows whose push failed.

    Returns:
        How many were pushed.

    Raises:
        QueueUnavailable: when the queue is away; what was pushed before stays pushed.
    """
    pushed = after = 0
    while rows := parts.database.read(pending_jobs, after):
        parts.engine.push(rows)
        ids = [row.id for row in rows]
        marked = parts.database.run(mark_queued, ids)
        pushed += marked
        progress(marked)
        after = ids[-1]
    return pushed
