"""Memory that must not grow: a worker's over many jobs, a caller's over a long iterator."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.systems import SYSTEMS, Ground

#: Seconds between two looks at a worker's memory.
LOOK = 0.1


def stream(ground: Ground, name: str, jobs: int) -> dict[str, Any]:
    """PSS of the one worker while it runs so many jobs.

    ``growth_mb`` is from the second and third tenth of them to the last fifth; ``curve`` is pairs of
    jobs and MB.
    """
    with ground.place(SYSTEMS[name]) as place:
        facts = place.describe()
        place.ask("reset", f"fill:{jobs}")
        curve = []
        with place.workers(facts["workers"]["one"]) as crew:
            place.wait(1, crew)
            while (done := place.started()) < jobs:
                curve.append((done, crew.memory()["worker_mb"]))
                place.wait(min(jobs, done + 1), crew)
                time.sleep(LOOK)
            curve.append((jobs, crew.memory()["worker_mb"]))
    early = [mb for done, mb in curve if jobs * 0.1 <= done <= jobs * 0.3] or [curve[0][1]]
    late = [mb for done, mb in curve if done >= jobs * 0.8]
    return {
        "jobs": jobs,
        "early_mb": statistics.median(early),
        "late_mb": statistics.median(late),
        "growth_mb": round(statistics.median(late) - statistics.median(early), 2),
        "curve": curve,
    }


def burst(ground: Ground, name: str, jobs: int) -> dict[str, Any]:
    """Peak memory of a process that gives `dispatch_many` an iterator of so many, and of a tenth of it."""
    peaks = {}
    for n in (jobs // 10, jobs):
        with ground.place(SYSTEMS[name]) as place:
            answer = place.ask("reset", f"fill:{n}", "peak")
            peaks[n] = answer["peak_mb"]
            rate = answer["bulk"] / answer["seconds"]
    return {
        "jobs": jobs,
        "peak_mb": peaks[jobs],
        "growth_mb": round(peaks[jobs] - peaks[jobs // 10], 1),
        "per_second": rate,
    }
