"""Bare Huey: results off. It has no bulk call."""

from __future__ import annotations

from huey import RedisHuey, SqliteHuey

from benchmarks.peers import Workers
from benchmarks.place import DATABASE, REDIS, VARIANT
from benchmarks.work import body

if VARIANT == "sqlite":
    huey = SqliteHuey("bench", filename=DATABASE, results=False)
else:
    huey = RedisHuey("bench", url=REDIS, results=False)

_COMMAND = ("huey_consumer", "benchmarks.peers.huey.huey", "-n", "-q", "-k", "process")
WORKERS = {
    "one": Workers((*_COMMAND, "-w", "1"), 3500),
    "best": Workers((*_COMMAND, "-w", "2" if VARIANT == "sqlite" else "3"), 4500),
}
HELP = ("huey_consumer", "--help")
dispatch_many = None


@huey.task()
def noop(name: str) -> None:
    """Write down when it began."""
    body()


def dispatch() -> None:
    noop("x")
