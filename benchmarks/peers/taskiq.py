"""taskiq over a Redis list, its quicker broker. It has no bulk call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskiq_redis import ListQueueBroker

from benchmarks.peers import Workers
from benchmarks.place import REDIS
from benchmarks.work import body

broker = ListQueueBroker(url=REDIS, queue_name="bench")

_COMMAND = ("taskiq", "worker", "benchmarks.peers.taskiq:broker", "--log-level", "WARNING")
WORKERS = {
    "one": Workers((*_COMMAND, "--workers", "1", "--max-async-tasks", "1"), 2000),
    "best": Workers((*_COMMAND, "--workers", "2"), 3200),
}
HELP = ("taskiq", "--help")
dispatch_many = None


@broker.task(task_name="noop")
async def noop(name: str) -> None:
    """Write down when it began."""
    body()


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def dispatch() -> None:
    await noop.kiq("x")
