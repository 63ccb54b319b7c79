"""Requeue: push rows that are not in the queue, or run any finished job again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jobman_cli.operations.dispatch import push
from jobman_cli.operations.journal import note_reconciliation
from jobman_cli.operations.line import push_all_pending
from jobman_cli.operations.parts import Lines, Parts
from jobman_cli.operations.progress import Progress, ignore
from jobman_cli.operations.selection import BATCH, FIRST, Found, batches, each_job
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.line import pending_jobs, queued_jobs
from jobman_cli.store.lifecycle.requeue import requeue_jobs
from jobman_cli.store.lifecycle.unique import Conflict
from jobman_cli.store.queries import JobFilter, highest_job


@dataclass(slots=True)
class Requeued:
    """What runs again, and what does not.

    Attributes:
        ids: Jobs that were queued, ascending.
        conflicts: Finished jobs that stay as they are: an unfinished one bears their unique key.
    """

    ids: list[int] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unqueued:
    """What a round found and pushed.

    Attributes:
        pending: Rows whose push had failed.
        missing: Rows that were ``queued`` and not in their line.
        checked: ``queued`` rows that were compared with their line; 0 where the table is the line.
    """

    pending: int
    missing: int
    checked: int


def requeue_unqueued(parts: Parts | Lines, progress: Progress = ignore) -> Unqueued:
    """Push every row that waits for a worker and is not in its line.

    It asks the queue in batches and changes no row but ``pending`` ones, so it may run beside workers
    and beside itself. An id that a worker has just popped may be pushed again: the claim sorts it out.
    Rows that are dispatched meanwhile are left to their own push.

    Raises:
        QueueUnavailable, StoreUnavailable: when a server is away; what was pushed before stays pushed.
    """
    parts.engine.check()
    pending = push_all_pending(parts, progress)
    missing = checked = 0
    for rows in _queued(parts):
        if absent := parts.engine.missing(rows):
            parts.engine.push(absent)
        missing += len(absent)
        checked += len(rows)
        progress(len(rows))
    note_reconciliation(parts, "by-hand", pending + missing)
    return Unqueued(pending, missing, checked)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was found to be out of its line, as far as it was looked for.

    Attributes:
        number: Rows that ``requeue_unqueued`` would push.
        first: The lowest ids among them.
        checked: ``queued`` rows that were compared with their line.
        whole: False when the time was up before all were compared.
    """

    number: int
    first: list[int]
    checked: int
    whole: bool


def look_unqueued(parts: Parts | Lines) -> Found:
    """What ``requeue_unqueued`` would push.

    Raises:
        QueueUnavailable, StoreUnavailable: when a server is away.
    """
    sample = sample_unqueued(parts, math.inf)
    return Found(sample.number, sample.first)


def sample_unqueued(parts: Parts | Lines, seconds: float) -> Sample:
    """What ``requeue_unqueued`` would push, the oldest first, as far as one can look in a time.

    Args:
        seconds: After which no further batch is compared.

    Raises:
        QueueUnavailable, StoreUnavailable: when a server is away.
    """
    parts.engine.check()
    until = time.monotonic() + seconds
    number = checked = 0
    first: list[int] = []
    for absent, compared in _absent(parts):
        number, checked = number + len(absent), checked + compared
        first = sorted([*first, *(row.id for row in absent)])[:FIRST]
        if time.monotonic() >= until:
            return Sample(number, first, checked, False)
    return Sample(number, first, checked, True)


def _absent(parts: Parts | Lines) -> Iterator[tuple[list[InLine], int]]:
    """The rows that are in no line, a batch at a time, and how many were compared with one."""
    after = 0
    while rows := parts.database.read(pending_jobs, after, BATCH):
        yield list(rows), 0
        after = rows[-1].id
    for rows in _queued(parts):
        yield parts.engine.missing(rows), len(rows)


def _queued(parts: Parts | Lines) -> Iterator[list[InLine]]:
    """The ``queued`` rows there are now, in batches; none where nothing can differ from them."""
    after, newest = 0, parts.database.read(highest_job) if parts.engine.has_lines else 0
    while after < newest and (rows := parts.database.read(queued_jobs, after, BATCH)):
        yield rows
        after = rows[-1].id


def requeue(parts: Parts | Lines, ids: Sequence[int]) -> Requeued:
    """Run finished jobs again, with fresh tries; unfinished and unknown ones are left alone."""
    done = Requeued()
    for some in batches(sorted(set(ids))):
        again = parts.database.run(requeue_jobs, some)
        if again.rows:
            push(parts, again.rows)
        done.ids += [row.id for row in again.rows]
        done.conflicts += again.conflicts
    return done


def requeue_matching(
    parts: Parts | Lines, wanted: JobFilter, progress: Progress = ignore
) -> tuple[int, list[Conflict]]:
    """Run all finished jobs that match again.

    Returns:
        How many were queued, and those that were not, because an unfinished job bears their unique key.
    """
    queued = 0
    conflicts: list[Conflict] = []
    for ids in each_job(parts, wanted):
        done = requeue(parts, ids)
        queued += len(done.ids)
        conflicts += done.conflicts
        progress(len(ids))
    return queued, conflicts
