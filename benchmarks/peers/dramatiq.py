"""Dramatiq over Redis. It has no bulk call: a group sends one message after the other."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers import Workers
from benchmarks.place import REDIS
from benchmarks.work import body

dramatiq.set_broker(RedisBroker(url=REDIS))

_COMMAND = ("dramatiq", "benchmarks.peers.dramatiq")
WORKERS = {
    "one": Workers((*_COMMAND, "-p", "1", "-t", "1"), 260),
    "best": Workers((*_COMMAND, "-p", "2", "-t", "16"), 5000),
}
HELP = ("dramatiq", "--help")
dispatch_many = None


@dramatiq.actor
def noop(name: str) -> None:
    """Write down when it began."""
    body()


def dispatch() -> None:
    noop.send("x")
