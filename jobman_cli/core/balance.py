"""How many workers each queue of a supervisor gets: Horizon's balancing, as pure arithmetic.

``simple`` splits the workers evenly. ``auto`` gives each queue a share in proportion to the work that
waits in it: its jobs times their average runtime (``time``), or its jobs alone (``size``). ``off`` has
one pool for all queues, served in their order; it too grows while work waits. From one step to the next
a pool changes by at most ``max_shift`` workers.

Source: Laravel Horizon's AutoScaler, in its own formula; where no runtime is known yet, Horizon wants
the maximum for any queue that is not empty, and so does this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a supervisor may do.

    Attributes:
        least: Workers that each pool keeps.
        most: Workers of all pools together.
        shift: Workers by which a pool may change in one step.
    """

    least: int
    most: int
    shift: int


@dataclass(frozen=True, slots=True)
class Load:
    """One pool's situation.

    Attributes:
        workers: Workers it has, those that are ending included.
        size: Jobs that wait in its queues.
        runtime: Seconds a job of its queues takes on average; 0 when nothing is known.
    """

    workers: int
    size: int
    runtime: float = 0.0


def spread_evenly(pools: Sequence[str], most: int) -> dict[str, int]:
    """``simple``: the same number for each pool, the rest left out.

    Every pool gets one even when there are more pools than workers: a queue without a worker would
    never be served.
    """
    return {pool: max(1, most // len(pools)) for pool in pools}


def share(pools: Mapping[str, Load], limits: Limits, *, by_time: bool) -> dict[str, int]:
    """What each pool's share of the work would give it, rounded up, without any limit on the change."""
    work = {name: load.size * (load.runtime if by_time else 1.0) for name, load in pools.items()}
    whole = sum(work.values())
    wanted = {}
    for name, load in pools.items():
        if whole > 0:
            wanted[name] = math.ceil(limits.most * work[name] / whole)
        else:
            wanted[name] = limits.most if load.size > 0 else limits.least
    return wanted


def step(pools: Mapping[str, Load], limits: Limits, *, by_time: bool) -> dict[str, int]:
    """``auto`` and ``off``: how many workers each pool is to have after this step.

    Args:
        pools: Each pool's situation, by name, in order.
        by_time: Weigh by time; False weighs by the number of jobs.

    Returns:
        The number for each pool. Their sum never rises above ``limits.most``.
    """
    total = sum(load.workers for load in pools.values())
    wanted = share(pools, limits, by_time=by_time)
    result = {}
    for name in sorted(pools, key=lambda each: wanted[each]):  # as Horizon: who wants least comes first
        load, want = pools[name], wanted[name]
        left = max(limits.most - total, 0)
        ceiling = max(limits.least, limits.most - (len(pools) - 1) * limits.least)
        if want > load.workers > ceiling:  # it sits where others have their least
            result[name] = max(ceiling, load.workers - limits.shift)
        elif want > load.workers:
            result[name] = max(load.workers, min(load.workers + min(left, limits.shift), ceiling, want))
        else:
            spare = min(total - limits.least, limits.shift)
            result[name] = max(load.workers - max(spare, 0), limits.least, want)
            result[name] = min(result[name], max(load.workers, min(limits.least, load.workers + left)))
        # A worker that is told to end still runs, perhaps a long job: its room is free when it is gone.
        total += max(result[name] - load.workers, 0)
    return result
