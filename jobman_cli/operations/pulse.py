"""What has changed: a cheap sign for each topic that is looked at, to be compared with the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jobman_cli.core.states import WAITING
from jobman_cli.errors import UsageError
from jobman_cli.operations.parts import Records
from jobman_cli.operations.selection import batches
from jobman_cli.store.queries_pulse import read_job_pulses, read_pulses

#: What each topic depends on.
TOPICS: Mapping[str, tuple[str, ...]] = {
    "overview": ("jobs", "failed", "metrics", "processes", "pauses", "alerts"),
    "jobs": ("jobs", "metrics"),
    "failed": ("failed",),
    "queues": ("jobs", "metrics", "processes", "pauses"),
    "supervisors": ("jobs", "processes", "pauses"),
    "metrics": ("metrics",),
    "schedule": ("schedule",),
    "tags": ("tags", "jobs", "metrics"),
    "reconcile": ("reconciliations", "jobs", "metrics"),
    "audit": ("audit",),
}
#: The topic of one job, before its id.
JOB = "job:"
#: The highest id that a row can have.
HIGHEST = 2**63 - 1


class UnknownTopic(UsageError):
    """There is no such topic."""

    hint = f"Topics are {', '.join(TOPICS)}, and {JOB}ID."


def check_topic(topic: str) -> str:
    """The same topic.

    Raises:
        UnknownTopic: when there is none of that name.
    """
    if topic in TOPICS or _job_of(topic) is not None:
        return topic
    raise UnknownTopic(f"there is no topic {topic[:80]!r}")


def pulse(records: Records, topics: Iterable[str]) -> dict[str, object]:
    """A sign for each topic: when it differs from the one before, something has changed.

    A waiting job's place in its line changes with every other job, so its sign does.

    Args:
        topics: Known ones; see ``check_topic``.

    Raises:
        StoreUnavailable: when the database is away.
    """
    wanted = set(topics)
    ids = {topic: job_id for topic in wanted if (job_id := _job_of(topic)) is not None}
    jobs: dict[int, tuple[object, ...]] = {}
    for some in batches(sorted(set(ids.values()))):
        jobs |= records.database.read(read_job_pulses, some)
    waits = any(row[0] in WAITING for row in jobs.values())
    parts = {part for topic in wanted - ids.keys() for part in TOPICS[topic]} | ({"jobs"} if waits else set())
    read = records.database.read(read_pulses, sorted(parts), records.settings.lease) if parts else {}
    signs: dict[str, object] = {
        topic: [read[part] for part in TOPICS[topic]] for topic in wanted - ids.keys()
    }
    for topic, job_id in ids.items():
        row = jobs.get(job_id)
        signs[topic] = (row, read["jobs"]) if row is not None and row[0] in WAITING else row
    return signs


def _job_of(topic: str) -> int | None:
    """The job that a topic is about."""
    kind, _, number = topic.partition(":")
    if f"{kind}:" != JOB or not (number.isascii() and number.isdigit()) or len(number) > len(str(HIGHEST)):
        return None
    return int(number) if 0 < int(number) <= HIGHEST else None
