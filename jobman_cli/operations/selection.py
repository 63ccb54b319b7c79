"""Which jobs or failed jobs somebody means: how many, the first ones, and all of them a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.queries import JobFilter, count_jobs, highest_job, job_ids
from jobman_cli.store.queries_failed import FailedFilter, count_failed, failed_ids

T = TypeVar("T")

#: Ids in one batch.
BATCH = 1000
#: Ids that are named before many are touched.
FIRST = 10
#: The smallest stride.
FEWEST = 100


class Stride:
    """How many rows one statement or transaction may look at or change: as many as take ``aim`` seconds.

    Args:
        size: The first guess.
        most: The largest number.
    """

    def __init__(self, size: int = 5000, most: int = 100_000, aim: float = 0.03) -> None:
        self.size, self._most, self._aim = size, most, aim

    @contextmanager
    def timed(self, number: int | None = None) -> Iterator[None]:
        """Around the work on ``number`` rows (else ``size``): it decides how much is done the next time."""
        began = time.monotonic()
        yield
        took = max(time.monotonic() - began, 0.0005)
        done = self.size if number is None else number
        if done * 2 > self.size:  # a few rows say little about many
            self.size = min(self._most, max(FEWEST, int(done * min(4.0, self._aim / took))))

    def batches(self, values: Sequence[T]) -> Iterator[list[T]]:
        """Some values, as many at a time as take ``aim`` seconds until the next ones are asked for."""
        at = 0
        while at < len(values):
            some = list(values[at : at + self.size])
            with self.timed(len(some)):
                yield some
            at += len(some)


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
    end = parts.database.read(highest_job) + 1
    end = end if wanted.before is None else min(end, wanted.before)
    after, stride = 0, Stride()
    while after + 1 < end:
        upper = end if wanted.indexed else min(end, after + 1 + stride.size)
        with stride.timed():
            ids = parts.database.read(job_ids, replace(wanted, before=upper), after, BATCH)
        if ids:
            yield ids
        after = ids[-1] if len(ids) == BATCH else upper - 1


def each_failed(parts: Parts | Lines, wanted: FailedFilter) -> Iterator[list[int]]:
    """Ids of ``failed_jobs`` rows that match, ascending, up to the last one there is now."""
    wanted = replace(wanted, upto=parts.database.read(count_failed, wanted)[1])
    after = 0
    while ids := parts.database.read(failed_ids, wanted, after, BATCH):
        yield ids
        after = ids[-1]
