"""A project as a user has it: a directory, `jobman.yaml`, a module of jobs, and the real command."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from processes import JobmanProcess, run_jobman, wait_until

from jobman_cli.app import Jobman
from jobman_cli.operations import look
from jobman_cli.store.database import Database
from jobman_cli.store.queries import JobFilter
from jobman_cli.store.tables import Job

JOBS = """
import asyncio
import gc
import os
import time
from pathlib import Path

from jobman_cli import Context, Fail, Retry, job


@job("hello", tries=3)
def hello(ctx: Context, name: str = "world") -> str:
    ctx.log(f"Hello, {name}")
    ctx.progress(1, 1)
    ctx.attribs["greeting"] = f"Hello, {name}"
    return "greeted"


@job("flaky", tries=3, backoff=[0.2, 0.4])
def flaky(ctx: Context, fails: int = 99) -> None:
    ctx.log(f"attempt {ctx.attempt}")
    if ctx.attempt <= fails:
        raise ValueError(f"boom {ctx.attempt}")


@job("sleepy", timeout=2)
def sleepy() -> None:
    time.sleep(3600)


@job("again", tries=5)
def again(ctx: Context) -> None:
    if ctx.attempt == 1:
        raise Retry("not yet", after=0.1)
    raise Fail("never")


@job("nap")
async def nap(ctx: Context, seconds: float = 1.0) -> str:
    if seconds < 0:
        raise ValueError("no such time")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        ctx.log("cleared up")
        raise
    return "slept"


@job("nap_late", timeout=1)
async def nap_late(ctx: Context) -> None:
    await nap(ctx, 600)


@job("hog", timeout=1)
async def hog() -> None:
    time.sleep(3600)


@job("hold", timeout=None)
def hold(ctx: Context, gate: str) -> None:
    "Runs until the file appears."
    ctx.log("holding")
    Path(gate + ".started").touch()
    while not Path(gate).exists():
        time.sleep(0.01)


@job("append")
def append(path: str, text: str) -> None:
    with open(path, "a") as file:
        file.write(text + "\\n")


@job("fat")
def fat() -> None:
    globals()["kept"] = bytearray(120 * 2**20)


def private_mib() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines}
    return (sizes["Private_Clean:"] + sizes["Private_Dirty:"]) / 1024


@job("collect")
def collect(ctx: Context) -> None:
    before = private_mib()
    gc.collect()
    ctx.attribs["grown_mib"] = private_mib() - before


@job("who")
def who(ctx: Context) -> None:
    ctx.attribs["pid"] = os.getpid()
"""
_numbers = itertools.count(1)


class Project:
    """One application: its files, its command, its rows."""

    def __init__(self, path: Path, database: str, queue: str, start: Callable[..., JobmanProcess]) -> None:
        self.path, self._start = path, start
        self.settings: dict[str, Any] = {
            "name": f"acceptance-{os.getpid()}-{next(_numbers)}",
            "database": database,
            "queue": queue,
            "modules": ["jobs_of_a_project"],
        }
        (path / "jobs_of_a_project.py").write_text(JOBS)
        self.configure()
        self.run("db", "upgrade")
        self._jobman = Jobman.from_config(path / "jobman.yaml")

    def configure(self, **changes: Any) -> None:
        self.settings |= changes
        (self.path / "jobman.yaml").write_text(json.dumps(self.settings))  # JSON is YAML

    def run(self, *arguments: str | int, **options: Any) -> CompletedProcess[str]:
        return run_jobman(*arguments, cwd=self.path, **options)

    def worker(self, *arguments: str | int) -> JobmanProcess:
        """A worker in the background, registered."""
        process = self._start("run-worker", *arguments, cwd=self.path)
        before = {worker.uuid for worker in self.workers()}
        wait_until(
            lambda: {worker.uuid for worker in self.workers()} - before or not process.running,
            20,
            f"a worker\n{process.stderr}",
        )
        assert process.running, process.stderr
        return process

    def work(self, *arguments: str | int) -> str:
        """A worker that ends by itself, with 0; returns what it said."""
        return self.run("run-worker", *(arguments or ("--stop-when-empty",))).stderr

    def dispatch(self, type: str, *options: str | int, **attribs: Any) -> int:
        return json.loads(self.run("dispatch", type, json.dumps(attribs), *options, "--json").stdout)["id"]

    def job(self, id: int) -> Job:
        return look.show(self._jobman.records, id)

    def jobs(self) -> list[Job]:
        return look.jobs(self._jobman.records, JobFilter(), 1000)[::-1]

    def statuses(self) -> list[str]:
        return [job.status for job in self.jobs()]

    def history(self, id: int) -> list[Any]:
        return look.attempts(self._jobman.records, id)

    def workers(self) -> list[Any]:
        return look.workers(self._jobman.records)

    def until(self, id: int, *statuses: str, timeout: float = 20) -> Job:
        """The row, once it is in one of these states."""
        return wait_until(
            lambda: job if (job := self.job(id)).status in statuses else None,
            timeout,
            f"job {id} in {statuses}",
        )

    @property
    def store(self) -> Database:
        return self._jobman.records.database

    def gate(self, name: str = "gate") -> Path:
        return self.path / name

    def hold(self, name: str = "gate") -> int:
        """Dispatch a job that holds its worker until `gate()` appears."""
        return self.dispatch("hold", gate=str(self.gate(name)))

    def until_held(self, name: str = "gate") -> None:
        started = Path(f"{self.gate(name)}.started")
        wait_until(started.exists, 20, f"the start of the job at {name}")

    def close(self) -> None:
        self._jobman.close()
