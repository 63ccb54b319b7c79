"""Celery over Redis: without results, or with result rows in PostgreSQL. It has no bulk call."""

from __future__ import annotations

from celery import Celery

from benchmarks.peers import Workers
from benchmarks.place import DATABASE, REDIS, VARIANT
from benchmarks.work import body

app = Celery("bench", broker=REDIS)
app.conf.update(broker_connection_retry_on_startup=True, task_default_queue="bench")
if VARIANT == "postgresql":
    app.conf.update(
        result_backend="db+" + DATABASE.replace("postgresql:", "postgresql+psycopg:"),
        task_track_started=True,
        result_extended=True,
    )
else:
    app.conf.update(task_ignore_result=True)

_COMMAND = ("celery", "-A", "benchmarks.peers.celery", "worker", "-Q", "bench", "-l", "WARNING")
_LEAN = ("--without-gossip", "--without-mingle", "--without-heartbeat")
WORKERS = {
    "one": Workers((*_COMMAND, "-c", "1"), 200 if VARIANT == "postgresql" else 800),
    "best": (
        Workers((*_COMMAND, "-c", "2"), 250)
        if VARIANT == "postgresql"
        else Workers((*_COMMAND, *_LEAN, "-P", "solo", "--prefetch-multiplier", "64"), 1800, processes=2)
    ),
}
HELP = ("celery", "--help")
dispatch_many = None


@app.task(name="noop")
def noop(name: str) -> None:
    """Write down when it began."""
    body()


def dispatch() -> None:
    noop.delay("x")
