"""The rows of masters and supervisors: signs of life, and commands with their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Double, delete, insert, literal, null, or_, select, update

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.workers import WorkerIdentity
from jobman_cli.store.tables import QUEUES, SUPERVISORS, Supervisor

#: States of a process that is still there, as far as its row knows.
ALIVE = ("running", "paused", "stopping")
COMMANDS = ("pause", "continue", "terminate")


@dataclass(frozen=True, slots=True)
class Charge:
    """What a supervisor's row says beside who it is.

    Attributes:
        kind: ``master`` or ``supervisor``.
        name: Its block, or the master's name.
        balance: ``simple``, ``auto`` or ``off``.
    """

    kind: str
    name: str
    balance: str = "off"
    master: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """What a supervisor finds when it gives a sign of life.

    Attributes:
        known: False when its row is gone.
        command: Not answered yet.
        paused_queues: Queues whose jobs are not to be started now.
    """

    known: bool
    command: str | None
    paused_queues: frozenset[str]


def register_supervisor(
    connection: Connection, dialect: Dialect, who: WorkerIdentity, charge: Charge
) -> None:
    """Write the row of a supervisor that begins."""
    times = {"started_at": dialect.now(), "heartbeat_at": dialect.now(), "beat": dialect.lease_clock()}
    connection.execute(
        insert(SUPERVISORS).values(**times),
        {
            "uuid": who.uuid,
            "kind": charge.kind,
            "name": charge.name,
            "master": charge.master,
            "environment": charge.environment,
            "host": who.host,
            "pid": who.pid,
            "boot_id": who.boot_id,
            "pid_namespace": who.pid_namespace,
            "start_time": who.start_time,
            "state": "running",
            "queues": list(who.queues),
            "balance": charge.balance,
            "pools": {},
        },
    )


def report(connection: Connection, dialect: Dialect, uuid: str, state: str, pools: dict[str, int] | None) -> Orders:
    """Give a sign of life, and read what is asked.

    Args:
        pools: Workers by pool, now; None keeps what the row says.
    """
    me = SUPERVISORS.c.uuid == uuid
    values: dict[str, Any] = {"heartbeat_at": dialect.now(), "beat": dialect.lease_clock(), "state": state}
    if pools is not None:
        values["pools"] = pools
    written = connection.execute(update(SUPERVISORS).where(me).values(**values))
    command = connection.execute(select(SUPERVISORS.c.command).where(me)).scalar()
    return Orders(written.rowcount > 0, command, frozenset(_paused(connection, dialect)))


def acknowledge(connection: Connection, dialect: Dialect, uuid: str, command: str) -> None:
    """Answer a command, unless another has come meanwhile."""
    mine = (SUPERVISORS.c.uuid == uuid, SUPERVISORS.c.command == command)
    connection.execute(update(SUPERVISORS).where(*mine).values(command=null(), acknowledged_at=dialect.now()))


def stop_supervisor(connection: Connection, dialect: Dialect, uuid: str) -> None:
    """Say that a supervisor has ended; whatever it was told is answered by that."""
    values = {"state": "stopped", "stopped_at": dialect.now(), "pools": {}, "command": null()}
    gone = update(SUPERVISORS).where(SUPERVISORS.c.uuid == uuid)
    connection.execute(gone.values(acknowledged_at=dialect.now(), **values))


def command_supervisors(connection: Connection, dialect: Dialect, uuids: list[str], command: str) -> int:
    """Tell supervisors something; they read it with their next sign of life.

    Returns:
        How many were told.
    """
    these = (SUPERVISORS.c.uuid.in_(uuids), SUPERVISORS.c.state.in_(ALIVE))
    values = {"command": command, "commanded_at": dialect.now(), "acknowledged_at": null()}
    return connection.execute(update(SUPERVISORS).where(*these).values(**values)).rowcount


def pause_queue(connection: Connection, dialect: Dialect, queue: str, seconds: float | None) -> None:
    """Let no job of a queue start, for so many seconds or until ``continue_queue``."""
    until: Any = null() if seconds is None else dialect.later(literal(seconds, Double))
    values = {"paused_at": dialect.now(), "paused_until": until}
    changed = connection.execute(update(QUEUES).where(QUEUES.c.name == queue).values(**values))
    if not changed.rowcount:
        connection.execute(insert(QUEUES).values(name=queue, **values))


def continue_queue(connection: Connection, dialect: Dialect, queue: str) -> bool:
    """Let a queue's jobs start again.

    Returns:
        True when it was paused.
    """
    paused = queue in _paused(connection, dialect)
    connection.execute(delete(QUEUES).where(QUEUES.c.name == queue))
    return paused


def paused_queues(connection: Connection, dialect: Dialect) -> list[str]:
    """The queues that are paused now."""
    return sorted(_paused(connection, dialect))


def list_supervisors(connection: Connection, dialect: Dialect, lease: float) -> list[tuple[Supervisor, bool]]:
    """Masters and supervisors that have not ended, each with whether its lease still runs."""
    believed = (SUPERVISORS.c.beat >= dialect.lease_clock() - lease).label("believed")
    query = select(SUPERVISORS, believed).where(SUPERVISORS.c.state.in_(ALIVE))
    rows = connection.execute(query.order_by(SUPERVISORS.c.host, SUPERVISORS.c.started_at)).mappings()
    return [
        (Supervisor(**{key: value for key, value in row.items() if key != "believed"}), bool(row["believed"]))
        for row in rows
    ]


def tidy_supervisors(connection: Connection, dialect: Dialect, keep: float) -> int:
    """Delete rows of supervisors that ended, or fell silent, more than ``keep`` seconds ago.

    Returns:
        How many.
    """
    return connection.execute(
        delete(SUPERVISORS).where(SUPERVISORS.c.heartbeat_at < dialect.later(literal(-keep, Double)))
    ).rowcount


def _paused(connection: Connection, dialect: Dialect) -> set[str]:
    still = or_(QUEUES.c.paused_until.is_(None), QUEUES.c.paused_until > dialect.now())
    return set(
        connection.execute(select(QUEUES.c.name).where(QUEUES.c.paused_at.is_not(None), still)).scalars()
    )
