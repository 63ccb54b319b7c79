"""Follow a job to its end: its log lines and progress go to stderr as they come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jobman_cli.cli import rows, talk

if TYPE_CHECKING:
    from jobman_cli.app import Jobman

#: Seconds between two looks whether anybody still serves the queue.
LOOK = 5.0


def is_served(jobman: Jobman, queue: str) -> bool:
    """True when a worker that is believed to live serves a queue."""
    from jobman_cli.operations.look import workers

    return any(queue in worker.queues for worker in workers(jobman.records))


class _Deserted(Exception):
    """No worker serves the queue any more."""


class Follower:
    """Follows one job.

    Attributes:
        deserted: The following ended because no worker was left to end the job.
    """

    def __init__(self, jobman: Jobman) -> None:
        self.deserted = False
        self._jobman = jobman
        self._logs = 0
        self._progress: Any = None
        self._status = ""
        self._next_look = time.monotonic() + LOOK
        self._job: Any = None

    def follow(self, job_id: int, timeout: float | None = None) -> Any:
        """Until the job is in a final state, the time (seconds) is up, or nobody serves its queue.

        Returns:
            The row.
        """
        try:
            return self._jobman.wait(job_id, timeout, self._tell)
        except _Deserted:
            self.deserted = True
            return self._job

    def _tell(self, job: Any) -> None:
        self._job = job
        logs = job.logs or ""
        for line in logs[self._logs :].splitlines():
            talk.say(line)
        self._logs = len(logs)
        if job.progress and job.progress != self._progress:
            talk.say(f"progress {rows.progress_text(job.progress)}")
        self._progress = job.progress
        if job.status != self._status and job.status in ("running", "scheduled"):
            talk.say(rows.summary(job))
        self._status = job.status
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK
            if job.status in ("pending", "queued", "running") and not is_served(self._jobman, job.queue):
                raise _Deserted
