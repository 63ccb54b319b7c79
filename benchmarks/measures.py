"""What is measured of one system in one round; each returns plain figures.

Every measure has an empty line, fresh tables, and workers of its own.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.systems import Ground, NotMeasured, Place, System


@dataclass(frozen=True, slots=True)
class Size:
    """How much a profile measures.

    Attributes:
        rounds: How often each system has its turn.
        seconds: About how long one drain runs.
        dispatches: Jobs dispatched one by one.
        looks: Jobs whose latency is taken.
        stream: Jobs over which a worker's memory must stay flat.
        rows: Rows of the large table.
        burst: Jobs in one call of dispatch_many, for its memory.
        minutes: About how long it may take; what does not fit is left out and named. None sets no end.
    """

    rounds: int
    seconds: float
    dispatches: int
    looks: int
    stream: int
    rows: int
    burst: int
    minutes: float | None = None


QUICK = Size(
    rounds=3, seconds=0.7, dispatches=300, looks=30, stream=20_000, rows=100_000, burst=100_000, minutes=10.0
)
FULL = Size(
    rounds=5, seconds=3.0, dispatches=2000, looks=200, stream=200_000, rows=1_000_000, burst=1_000_000
)
TINY = Size(rounds=1, seconds=0.5, dispatches=20, looks=3, stream=500, rows=500, burst=2000)

Figures = dict[str, Any]


def dispatch(place: Place, facts: Figures, size: Size) -> Figures:
    """Jobs a second, dispatched one by one by one process."""
    answer = place.ask("reset", f"dispatch:{size.dispatches}")
    return {"dispatch": size.dispatches / answer["seconds"]}


def drain(place: Place, facts: Figures, size: Size, name: str = "one") -> Figures:
    """Jobs a second that workers take from a line that is full, and how it was filled.

    The rate is (N - 1) / (last start - first start), from what the jobs wrote down. ``cpu_us`` is a job's
    processor time, microseconds of workers and servers together; a busy machine changes it less than rates.
    """
    setting = facts["workers"][name]
    jobs = max(20, round(setting["jobs"] * size.seconds))
    filled = place.ask("reset", f"fill:{jobs}")
    with place.workers(setting) as crew:
        place.wait(jobs // 10, crew)  # what it takes to start is behind
        first, used = place.started(), crew.cpu()
        place.wait(jobs, crew)
        used = crew.cpu() - used
        time.sleep(0.1)  # for one that runs twice
    times = place.times()
    if len(times) != jobs:
        raise NotMeasured(f"{len(times)} jobs ran, not {jobs}")
    figures = {f"drain_{name}": (jobs - 1) / (times[-1] - times[0])}
    if name == "one" and first < jobs:
        figures["cpu_us"] = used / (jobs - first) * 1e6
    if name == "one" and "bulk" in filled:
        figures["bulk"] = filled["bulk"] / filled["seconds"]
    return figures


def drain_best(place: Place, facts: Figures, size: Size) -> Figures:
    return drain(place, facts, size, "best")


def latency(place: Place, facts: Figures, size: Size) -> Figures:
    """From the call of dispatch to the job's first line, the worker idle; its memory after that."""
    workers = facts["workers"]
    place.ask("reset")
    with place.workers(workers.get("idle", workers["one"])) as crew:
        place.ask("fill:10")
        place.wait(10, crew)
        os.truncate(place.stamps, 0)  # the workers append to it
        found = sorted(place.ask(f"latency:{size.looks}")["ms"])
        memory = crew.memory()
    return {
        "p50_ms": statistics.median(found),
        "p99_ms": found[min(len(found) - 1, int(len(found) * 0.99))],
        **memory,
    }


#: In the order in which a round asks for them.
MEASURES: dict[str, Callable[[Place, Figures, Size], Figures]] = {
    "dispatch": dispatch,
    "drain": drain,
    "best": drain_best,
    "latency": latency,
}


def measure(ground: Ground, system: System, name: str, facts: Figures, size: Size) -> Figures:
    """One measure in a place of its own.

    Raises:
        NotMeasured: why there is no figure.
    """
    with ground.place(system) as place:
        return MEASURES[name](place, facts, size)
