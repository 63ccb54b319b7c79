"""How long jobs wait: by Erlang's formula, by a simulation that checks it, and over a day with a peak."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds before a job begins.

    Attributes:
        some: The share of jobs that wait at all, 0 … 1.
        late: What one job in a hundred exceeds.
    """

    some: float
    mean: float
    late: float


def wait(rate: float, seconds: float, workers: int, unevenness: float = 1.0) -> Wait:
    """M/M/c by Erlang's C formula, scaled for other jobs by Allen and Cunneen's approximation of M/G/c.

    Args:
        rate: Jobs a second, arriving at random.
        seconds: The mean time that a job keeps a worker.
        unevenness: The squared coefficient of variation of that time; 1 is exponential, 0 is constant.

    Returns:
        The waits; infinite where the workers cannot keep up.
    """
    load = rate * seconds
    if load >= workers:
        return Wait(1.0, math.inf, math.inf)
    blocked = 1.0  # Erlang B, by its recursion, which never overflows
    for number in range(1, workers + 1):
        blocked = load * blocked / (number + load * blocked)
    some = blocked / (1 - load / workers * (1 - blocked))
    spare, factor = workers / seconds - rate, (1 + unevenness) / 2
    return Wait(some, some / spare * factor, max(0.0, math.log(max(some, 1e-300) / 0.01)) / spare * factor)


def simulated(
    rate: float, seconds: float, workers: int, jobs: int, unevenness: float = 1.0, seed: int = 1
) -> float:
    """The mean wait in seconds of so many jobs, one line and so many workers, first come, first served."""
    chance = random.Random(seed)
    free, now, waited = [0.0] * workers, 0.0, 0.0
    spread = math.sqrt(math.log(1 + unevenness))
    middle = math.log(seconds) - spread**2 / 2
    for _ in range(jobs):
        now += chance.expovariate(rate)
        begins = max(now, free[0])
        waited += begins - now
        takes = chance.expovariate(1 / seconds) if unevenness == 1 else chance.lognormvariate(middle, spread)
        heapq.heapreplace(free, begins + takes)
    return waited / jobs


@dataclass(frozen=True, slots=True)
class Day:
    """The worst of a day.

    Attributes:
        backlog: Jobs that wait at the most.
        longest: Seconds that a job waits at the most.
        over: Hours until nothing waits again.
    """

    backlog: float
    longest: float
    over: float


def rates(mean: float, peak: float, hours: float) -> list[float]:
    """Jobs a second in each minute of a day: some hours of the peak in its middle, the rest even."""
    high = round(hours * 60)
    low = mean * (1440 - peak * high) / (1440 - high)
    if low < 0:
        raise ValueError("so long a peak is more than the day's jobs")
    first = 720 - high // 2
    return [mean * peak if first <= minute < first + high else low for minute in range(1440)]


def day(minutes: Iterable[float], capacity: float) -> Day:
    """Let a day's jobs flow through workers that do so many a second; what is left over waits."""
    backlog = most = over = 0.0
    for rate in minutes:
        backlog = max(0.0, backlog + (rate - capacity) * 60)
        most = max(most, backlog)
        over += backlog > 0
    return Day(most, most / capacity, over / 60)
