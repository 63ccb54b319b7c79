"""RQ, without a fork for each job (SimpleWorker): its quickest way."""

from __future__ import annotations

from redis import Redis
from rq import Queue

from benchmarks.peers import Workers
from benchmarks.place import REDIS
from benchmarks.work import body

_OPTIONS = ("bench", "-u", REDIS, "-q", "-w", "rq.worker.SimpleWorker")
WORKERS = {
    "one": Workers(("rq", "worker", *_OPTIONS), 320),
    "best": Workers(("rq", "worker-pool", *_OPTIONS, "-n", "3"), 450),
}
HELP = ("rq", "--help")
queue = Queue("bench", connection=Redis.from_url(REDIS))


def noop(name: str) -> None:
    """Write down when it began."""
    body()


def dispatch() -> None:
    queue.enqueue(noop, "x")


def dispatch_many(n: int) -> None:
    for done in range(0, n, 1000):
        queue.enqueue_many([Queue.prepare_data(noop, ("x",)) for _ in range(min(1000, n - done))])
