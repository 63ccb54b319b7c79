"""Requeue: push rows that are not in the queue, or run any finished job again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobman_cli.operations.dispatch import push
from jobman_cli.operations.line import push_pending
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.operations.selection import BATCH, each_job
from jobman_cli.store.lifecycle.line import queued_jobs
from jobman_cli.store.lifecycle.requeue import requeue_jobs
from jobman_cli.store.queries import JobFilter


@dataclass(frozen=True, slots=True)
class Unqueued:
    """What a round found and pushed.

    Attributes:
        pending: Rows whose push had failed.
        missing: Rows that were ``queued`` and not in their line.
        checked: ``queued`` rows that were compared with their line.
    """

    pending: int
    missing: int
    checked: int


def requeue_unqueued(parts: Parts, progress: Progress = ignore) -> Unqueued:
    """Push every row that waits for a worker and is not in its line.

    It asks the queue in batches and changes no row but ``pending`` ones, so it may run beside workers
    and beside itself. An id that a worker has just popped may be pushed again: the claim sorts it out.

    Raises:
        QueueUnavailable, StoreUnavailable: when a server is away; what was pushed before stays pushed.
    """
    parts.engine.check()
    pending = push_pending(parts)
    missing = checked = after = 0
    while rows := parts.database.read(queued_jobs, after, BATCH):
        if absent := parts.engine.missing(rows):
            parts.engine.push(absent)
        missing += len(absent)
        checked += len(rows)
        after = rows[-1].id
        progress(len(rows))
    return Unqueued(pending, missing, checked)


def requeue(parts: Parts, ids: Sequence[int]) -> list[int]:
    """Run finished jobs again, with fresh tries.

    Returns:
        The ids that were queued, ascending; unfinished and unknown ones are not among them.
    """
    queued: list[int] = []
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), BATCH):
        rows = parts.database.run(requeue_jobs, wanted[at : at + BATCH])
        if rows:
            push(parts, rows)
        queued += [row.id for row in rows]
    return queued


def requeue_matching(parts: Parts, wanted: JobFilter, progress: Progress = ignore) -> int:
    """Run all finished jobs that match again.

    Returns:
        How many were queued.
    """
    queued = 0
    for ids in each_job(parts, wanted):
        queued += len(requeue(parts, ids))
        progress(len(ids))
    return queued
