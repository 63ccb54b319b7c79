"""Oban for Python on PostgreSQL: a row per job, kept. It needs Python 3.12."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from oban import Oban, job
from psycopg_pool import AsyncConnectionPool

from benchmarks.peers import Workers
from benchmarks.place import DATABASE
from benchmarks.work import body

_COMMAND = ("oban", "start", "--dsn", DATABASE, "--log-level", "warning", "--cron-modules", __name__)
WORKERS = {
    "one": Workers((*_COMMAND, "--queues", "bench:1"), 470),
    "best": Workers((*_COMMAND, "--queues", "bench:50"), 3000, processes=2),
    "idle": Workers((*_COMMAND, "--queues", "bench:10"), 1500),
}
HELP = ("oban", "--help")
_oban: Oban


@job(queue="bench", max_attempts=3)
async def noop(payload: dict[str, str]) -> None:
    """Write down when it began."""
    body()


def reset() -> None:
    oban = Path(sys.executable).with_name("oban")
    subprocess.run([oban, "install", "--dsn", DATABASE], check=True, capture_output=True)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    global _oban
    async with AsyncConnectionPool(DATABASE, min_size=1, max_size=2, open=False) as pool:
        _oban = Oban(pool=pool)
        await _oban.start()
        yield
        await _oban.stop()


async def dispatch() -> None:
    await noop.enqueue({"name": "x"})


async def dispatch_many(n: int) -> None:
    for done in range(0, n, 1000):
        await _oban.enqueue_many([noop.new({"name": "x"}) for _ in range(min(1000, n - done))])
