"""What runs: masters, supervisors and workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobman_cli.operations.supervision import Overview
    from jobman_cli.store.tables import Supervisor, Worker


#: Of a worker's row, what is shown.
WORKER_KEYS = ("uuid", "supervisor", "host", "pid", "state", "queues", "started_at", "heartbeat_at")


def status_object(seen: Overview) -> dict[str, Any]:
    """Whether jobs are run, and by how many."""
    return {
        "state": seen.state,
        "masters": len(seen.masters),
        "supervisors": len(seen.supervisors),
        "paused": sum(row.state == "paused" for row in seen.supervisors),
        "silent": len(seen.silent),
        "workers": len(seen.workers),
        "hosts": sorted({row.host for row in seen.supervisors}),
        "paused_queues": seen.paused_queues,
    }


def masters_array(seen: Overview) -> list[dict[str, Any]]:
    """The masters, those that do not answer any more last."""
    return [
        {**_process_object(seen, row), "supervisors": supervisors_under(seen, row)}
        for row in of_kind(seen, "master")
    ]


def supervisors_array(seen: Overview) -> list[dict[str, Any]]:
    """The supervisors, those that do not answer any more last."""
    return [
        {
            **_process_object(seen, row),
            "master": row.master,
            "queues": row.queues,
            "balance": row.balance,
            "pools": row.pools,
            "workers": len(seen.workers_of(row)),
        }
        for row in of_kind(seen, "supervisor")
    ]


def worker_object(worker: Worker) -> dict[str, Any]:
    """A live worker."""
    return {key: getattr(worker, key) for key in WORKER_KEYS}


def of_kind(seen: Overview, kind: str) -> list[Supervisor]:
    """The ``master`` or ``supervisor`` rows: those that answer, then those that do not any more."""
    return [row for row in (*seen.masters, *seen.supervisors, *seen.silent) if row.kind == kind]


def state_of(seen: Overview, row: Supervisor) -> str:
    """What it said last; ``silent`` when it does not answer any more."""
    return "silent" if row in seen.silent else row.state


def supervisors_under(seen: Overview, master: Supervisor) -> list[str]:
    """The names of a master's living supervisors."""
    return [each.name for each in seen.supervisors if each.master == master.uuid]


def _process_object(seen: Overview, row: Supervisor) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "name": row.name,
        "host": row.host,
        "pid": row.pid,
        "state": state_of(seen, row),
        "environment": row.environment,
        "started_at": row.started_at,
        "heartbeat_at": row.heartbeat_at,
    }
