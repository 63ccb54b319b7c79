"""Look at jobs, and wait for one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from jobman_cli.core.states import FINAL
from jobman_cli.errors import JobNotFound
from jobman_cli.operations.parts import Parts, Records
from jobman_cli.store.queries import (
    JobFilter,
    find_job,
    find_jobs,
    list_attempts,
    list_jobs,
    live_workers,
)
from jobman_cli.store.tables import Attempt, Job, Worker

#: Seconds between two looks at a job that is waited for: at first, at the most.
SHORT, LONG = 0.02, 0.5


def show(parts: Parts | Records, job_id: int) -> Job:
    """One job's row.

    Raises:
        JobNotFound: when there is none.
    """
    job = parts.database.read(find_job, job_id)
    if job is None:
        raise JobNotFound(f"there is no job {job_id}")
    return job


def show_many(parts: Parts | Records, ids: Sequence[int]) -> list[Job]:
    """The rows of some ids, in id order; ids without a row are left out."""
    return parts.database.read(find_jobs, ids)


def attempts(parts: Parts | Records, job_id: int) -> list[Attempt]:
    """A job's attempts that did not complete, the first one first."""
    return parts.database.read(list_attempts, job_id)


def jobs(parts: Parts | Records, wanted: JobFilter, limit: int = 50) -> list[Job]:
    """A page of jobs, the newest first."""
    return parts.database.read(list_jobs, wanted, limit)


def workers(parts: Parts | Records) -> list[Worker]:
    """The workers that are believed to live."""
    return parts.database.read(live_workers, parts.settings.lease)


def wait(
    parts: Parts | Records,
    job_id: int,
    timeout: float | None = None,
    follow: Callable[[Job], None] | None = None,
) -> Job:
    """Wait until a job is completed, failed or cancelled.

    Args:
        timeout: Seconds; None waits for ever.
        follow: Called with the row at each look.

    Returns:
        The row as it is at the end, or when the time is up: its ``status`` tells.

    Raises:
        JobNotFound: when there is no such job.
    """
    until = None if timeout is None else time.monotonic() + timeout
    pause = SHORT
    while True:
        job = show(parts, job_id)
        if follow is not None:
            follow(job)
        left = None if until is None else until - time.monotonic()
        if job.status in FINAL or (left is not None and left <= 0):
            return job
        time.sleep(pause if left is None else min(pause, left))
        pause = min(pause * 1.5, LONG)
