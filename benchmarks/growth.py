"""How the rate of a drain changes as the table grows: the cost of old rows."""

from __future__ import annotations

import os
import statistics
from contextlib import ExitStack
from typing import Any

from benchmarks.million_rows import fill, tidy
from benchmarks.systems import SYSTEMS, Ground, Place
from jobman_cli.store.database import Database


def growth(ground: Ground, name: str, rows: int, jobs: int, rounds: int) -> dict[str, Any]:
    """Jobs a second with a thousandth, a tenth and all of the rows of finished jobs in the table.

    The tables stand side by side and are drained in turns; the fall is that of the same round.
    """
    sizes = [max(rows // 1000, 10), rows // 10, rows]
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        places = {size: stack.enter_context(ground.place(SYSTEMS[name])) for size in sizes}
        facts = places[sizes[0]].describe()["workers"]["one"]
        for size, place in places.items():
            place.ask("reset")
            fill_finished(place, size)
        for _ in range(rounds):
            for size, place in places.items():
                rates[size].append(_drain(place, facts, jobs))
    falls = [1 - large / small for small, large in zip(rates[sizes[0]], rates[rows], strict=True)]
    return {
        "rates": {
            str(size): {"median": statistics.median(found), "all": found} for size, found in rates.items()
        },
        "fall": statistics.median(falls),
        "falls": falls,
    }


def fill_finished(place: Place, rows: int) -> None:
    """So many rows of jobs that are done, as months of work leave them."""
    database = Database(place.database)
    fill(database, rows, mixed=True)
    with database.transaction() as connection:
        if database.dialect.name == "postgresql":  # the rows brought their ids
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('jobmans', 'id'), {rows})")
        connection.exec_driver_sql("UPDATE jobmans SET status = 'completed' WHERE status = 'queued'")
    tidy(database)
    database.close()


def _drain(place: Place, setting: dict[str, Any], jobs: int) -> float:
    if place.stamps.exists():
        os.truncate(place.stamps, 0)
    place.ask(f"fill:{jobs}")
    with place.workers(setting) as crew:
        place.wait(jobs, crew)
    times = place.times()
    return (len(times) - 1) / (times[-1] - times[0])
