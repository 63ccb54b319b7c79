"""A project as a user has it, with its dashboard served and its database at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from processes import ROOT, JobmanProcess, wait_until

from jobman_cli.app import Jobman
from jobman_cli.operations import look
from jobman_cli.operations.cancel import cancel
from jobman_cli.operations.journal import audit, note_reconciliation
from jobman_cli.operations.metrics import watch_tags
from jobman_cli.operations.supervision import pause
from jobman_cli.store.queries import JobFilter
from jobman_cli.store.tables import Job

JOBS = '''
import time
from pathlib import Path

from jobman_cli import Context, job


@job("hello", tries=3)
def hello(ctx: Context, name: str = "world") -> str:
    """Say hello."""
    ctx.log(f"Hello, {name}")
    return "greeted"


@job("steps", timeout=None)
def steps(ctx: Context, gate: str, number: int = 3) -> None:
    """Go on each time a file appears: gate.1, gate.2 …"""
    for step in range(1, number + 1):
        ctx.progress(step - 1, number)
        ctx.log(f"waiting for step {step}")
        while not Path(f"{gate}.{step}").exists():
            time.sleep(0.01)
    ctx.log("no step is left")


@job("fragile", tries=1)
def fragile(path: str) -> None:
    """Fail as long as a file is there."""
    if Path(path).exists():
        raise ValueError("the disk is on fire")
'''


class Site:
    """One project."""

    def __init__(self, path: Path, start: Callable[..., JobmanProcess], **settings: Any) -> None:
        self.path, self._start = path, start
        (path / "shop_jobs.py").write_text(JOBS)
        config = {
            "name": "shop",
            "database": "sqlite:///jobman.db",
            "modules": ["shop_jobs"],
            "supervisors": {"default": {"queues": ["default", "reports"], "max_processes": 1}},
            "schedule": [{"name": "nightly", "cron": "0 3 * * *", "job": "hello"}],
            **settings,
        }
        (path / "jobman.yaml").write_text(yaml.safe_dump(config))
        self.jobman = Jobman.from_config(path / "jobman.yaml")
        self.jobman.records.database  # noqa: B018  # makes it
        self.dashboard = self.run("dashboard", "--port", 0)
        self.address = wait_until(self._address, 30, "the dashboard's address")

    def run(self, *arguments: str | int) -> JobmanProcess:
        """`jobman` in the background."""
        return self._start(*arguments, cwd=self.path, env={"PYTHONPATH": f"{self.path}:{ROOT}"})

    def work(self, *options: str | int) -> JobmanProcess:
        """A worker."""
        return self.run("run-worker", "--concurrency", 1, *options)

    def dispatch(self, name: str, attribs: Mapping[str, Any] | None = None, **options: Any) -> int:
        return int(self.jobman.dispatch(name, attribs or {}, **options).id or 0)

    def jobs(self) -> list[Job]:
        return look.jobs(self.jobman.records, JobFilter(), 1000)

    def until(self, job_id: int, status: str) -> Job:
        """The job, as soon as its row says so."""

        def row() -> Job | None:
            found = look.show(self.jobman.records, job_id)
            return found if found.status == status else None

        return wait_until(row, 20, f"job {job_id} {status}")

    def vary(self) -> int:
        """Jobs in every state, tags, a schedule, a paused queue, a supervisor; the id of one that runs."""
        for name in ("Ada", "Grace", "Alan"):
            self.dispatch("hello", {"name": name}, tags=["customer:7", "mail"])
        (self.path / "fire").touch()
        for _ in range(3):
            self.dispatch("fragile", {"path": str(self.path / "fire")}, tags=["nightly"])
        worker = self.work("--stop-when-empty")
        assert worker.wait() == 0, worker.stderr
        self.dispatch("hello", {"name": "later"}, delay=3600)
        self.dispatch("hello", {"name": "slow lane"}, queue="reports")
        pause(self.jobman.records, "reports", 3600)
        watch_tags(self.jobman.records, ["customer:7", "nightly"])
        note_reconciliation(self.jobman.records, "pending", 3)
        entry = {"actor": "ada", "address": "127.0.0.1", "action": "retry", "details": {"id": "4"}}
        audit(self.jobman.records, number=1, message="job 4 runs again", **entry)
        cancel(self.jobman.parts, [self.dispatch("hello", {"name": "never"}, delay=60)])
        running = self.dispatch("steps", {"gate": str(self.path / "gate"), "number": 9})
        (self.path / "gate.1").touch()
        (self.path / "gate.2").touch()
        self.run("supervise")
        wait_until(lambda: self.until(running, "running").progress == {"done": 2, "total": 9}, 30)
        self.dispatch("hello", {"name": "waits"})
        return running

    def close(self) -> None:
        self.jobman.close()

    def _address(self) -> str:
        assert self.dashboard.running, self.dashboard.stderr
        return self.dashboard.stderr.partition("dashboard is at ")[2].strip()
