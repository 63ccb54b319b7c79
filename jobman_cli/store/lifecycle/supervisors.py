"""The rows of masters and supervisors: signs of life, and commands with their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Double, and_, delete, insert, literal, null, or_, select, update

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.workers import WorkerIdentity
from jobman_cli.store.tables import QUEUES, SUPERVISORS, WORKERS, Supervisor

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
        state: How it begins: ``running`` or ``paused``.
    """

    kind: str
    name: str
    balance: str = "off"
    master: str | None = None
    environment: str | None = None
    state: str = "running"


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


@dataclass(frozen=True, slots=True)
class Subject:
    """What a master knows of one of its supervisors.

    Attributes:
        command: Not answered yet.
    """

    uuid: str
    name: str
    state: str
    command: str | None


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
            "state": charge.state,
            "queues": list(who.queues),
            "balance": charge.balance,
            "pools": {},
        },
    )


def report(
    connection: Connection, dialect: Dialect, uuid: str, state: str, pools: dict[str, int] | None
) -> Orders:
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
    """Masters and supervisors that said no goodbye, each with whether it is believed to live.

    Args:
        lease: Seconds for which a sign of life is believed.
    """
    heard = SUPERVISORS.c.heartbeat_at >= dialect.later(literal(-lease, Double))
    believed = and_(heard, SUPERVISORS.c.state != "lost").label("believed")
    query = select(SUPERVISORS, believed).where(SUPERVISORS.c.state.in_([*ALIVE, "lost"]))
    rows = connection.execute(query.order_by(SUPERVISORS.c.host, SUPERVISORS.c.started_at)).mappings()
    return [
        (Supervisor(**{key: value for key, value in row.items() if key != "believed"}), bool(row["believed"]))
        for row in rows
    ]


def supervisors_of(connection: Connection, dialect: Dialect, master: str) -> list[Subject]:
    """A master's supervisors that have not ended, the newest last."""
    columns = (SUPERVISORS.c.uuid, SUPERVISORS.c.name, SUPERVISORS.c.state, SUPERVISORS.c.command)
    query = select(*columns).where(SUPERVISORS.c.master == master, SUPERVISORS.c.state.in_(ALIVE))
    rows = connection.execute(query.order_by(SUPERVISORS.c.started_at, SUPERVISORS.c.uuid))
    return [Subject(*tuple(row)) for row in rows]


def bury_supervisors(connection: Connection, dialect: Dialect, master: str, pids: Sequence[int]) -> None:
    """Note that supervisors of a master, its own children, died without a word."""
    these = (SUPERVISORS.c.master == master, SUPERVISORS.c.pid.in_(pids), SUPERVISORS.c.state.in_(ALIVE))
    values = {"state": "lost", "stopped_at": dialect.now(), "pools": {}, "command": null()}
    connection.execute(update(SUPERVISORS).where(*these).values(**values))


@dataclass(frozen=True, slots=True)
class Process:
    """A process that has a row, whatever that row says of its state.

    Attributes:
        kind: ``worker``, ``supervisor`` or ``master``.
        owner: The uuid of the process that started it and watches it.
    """

    kind: str
    uuid: str
    owner: str | None
    pid: int
    start_time: int


def processes_of(connection: Connection, dialect: Dialect, boot_id: str, pid_namespace: str) -> list[Process]:
    """All that was ever started in this boot and pid namespace and still has a row."""
    found = []
    for table, kind, owner in (
        (SUPERVISORS, SUPERVISORS.c.kind, SUPERVISORS.c.master),
        (WORKERS, literal("worker"), WORKERS.c.supervisor),
    ):
        columns = (kind, table.c.uuid, owner, table.c.pid, table.c.start_time)
        here = (table.c.boot_id == boot_id, table.c.pid_namespace == pid_namespace)
        found += [Process(*tuple(row)) for row in connection.execute(select(*columns).where(*here))]
    return found


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
