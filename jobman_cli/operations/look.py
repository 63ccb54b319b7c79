"""Look at jobs, and wait for one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from jobman_cli.core.states import FINAL, WAITING
from jobman_cli.errors import InvalidOption, JobNotFound
from jobman_cli.operations.paging import BRIEF_JOBS, JOB_ROWS, Page, a_page
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.operations.selection import batches
from jobman_cli.store.queries import (
    JobFilter,
    database_now,
    find_job,
    find_jobs,
    find_workers,
    job_states,
    list_attempts,
    live_workers,
    place_in_line,
)
from jobman_cli.store.queries_failed import failed_of
from jobman_cli.store.queries_metrics import count_by_state
from jobman_cli.store.tables import Attempt, FailedJob, Job, Worker

#: Seconds between two looks at a job that is waited for: at first, at the most.
SHORT, LONG = 0.02, 0.5


def show(parts: Parts | Lines | Records, job_id: int) -> Job:
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
    rows: list[Job] = []
    for some in batches(sorted(set(ids))):
        rows += parts.database.read(find_jobs, some)
    return rows


def states(parts: Parts | Lines | Records, ids: Sequence[int]) -> dict[int, str]:
    """The states of some jobs; ids without a row are left out."""
    found: dict[int, str] = {}
    for some in batches(ids):
        found |= parts.database.read(job_states, some)
    return found


def attempts(parts: Parts | Records, job_id: int) -> list[Attempt]:
    """A job's attempts that did not complete, the first one first."""
    return parts.database.read(list_attempts, job_id)


def place(parts: Parts | Records, job: Job) -> int | None:
    """A waiting job's place in its line: 1 is the next; counted up to ``queries.FAR``.

    Returns:
        None for a job that does not wait in a line.
    """
    return parts.database.read(place_in_line, job) + 1 if job.status in WAITING else None


def failed_job(parts: Parts | Records, job_id: int) -> FailedJob | None:
    """A failed job's row in ``failed_jobs``, the newest; None when it has none."""
    rows = parts.database.read(failed_of, [job_id])
    return rows[-1] if rows else None


def workers_named(parts: Parts | Records, uuids: Iterable[str | None]) -> dict[str, Worker]:
    """Workers by uuid; rows of workers that ended long ago are gone."""
    wanted = sorted({uuid for uuid in uuids if uuid})
    return {row.uuid: row for row in parts.database.read(find_workers, wanted)} if wanted else {}


@dataclass(frozen=True, slots=True)
class Whole:
    """All that is known of a job.

    Attributes:
        place: In the line, from 1; None when it does not wait there.
        workers: By uuid, those whose rows are still there.
    """

    job: Job
    history: Sequence[Attempt]
    workers: Mapping[str, Worker]
    failed: FailedJob | None
    place: int | None


def whole(parts: Parts | Records, job: Job) -> Whole:
    """Read what belongs to a row."""
    job_id = int(job.id or 0)
    history = attempts(parts, job_id)
    workers = workers_named(parts, [job.worker_id, *(each.worker_id for each in history)])
    return Whole(job, history, workers, failed_job(parts, job_id), place(parts, job))


def count_states(parts: Parts | Records, statuses: Sequence[str], most: int) -> dict[str, int]:
    """How many jobs are in each state; each counted up to ``most``."""
    return parts.database.read(count_by_state, statuses, most)


def moment(parts: Parts | Lines | Records, when: datetime | timedelta) -> datetime:
    """A point in time: as it is, or so long ago by the database's clock.

    Raises:
        InvalidOption: when that is before 1970 or out of the calendar.
    """
    try:
        point = when if isinstance(when, datetime) else parts.database.read(database_now) - when
        if point >= datetime(1970, 1, 1, tzinfo=UTC):
            return point.astimezone(UTC)
    except OverflowError:
        pass
    raise InvalidOption("there were no jobs at that time", hint="Use a time after 1970, or 2h, 3d … for ago.")


def page(
    parts: Parts | Records,
    wanted: JobFilter,
    limit: int = 50,
    after: int | None = None,
    brief: bool = False,
) -> Page[Job]:
    """A page of jobs, within a tenth of a second or so however many rows there are; see ``paging``.

    Args:
        after: The page that ends just above this id, instead of the newest.
        brief: Without what may be long: attribs, logs and traceback are not read.
    """
    return a_page(parts.database, BRIEF_JOBS if brief else JOB_ROWS, wanted, limit, after)


def jobs(parts: Parts | Records, wanted: JobFilter, limit: int = 50) -> list[Job]:
    """The newest jobs that match, as many as were asked for if there are so many: one page after another."""
    found: list[Job] = []
    while True:
        some = page(parts, wanted, limit - len(found))
        found += some.rows
        if some.before is None or len(found) >= limit:
            return found
        wanted = replace(wanted, before=some.before)


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
