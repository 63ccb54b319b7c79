"""Delete one finished job; ``prune`` deletes the many."""

from __future__ import annotations

from jobman_cli.errors import UsageError
from jobman_cli.operations.look import show
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.lifecycle.prune import delete_jobs


class JobUnfinished(UsageError):
    """The job is not finished."""

    hint = "Cancel it first; a running job ends when it looks whether it was cancelled."


def delete(parts: Parts | Lines | Records, job_id: int) -> None:
    """Delete a finished job with its attempts and its ``failed_jobs`` row, in one transaction.

    Raises:
        JobNotFound: when there is none.
        JobUnfinished: when it waits or runs; nothing was deleted.
    """
    job = show(parts, job_id)
    if not parts.database.run(delete_jobs, [job_id]):
        raise JobUnfinished(f"job {job_id} is {job.status}")
