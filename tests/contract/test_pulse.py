"""A topic's sign differs when a page about it would, and stays when nothing happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rig import Rig

from jobman_cli.errors import UsageError
from jobman_cli.operations.cancel import cancel
from jobman_cli.operations.journal import audit, note_reconciliation
from jobman_cli.operations.metrics import watch_tags
from jobman_cli.operations.pulse import TOPICS, check_topic, pulse
from jobman_cli.operations.supervision import pause, resume
from jobman_cli.store.queries_pulse import FAR, PULSES
from jobman_cli.store.tables import JOBS

ON_EVERY = pytest.mark.parametrize("rig", ["database"], indirect=True)


def signs(rig: Rig, *topics: str) -> dict[str, object]:
    return pulse(rig.parts, topics or TOPICS)


def changed(rig: Rig, act: Callable[[], Any], *topics: str) -> set[str]:
    """The topics whose sign differs after something was done."""
    before = signs(rig, *topics)
    assert signs(rig, *topics) == before, "nothing has happened"
    act()
    after = signs(rig, *topics)
    return {topic for topic in after if after[topic] != before[topic]}


@ON_EVERY
def test_what_changes_with_what(rig: Rig) -> None:
    of_jobs = {topic for topic, parts in TOPICS.items() if "jobs" in parts}
    assert changed(rig, lambda: rig.dispatch("give_up")) == of_jobs
    worker = rig.worker()
    assert changed(rig, lambda: worker.drain()) >= {*of_jobs, "failed"}
    assert changed(rig, lambda: rig.worker()) == {"overview", "queues", "supervisors"}
    assert changed(rig, lambda: pause(rig.parts, "default")) == {"overview", "queues", "supervisors"}
    assert changed(rig, lambda: resume(rig.parts, "default")) == {"overview", "queues", "supervisors"}
    assert changed(rig, lambda: watch_tags(rig.parts, ["a"])) == {"tags"}
    assert changed(rig, lambda: note_reconciliation(rig.parts, "pending", 3)) == {"reconcile"}
    entry: dict[str, Any] = {"actor": "a", "address": "::1", "action": "retry", "details": {}}
    assert changed(rig, lambda: audit(rig.parts, **entry)) == {"audit"}
    worker.link.drop()


@ON_EVERY
def test_one_job(rig: Rig) -> None:
    job = rig.dispatch("hello")
    topic = f"job:{job}"
    other: list[int] = []
    assert changed(rig, lambda: other.append(rig.dispatch("hello")), topic) == {topic}, "its place may differ"
    assert changed(rig, lambda: rig.worker().drain(), topic) == {topic}
    assert changed(rig, lambda: rig.dispatch("hello"), topic) == set(), "it does not wait any more"
    with rig.store.transaction() as connection:
        connection.execute(JOBS.update().where(JOBS.c.id == job).values(status="running"))

    def write(**values: Any) -> Callable[[], None]:
        def act() -> None:
            with rig.store.transaction() as connection:
                connection.execute(JOBS.update().where(JOBS.c.id == job).values(**values))

        return act

    assert changed(rig, write(logs="two\nlines\n"), topic) == {topic}
    assert changed(rig, write(progress={"done": 3, "total": 9}), topic) == {topic}
    assert changed(rig, lambda: cancel(rig.parts, [job]), topic) == {topic}
    assert changed(rig, write(attribs={"name": "b"}), topic) == set()
    assert signs(rig, f"job:{2**63 - 1}") == {f"job:{2**63 - 1}": None}


@ON_EVERY
def test_beyond_what_is_counted_both_ends_of_each_state_are_seen(rig: Rig) -> None:
    for _ in range(FAR + 3):
        rig.dispatch("hello")
    highest = rig.dispatch("hello")

    def end(job_id: int) -> Callable[[], None]:
        def act() -> None:
            with rig.store.transaction() as connection:
                connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(status="cancelled"))

        return act

    lowest = highest - FAR - 3
    assert changed(rig, end(lowest), "jobs") == {"jobs"}
    assert changed(rig, end(highest), "jobs") == {"jobs"}
    assert changed(rig, lambda: rig.dispatch("hello"), "jobs") == {"jobs"}


def test_every_part_is_of_some_topic() -> None:
    assert {part for parts in TOPICS.values() for part in parts} == PULSES.keys()


@pytest.mark.parametrize(
    "topic", ["", "job", "job:", "job:0", "job:-1", "job:²", f"job:{2**63}", "jobs:1", "x" * 999]
)
def test_unknown_topics(topic: str) -> None:
    with pytest.raises(UsageError, match="there is no topic"):
        check_topic(topic)
