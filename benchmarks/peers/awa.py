"""awa: a Rust core on PostgreSQL, a row per job, kept; its bulk call is COPY. It has no worker command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from awa import AsyncClient

from benchmarks.peers import Workers
from benchmarks.place import DATABASE
from benchmarks.work import body

_COMMAND = ("python", "-m", "benchmarks.peers.awa")
WORKERS = {
    "one": Workers((*_COMMAND, "1"), 190),
    "best": Workers((*_COMMAND, "200"), 4000),
    "idle": Workers((*_COMMAND, "10"), 1000),
}
HELP = ("python", "-m", "awa", "--help")
_client: Any


@dataclass
class Noop:
    """A job's arguments."""

    name: str


async def reset() -> None:
    migrate = [sys.executable, "-m", "awa", "--database-url", DATABASE, "migrate"]
    subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL)
    await _client.install_queue_storage(schema="awa")


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    global _client
    _client = AsyncClient(DATABASE)
    yield
    await _client.close()


async def dispatch() -> None:
    await _client.insert(Noop("x"), queue="bench")


async def dispatch_many(n: int) -> None:
    for done in range(0, n, 1000):
        await _client.enqueue_many_copy([Noop("x") for _ in range(min(1000, n - done))], queue="bench")


async def work(concurrency: int) -> None:
    """Be a worker until the process is ended."""
    worker = AsyncClient(DATABASE)

    @worker.task(Noop, queue="bench")
    async def noop(job: Any) -> None:
        body()

    await worker.start([("bench", concurrency)])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1])))
