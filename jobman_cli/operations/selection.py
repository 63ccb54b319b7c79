"""Which jobs or failed jobs somebody means, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

from jobman_cli.operations.parts import Parts
from jobman_cli.store.queries import FailedFilter, JobFilter, failed_ids, job_ids

#: Ids in one batch.
BATCH = 1000


def each_job(parts: Parts, wanted: JobFilter) -> Iterator[list[int]]:
    """Ids that match, ascending; jobs that come to match behind the walk are met too."""
    after = 0
    while ids := parts.database.read(job_ids, wanted, after, BATCH):
        yield ids
        after = ids[-1]


def each_failed(parts: Parts, wanted: FailedFilter) -> Iterator[list[int]]:
    """Ids of ``failed_jobs`` rows that match, ascending, up to the last one there is now."""
    after = 0
    while ids := parts.database.read(failed_ids, wanted, after, BATCH):
        yield ids
        after = ids[-1]
