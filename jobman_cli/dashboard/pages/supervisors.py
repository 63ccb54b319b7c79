"""Who runs jobs: masters, supervisors and workers, host by host."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.view import render
from jobman_cli.operations.supervision import Overview, overview, running_by_worker
from jobman_cli.store.tables import Supervisor, Worker

#: Workers that are shown; more are counted.
WORKERS = 500


@dataclass(slots=True)
class Host:
    """One host.

    Attributes:
        processes: Its masters and then its supervisors, each with the state that is believed.
        workers: Live ones.
    """

    name: str
    processes: list[tuple[Supervisor, str]] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        """True when somebody there may follow a command."""
        return bool(self.processes)


def page(request: Request) -> Response:
    """Masters, supervisors, workers."""
    records = request.app.state.desk.records
    seen = overview(records)
    names = {row.uuid: row.name for row in (*seen.masters, *seen.supervisors, *seen.silent)}
    return render(
        request,
        "supervisors.html",
        seen=seen,
        hosts=hosts(seen, WORKERS),
        names=names,
        running=running_by_worker(records),
        hidden=max(len(seen.workers) - WORKERS, 0),
    )


def hosts(seen: Overview, workers: int | None = None) -> list[Host]:
    """What runs on each host, in the order of their names.

    Args:
        workers: How many workers at the most, in all.
    """
    found: dict[str, Host] = {}
    silent = {row.uuid for row in seen.silent}
    rows = sorted((*seen.masters, *seen.supervisors, *seen.silent), key=lambda row: (row.kind, row.name))
    for row in rows:
        state = "silent" if row.uuid in silent else row.state
        found.setdefault(row.host, Host(row.host)).processes.append((row, state))
    for worker in seen.workers[:workers]:
        found.setdefault(worker.host, Host(worker.host)).workers.append(worker)
    return [found[name] for name in sorted(found)]
