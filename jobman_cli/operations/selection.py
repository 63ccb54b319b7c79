"""Which jobs or failed jobs somebody means: how many, the first ones, and all of them a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.queries import (
    FailedFilter,
    JobFilter,
    count_failed,
    count_jobs,
    failed_ids,
    highest_job,
    job_ids,
)

T = TypeVar("T")

#: Ids in one batch.
BATCH = 1000
#: Ids that are named before many are touched.
FIRST = 10


@dataclass(frozen=True, slots=True)
class Found:
    """What an operation would touch.

    Attributes:
        first: The lowest ids.
    """

    number: int
    first: list[int]


def batches(values: Sequence[T]) -> Iterator[list[T]]:
    """Some values, a batch at a time."""
    for at in range(0, len(values), BATCH):
        yield list(values[at : at + BATCH])


def look_jobs(parts: Parts | Lines | Records, wanted: JobFilter) -> Found:
    """How many jobs match, and the first ones."""
    database = parts.database
    return Found(database.read(count_jobs, wanted), database.read(job_ids, wanted, 0, FIRST))


def look_failed(parts: Parts | Lines | Records, wanted: FailedFilter) -> Found:
    """How many ``failed_jobs`` rows match, and the first ones."""
    database = parts.database
    return Found(database.read(count_failed, wanted)[0], database.read(failed_ids, wanted, 0, FIRST))


def each_job(parts: Parts | Lines, wanted: JobFilter) -> Iterator[list[int]]:
    """Ids that match, ascending, up to the newest job there is now.

    Jobs that come to match in front of the walk are met too, those that are dispatched meanwhile are not:
    they could keep it going for ever.
    """
    after, newest = 0, parts.database.read(highest_job)
    if wanted.before is None or wanted.before > newest:
        wanted = replace(wanted, before=newest + 1)
    while ids := parts.database.read(job_ids, wanted, after, BATCH):
        yield ids
        after = ids[-1]


def each_failed(parts: Parts | Lines, wanted: FailedFilter) -> Iterator[list[int]]:
    """Ids of ``failed_jobs`` rows that match, ascending, up to the last one there is now."""
    wanted = replace(wanted, upto=parts.database.read(count_failed, wanted)[1])
    after = 0
    while ids := parts.database.read(failed_ids, wanted, after, BATCH):
        yield ids
        after = ids[-1]
