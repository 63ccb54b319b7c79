"""One round of bringing jobs to their lines: what is due, and what a push did not reach."""

from __future__ import annotations

from jobman_cli.errors import QueueUnavailable
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts
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


def push_pending(parts: Parts) -> int:
    """Push the rows whose push failed; ends quietly while the queue is away.

    Returns:
        How many were pushed.
    """
    pushed = after = 0
    while True:
        rows = parts.database.read(pending_jobs, after)
        if not rows:
            return pushed
        try:
            parts.engine.push(rows)
        except QueueUnavailable:
            return pushed
        ids = [row.id for row in rows]
        pushed += parts.database.run(mark_queued, ids)
        after = ids[-1]
