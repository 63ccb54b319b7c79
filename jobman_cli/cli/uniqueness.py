"""What is said when a unique key stood in the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobman_cli.cli import talk
from jobman_cli.cli.asking import counted, names

if TYPE_CHECKING:
    from jobman_cli.store.lifecycle.unique import Conflict
    from jobman_cli.store.tables import Job


def tell_there(job: Job) -> None:
    """Nothing was dispatched: this job is there."""
    talk.say(f"job {job.id} has this unique key and is {job.status}: nothing was dispatched")


def tell_conflicts(conflicts: Sequence[Conflict]) -> None:
    """Name the jobs that were left alone, and who bears their keys."""
    if conflicts:
        pairs = names(f"{each.id} (its key: job {each.holder})" for each in conflicts)
        talk.warn(f"{counted(len(conflicts), 'job', 'jobs')} left alone, another has the unique key: {pairs}")
        talk.hint("Run them again when those have ended.")
