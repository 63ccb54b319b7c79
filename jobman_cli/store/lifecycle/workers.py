"""The workers' own rows: a claim needs a live one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import WORKERS


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


def register(connection: Connection, dialect: Dialect, worker: WorkerIdentity) -> None:
    """Write the row of a worker that begins."""
    connection.execute(
        insert(WORKERS).values(started_at=dialect.now(), heartbeat_at=dialect.now()),
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


def heartbeat(connection: Connection, dialect: Dialect, supervisor: str) -> int:
    """Renew the lease of every live worker of a supervisor.

    Returns:
        How many are live.
    """
    mine = (WORKERS.c.supervisor == supervisor, WORKERS.c.state == "running")
    return connection.execute(update(WORKERS).where(*mine).values(heartbeat_at=dialect.now())).rowcount


def is_live(connection: Connection, dialect: Dialect, worker: str) -> bool:
    """True while a worker's row is there and was not given up."""
    found = select(WORKERS.c.uuid).where(WORKERS.c.uuid == worker, WORKERS.c.state == "running")
    return connection.execute(found).first() is not None


def stop(connection: Connection, dialect: Dialect, worker: str) -> None:
    """Say that a worker ended by itself; its row stays for those who ask who ran a job."""
    mine = (WORKERS.c.uuid == worker, WORKERS.c.state == "running")
    connection.execute(update(WORKERS).where(*mine).values(state="stopped", stopped_at=dialect.now()))
