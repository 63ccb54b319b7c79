"""Procrastinate on PostgreSQL: a row per job, kept."""

from __future__ import annotations

from procrastinate import App, PsycopgConnector

from benchmarks.peers import Workers
from benchmarks.place import DATABASE
from benchmarks.work import body

app = App(connector=PsycopgConnector(conninfo=DATABASE))

_COMMAND = ("procrastinate", "--app", "benchmarks.peers.procrastinate.app", "worker")
WORKERS = {"one": Workers((*_COMMAND, "-c", "1"), 400), "best": Workers((*_COMMAND, "-c", "10"), 500)}
HELP = ("procrastinate", "--help")
opened = app.open_async


@app.task(name="noop")
async def noop(name: str) -> None:
    """Write down when it began."""
    body()


async def reset() -> None:
    await app.schema_manager.apply_schema_async()


async def dispatch() -> None:
    await noop.defer_async(name="x")


async def dispatch_many(n: int) -> None:
    for done in range(0, n, 1000):
        await noop.batch_defer_async(*[{"name": "x"} for _ in range(min(1000, n - done))])
