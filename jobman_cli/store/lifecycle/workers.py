"""The workers' own rows: a claim needs a live one, and a lease is judged on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Double, Select, case, delete, exists, insert, literal, or_, select, update

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import JOBS, WORKERS


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who a worker is, and what proves that its pid is still its own.

    Attributes:
        uuid: New at each boot.
        supervisor: The uuid of the supervisor process.
        start_time: The process's start, in clock ticks since the host's boot.
    """

    uuid: str
    supervisor: str
    host: str
    pid: int
    boot_id: str
    pid_namespace: str
    start_time: int
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A worker's process, for those who live on the same host."""

    uuid: str
    pid: int
    start_time: int


def register(connection: Connection, dialect: Dialect, worker: WorkerIdentity) -> None:
    """Write the row of a worker that begins."""
    times = {"started_at": dialect.now(), "heartbeat_at": dialect.now(), "beat": dialect.lease_clock()}
    connection.execute(
        insert(WORKERS).values(**times),
        {
            "uuid": worker.uuid,
            "supervisor": worker.supervisor,
            "state": "running",
            "host": worker.host,
            "pid": worker.pid,
            "boot_id": worker.boot_id,
            "pid_namespace": worker.pid_namespace,
            "start_time": worker.start_time,
            "queues": list(worker.queues),
        },
    )


def heartbeat(
    connection: Connection,
    dialect: Dialect,
    supervisor: str,
    memory: Mapping[str, int] | None = None,
    busy: Collection[str] = (),
) -> set[str]:
    """Renew the lease of every live worker of a supervisor. One that was given up stays so.

    Args:
        memory: Bytes that workers take, by uuid; those that are not named keep what their row says.
        busy: Workers that run a job, and so have a row.

    Returns:
        The uuids of those that were given up, and of busy ones whose row is gone.
    """
    mine = WORKERS.c.supervisor == supervisor
    values: dict[str, Any] = {"heartbeat_at": dialect.now(), "beat": dialect.lease_clock()}
    if memory:
        values["memory"] = case(dict(memory), value=WORKERS.c.uuid, else_=WORKERS.c.memory)
    connection.execute(update(WORKERS).where(mine, WORKERS.c.state == "running").values(**values))
    named = or_(WORKERS.c.state == "lost", WORKERS.c.uuid.in_(busy))
    rows = connection.execute(select(WORKERS.c.uuid, WORKERS.c.state).where(mine, named)).all()
    lost = {row.uuid for row in rows if row.state == "lost"}
    return lost | (set(busy) - {row.uuid for row in rows})


def is_live(connection: Connection, dialect: Dialect, worker: str) -> bool:
    """True while a worker's row is there and was not given up."""
    found = select(WORKERS.c.uuid).where(WORKERS.c.uuid == worker, WORKERS.c.state == "running")
    return connection.execute(found).first() is not None


def stop(connection: Connection, dialect: Dialect, worker: str) -> None:
    """Say that a worker ended by itself; its row stays for those who ask who ran a job."""
    mine = (WORKERS.c.uuid == worker, WORKERS.c.state == "running")
    connection.execute(update(WORKERS).where(*mine).values(state="stopped", stopped_at=dialect.now()))


def lose(connection: Connection, dialect: Dialect, workers: Sequence[str]) -> list[str]:
    """Give up those of ``workers`` that are still live. Who finds one locked leaves it to the other.

    Returns:
        The uuids of those that were given up here, in order.
    """
    query = select(WORKERS.c.uuid).where(WORKERS.c.uuid.in_(workers), WORKERS.c.state == "running")
    return _lose(connection, dialect, query.order_by(WORKERS.c.uuid).with_for_update(skip_locked=True))


def lose_silent(
    connection: Connection, dialect: Dialect, oldest: float, boot_id: str, limit: int
) -> list[str]:
    """Give up workers that were last heard before a moment; whoever is heard meanwhile is left alone.

    Args:
        oldest: By ``Dialect.lease_clock``.
        boot_id: This host's boot: where the host's clock judges (SQLite), workers of another boot are
            dead.

    Returns:
        The uuids, in order.
    """
    silent = WORKERS.c.beat < literal(oldest, Double)
    if dialect.name == "sqlite" and boot_id:
        silent = or_(silent, WORKERS.c.boot_id != boot_id)
    query = select(WORKERS.c.uuid).where(WORKERS.c.state == "running", silent).order_by(WORKERS.c.uuid)
    return _lose(connection, dialect, query.limit(limit).with_for_update(skip_locked=True))


def neighbours(connection: Connection, dialect: Dialect, boot_id: str, pid_namespace: str) -> list[Neighbour]:
    """Live workers whose pids mean the same as this process's: same boot, same pid namespace."""
    here = (WORKERS.c.boot_id == boot_id, WORKERS.c.pid_namespace == pid_namespace)
    query = select(WORKERS.c.uuid, WORKERS.c.pid, WORKERS.c.start_time).where(
        WORKERS.c.state == "running", *here
    )
    return [Neighbour(*tuple(row)) for row in connection.execute(query)]


def tidy(connection: Connection, dialect: Dialect, keep: float) -> int:
    """Delete rows of workers that ended more than ``keep`` seconds ago and that no running job names.

    Returns:
        How many.
    """
    ended = WORKERS.c.state.in_(("stopped", "lost"))
    old = WORKERS.c.heartbeat_at < dialect.later(literal(-keep, Double))
    named = exists().where(JOBS.c.worker_id == WORKERS.c.uuid, JOBS.c.status == "running")
    return connection.execute(delete(WORKERS).where(ended, old, ~named)).rowcount


def _lose(connection: Connection, dialect: Dialect, query: Select[Any]) -> list[str]:
    uuids: list[str] = list(connection.execute(query).scalars())
    if uuids:
        gone = WORKERS.c.uuid.in_(uuids)
        connection.execute(update(WORKERS).where(gone).values(state="lost", stopped_at=dialect.now()))
    return uuids
