"""Jobman, each variant a database and a queue; its settings come from JOBMAN_* variables."""

from __future__ import annotations

import os
from functools import cache

from benchmarks import work
from benchmarks.peers import Workers
from benchmarks.place import JOB
from benchmarks.work import body
from jobman_cli import job
from jobman_cli.app import Jobman
from jobman_cli.store.schema import upgrade

_COMMAND = ("jobman", "run-worker")
_RATE = 1000 if os.environ.get("JOBMAN_RECORDING") == "each" else 8000
WORKERS = {
    "one": Workers(_COMMAND, _RATE),
    "best": Workers((*_COMMAND, "--concurrency", "2"), _RATE),
    "loop": Workers((*_COMMAND, "--worker-type", "async", "--concurrency", "200"), 1000),
}
HELP = ("jobman", "--help")


@job("noop")
def noop(name: str = "x") -> None:
    """Write down when it began."""
    body()


@job("nap")
async def nap(name: str = "x") -> None:
    """Sleep, and write down when it began and ended."""
    await work.nap()


@cache
def jobman() -> Jobman:
    return Jobman.from_config()


def reset() -> None:
    upgrade(jobman().bare_database)


def dispatch() -> None:
    jobman().dispatch(JOB, {"name": "x"})


def dispatch_many(n: int) -> None:
    jobman().dispatch_many(JOB, ({"name": "x"} for _ in range(n)))
