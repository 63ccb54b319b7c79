"""Supervisors' rows on every database: who is believed, who is missed, how commands are answered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rig import Rig
from sqlalchemy import select

from jobman_cli.errors import InvalidOption
from jobman_cli.operations.alerts import alerts, watch_over
from jobman_cli.operations.supervision import (
    overview,
    pause,
    resume,
    tell,
    tidy,
    wait_until_heard,
)
from jobman_cli.runtime.identity import identify, new_uuid
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.supervisors import (
    Charge,
    acknowledge,
    bury_supervisors,
    processes_of,
    register_supervisor,
    report,
    stop_supervisor,
)
from jobman_cli.store.queries import database_now
from jobman_cli.store.tables import QUEUES, SUPERVISORS

LEASE = 30.0


@pytest.fixture
def parts(store: Database, tmp_path: Path) -> Any:
    rig = Rig(store, "database", tmp_path)
    yield rig.parts
    rig.close()


def start(parts: Any, kind: str = "supervisor", name: str = "default", **more: Any) -> str:
    uuid = new_uuid()
    parts.database.run(
        register_supervisor, identify(uuid, uuid, ("default",)), Charge(kind, name, "auto", **more)
    )
    return uuid


def age(parts: Any, uuid: str, seconds: float) -> None:
    then = parts.database.read(database_now) - timedelta(seconds=seconds)
    with parts.database.transaction() as connection:
        connection.execute(SUPERVISORS.update().where(SUPERVISORS.c.uuid == uuid).values(heartbeat_at=then))


def row(parts: Any, uuid: str) -> Any:
    with parts.database.reading() as connection:
        return connection.execute(select(SUPERVISORS).where(SUPERVISORS.c.uuid == uuid)).one()


def test_the_state_of_everything(parts: Any) -> None:
    assert overview(parts).state == "inactive"
    master = start(parts, "master", "web-1")
    first, second = start(parts, master=master), start(parts, name="mail", master=master)
    seen = overview(parts)
    assert (seen.state, len(seen.masters), seen.alone) == ("running", 1, [])
    assert {each.uuid for each in seen.supervisors} == {first, second}
    parts.database.run(report, first, "paused", {"default": 2})
    assert overview(parts).state == "paused"
    parts.database.run(stop_supervisor, master)
    assert {each.uuid for each in overview(parts).alone} == {first, second}
    for uuid in (first, second):
        parts.database.run(stop_supervisor, uuid)
    assert (overview(parts).state, overview(parts).silent) == ("inactive", [])


def test_the_silent_are_missed_until_a_successor_comes_or_a_day_is_over(parts: Any) -> None:
    uuid = start(parts)
    age(parts, uuid, LEASE + 1)
    assert [each.uuid for each in overview(parts).silent] == [uuid]
    watch_over(parts)
    (alert,) = [each for each in alerts(parts) if each.kind == "supervisor-missing"]
    assert alert.details["uuid"] == uuid and "fell silent" in alert.message
    successor = start(parts)
    assert overview(parts).silent == []
    parts.database.run(stop_supervisor, successor)
    age(parts, uuid, 86_401)
    assert overview(parts).silent == []


def test_what_a_master_buries_is_missed_at_once(parts: Any) -> None:
    master = start(parts, "master")
    uuid = start(parts, master=master)
    parts.database.run(bury_supervisors, master, [row(parts, uuid).pid])
    assert row(parts, uuid).state == "lost"
    assert row(parts, master).state == "running"
    assert [each.uuid for each in overview(parts).silent] == [uuid]


def test_a_command_is_answered_and_who_does_not_is_named(parts: Any) -> None:
    good, mute, deaf = start(parts), start(parts, name="mute"), start(parts, name="deaf")
    age(parts, deaf, LEASE + 1)
    seen = overview(parts)

    def answer(_left: int) -> None:
        orders = parts.database.run(report, good, "running", {})
        if orders.command:
            parts.database.run(acknowledge, good, orders.command)

    answers = tell(parts, seen.supervisors, "pause", deaf=seen.silent, timeout=0.5, watch=answer)
    assert [each.uuid for each in answers.answered] == [good]
    assert [each.uuid for each in answers.silent] == [mute, deaf]
    assert row(parts, good).acknowledged_at and row(parts, deaf).command == "pause"
    assert tell(parts, [], "pause", timeout=0).answered == []


def test_an_answer_that_comes_late_answers_no_newer_command(parts: Any) -> None:
    uuid = start(parts)
    tell(parts, overview(parts).supervisors, "continue", timeout=0)
    parts.database.run(acknowledge, uuid, "pause")
    assert row(parts, uuid).command == "continue"


def test_waiting_for_the_end_waits_for_the_end(parts: Any) -> None:
    uuid = start(parts)
    rows = overview(parts).supervisors
    parts.database.run(acknowledge, uuid, "terminate")
    assert tell(parts, rows, "terminate", timeout=0, ended=True).silent
    parts.database.run(stop_supervisor, uuid)
    assert not tell(parts, rows, "terminate", timeout=0, ended=True).silent


def test_a_pause_of_a_queue_ends_by_itself(parts: Any) -> None:
    pause(parts, "default", 600)
    uuid = start(parts)
    assert parts.database.run(report, uuid, "running", {}).paused_queues == {"default"}
    then = parts.database.read(database_now) - timedelta(seconds=1)
    with parts.database.transaction() as connection:
        connection.execute(QUEUES.update().values(paused_until=then))
    assert parts.database.run(report, uuid, "running", {}).paused_queues == frozenset()
    assert resume(parts, "default") is False
    pause(parts, "default")
    pause(parts, "default", None)
    assert overview(parts).paused_queues == ["default"]
    assert resume(parts, "default") is True
    with pytest.raises(InvalidOption):
        pause(parts, "default", 0)


def test_who_has_looked_at_the_switches(parts: Any) -> None:
    uuid = start(parts)
    rows = overview(parts).supervisors
    assert wait_until_heard(parts, rows, 0).silent
    age(parts, uuid, -5)
    assert not wait_until_heard(parts, rows, 0).silent


def test_a_row_that_is_gone_is_known_to_be_gone(parts: Any) -> None:
    assert parts.database.run(report, new_uuid(), "running", {}).known is False


def test_rows_are_kept_for_a_month(parts: Any) -> None:
    old, young = start(parts), start(parts)
    age(parts, old, 31 * 86_400)
    age(parts, young, 29 * 86_400)
    assert tidy(parts) == 1
    mine = identify("", "", ())
    here = parts.database.read(processes_of, mine.boot_id, mine.pid_namespace)
    assert [each.uuid for each in here] == [young]
