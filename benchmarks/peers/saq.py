"""SAQ over Redis or PostgreSQL. It has no bulk call."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue

from benchmarks import work
from benchmarks.peers import Workers
from benchmarks.place import DATABASE, JOB, REDIS, VARIANT
from benchmarks.work import body

_ON_POSTGRES = VARIANT == "postgresql"
# Each of its jobs may want a connection; redis-py gives no more than 100 unless it is told to.
queue = Queue.from_url(DATABASE if _ON_POSTGRES else f"{REDIS}?max_connections=1000", name="bench")

_COMMAND = ("saq", "benchmarks.peers.saq.settings")
_TWO = (*_COMMAND, "--workers", "2")
WORKERS = {
    "one": Workers(_COMMAND, 210 if _ON_POSTGRES else 1000, {"SAQ_CONCURRENCY": "1"}),
    "best": (
        Workers(_TWO, 500, {"SAQ_CONCURRENCY": "10"})
        if _ON_POSTGRES
        else Workers(_TWO, 1900, {"SAQ_CONCURRENCY": "50"})
    ),
    "idle": Workers(_COMMAND, 500, {"SAQ_CONCURRENCY": "10"}),
    "loop": Workers(_COMMAND, 1000, {"SAQ_CONCURRENCY": "200"}),
}
HELP = ("saq", "--help")
dispatch_many = None


async def noop(ctx: dict[str, Any], *, name: str) -> None:
    """Write down when it began."""
    body()


async def nap(ctx: dict[str, Any], *, name: str) -> None:
    """Sleep, and write down when it began and ended."""
    await work.nap()


settings = {
    "queue": queue,
    "functions": [noop, nap],
    "concurrency": int(os.environ.get("SAQ_CONCURRENCY", "10")),
}


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await queue.connect()
    yield
    await queue.disconnect()


async def dispatch() -> None:
    await queue.enqueue(JOB, name="x")
