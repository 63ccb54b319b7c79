"""Masters and supervisors of a project, and what can be seen of them while they work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import ROOT, JobmanProcess, is_gone, wait_until
from project import Project

from jobman_cli.operations.supervision import Overview, overview
from jobman_cli.store.tables import Supervisor

#: For tests of one combination only.
EMBEDDED = pytest.mark.parametrize("project", ["sqlite-database"], indirect=True)
SERVERS = pytest.mark.parametrize("project", ["postgresql-redis"], indirect=True)

#: Read by Python at its start: a host of any name, without the rights to give the machine one.
HOSTNAME = """
import os, socket
if os.environ.get("TEST_HOST"):
    socket.gethostname = lambda: os.environ["TEST_HOST"]
"""
FAST = {"lease": 3, "heartbeat": 0.9, "sweep": 1, "shutdown_timeout": 10}


class Fleet:
    """Everything that runs for a project."""

    def __init__(self, project: Project, start: Callable[..., JobmanProcess]) -> None:
        self.project, self._start = project, start
        project.configure(**FAST)
        (project.path / "site").mkdir()
        (project.path / "site" / "sitecustomize.py").write_text(HOSTNAME)

    def configure(self, **block: Any) -> None:
        """One supervisor, `default`, quick to decide."""
        self.project.configure(supervisors={"default": {"cooldown": 0.5, **block}})

    def environment(self, host: str | None = None) -> dict[str, str | None]:
        """For a process on a host of that name, with a state directory of its own."""
        own: dict[str, str | None] = {}
        if host is not None:
            state = self.project.path / f"state-{host}"
            state.mkdir(exist_ok=True)
            own = {"XDG_RUNTIME_DIR": str(state), "TMPDIR": str(state)}
        return {"PYTHONPATH": f"{self.project.path / 'site'}:{ROOT}", "TEST_HOST": host, **own}

    def supervise(self, *options: str, host: str | None = None, supervisors: int = 1) -> JobmanProcess:
        """A master whose supervisors have registered and whose workers are there."""
        before = {row.uuid for row in self.look().supervisors}
        process = self._start("supervise", *options, cwd=self.project.path, env=self.environment(host))

        def ready() -> bool:
            fresh = [row for row in self.look().supervisors if row.uuid not in before]
            return len(fresh) >= supervisors and all(map(self.look().workers_of, fresh))

        wait_until(lambda: ready() or not process.running, 30, "supervisors with workers", interval=0.05)
        assert process.running, process.stderr
        return process

    def look(self) -> Overview:
        return overview(self.project._jobman.records)

    def supervisor(self, name: str = "default") -> Supervisor:
        return next(row for row in self.look().supervisors if row.name == name)

    def successor_of(self, old: Supervisor) -> bool:
        return any(row.name == old.name and row.uuid != old.uuid for row in self.look().supervisors)

    def sizes(self) -> dict[str, int]:
        """Worker processes by the queues that they serve."""
        found: dict[str, int] = {}
        for worker in self.look().workers:
            pool = ",".join(worker.queues)
            found[pool] = found.get(pool, 0) + 1
        return found

    def until_sizes(self, timeout: float = 20, **wanted: int) -> None:
        wait_until(lambda: self.sizes() == wanted, timeout, f"pools {wanted}", interval=0.05)

    def course(self, pool: str, seconds: float) -> Iterator[int]:
        """What the supervisor says of a pool's size, look after look."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for row in self.look().supervisors:
                if pool in row.pools:
                    yield row.pools[pool]
            time.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        """All supervisors and workers that have a row."""
        seen = self.look()
        pids = {row.pid for row in (*seen.supervisors, *seen.workers)}
        return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]

    def hold(self, number: int, queue: str = "default") -> list[Path]:
        """Dispatch jobs that run until their gate appears."""
        gates = [self.project.gate(f"gate-{queue}-{each}") for each in range(number)]
        for gate in gates:
            self.project._jobman.dispatch("hold", {"gate": str(gate)}, queue=queue)
        return gates


def begun(gate: Path) -> bool:
    return Path(f"{gate}.started").exists()


def until_gone(processes: list[psutil.Process], timeout: float = 20) -> None:
    wait_until(lambda: all(map(is_gone, processes)), timeout, f"the end of {processes}")
