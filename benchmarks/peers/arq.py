"""arq. It polls every 0.5 s by default; here every 10 ms, so that no default is judged."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings

from benchmarks import work
from benchmarks.peers import Workers
from benchmarks.place import JOB, REDIS
from benchmarks.work import body

_COMMAND = ("arq", "benchmarks.peers.arq.Settings", "--custom-log-dict", "benchmarks.peers.arq.QUIET")
WORKERS = {
    "one": Workers(_COMMAND, 85, {"ARQ_MAX_JOBS": "1"}),
    "best": Workers(_COMMAND, 1300, {"ARQ_MAX_JOBS": "100"}),
    "idle": Workers(_COMMAND, 400, {"ARQ_MAX_JOBS": "10"}),
    "loop": Workers(_COMMAND, 1000, {"ARQ_MAX_JOBS": "200"}),
}
HELP = ("arq", "--help")
QUIET = {"version": 1, "disable_existing_loggers": False, "loggers": {"arq": {"level": "WARNING"}}}
dispatch_many = None
_pool: ArqRedis


async def noop(ctx: dict[str, Any], name: str) -> None:
    """Write down when it began."""
    body()


async def nap(ctx: dict[str, Any], name: str) -> None:
    """Sleep, and write down when it began and ended."""
    await work.nap()


class Settings:
    """What the worker reads."""

    functions = (noop, nap)
    redis_settings = RedisSettings.from_dsn(REDIS or "redis://localhost")
    max_jobs = int(os.environ.get("ARQ_MAX_JOBS", "10"))
    poll_delay = 0.01


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    global _pool
    _pool = await create_pool(Settings.redis_settings)
    yield
    await _pool.aclose()


async def dispatch() -> None:
    await _pool.enqueue_job(JOB, "x")
