"""streaQ."""

from __future__ import annotations

import logging
import os

from streaq import Worker

from benchmarks import work
from benchmarks.peers import Workers
from benchmarks.place import JOB, REDIS
from benchmarks.work import body

worker = Worker(
    redis_url=REDIS, queue_name="bench", concurrency=int(os.environ.get("STREAQ_CONCURRENCY", "16"))
)
logging.getLogger("streaq").setLevel(logging.WARNING)

_COMMAND = ("streaq", "run", "benchmarks.peers.streaq:worker")
WORKERS = {
    "one": Workers(_COMMAND, 640, {"STREAQ_CONCURRENCY": "1"}),
    "best": Workers((*_COMMAND, "-w", "2"), 1400, {"STREAQ_CONCURRENCY": "64"}),
    "idle": Workers(_COMMAND, 1000),
    "loop": Workers(_COMMAND, 1000, {"STREAQ_CONCURRENCY": "200"}),
}
HELP = ("streaq", "--help")


def opened() -> Worker:
    return worker


@worker.task(silent=True)
async def noop(name: str) -> None:
    """Write down when it began."""
    body()


@worker.task(silent=True)
async def nap(name: str) -> None:
    """Sleep, and write down when it began and ended."""
    await work.nap()


_TASK = nap if JOB == "nap" else noop


async def dispatch() -> None:
    await _TASK.enqueue("x")


async def dispatch_many(n: int) -> None:
    for done in range(0, n, 1000):
        await worker.enqueue_many([_TASK.enqueue("x") for _ in range(min(1000, n - done))])
