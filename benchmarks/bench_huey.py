"""The same work on bare Huey: RedisHuey, results off."""

from __future__ import annotations

import os

from bench_jobs import body
from huey import RedisHuey

huey = RedisHuey("bench", results=False, url=os.environ["BENCH_REDIS"])


@huey.task()
def noop(name: str) -> None:
    """Write down when it began."""
    body(name)
