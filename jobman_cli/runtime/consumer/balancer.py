"""How many workers each pool of a supervisor is to have now."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping

from jobman_cli.core.balance import Limits, Load, spread_evenly, step
from jobman_cli.operations.metrics import QueueState
from jobman_cli.settings.blocks import Block

logger = logging.getLogger("jobman.supervisor")

#: A pool, by the queues that its workers serve, in order.
Pool = tuple[str, ...]


class Balancer:
    """Holds a block's pools and decides about their sizes.

    ``simple`` and ``auto`` have a pool for each queue, ``off`` has one for all.
    """

    def __init__(self, block: Block) -> None:
        self._block = block
        together = block.balance == "off"
        self.pools: list[Pool] = [block.queues] if together else [(queue,) for queue in block.queues]
        self._limits = Limits(block.min_processes, block.max_processes, block.max_shift)
        self._next = 0.0

    def begin(self) -> dict[Pool, int]:
        """The sizes to start with: the even share, or the least."""
        if self._block.balance == "simple":
            return self._even()
        return dict.fromkeys(self.pools, self._block.min_processes)

    @property
    def is_due(self) -> bool:
        """True when the cooldown is over and there is something to decide."""
        return self._block.balance != "simple" and time.monotonic() >= self._next

    def decide(
        self, states: Mapping[str, QueueState], workers: Mapping[Pool, int], paused: Collection[str]
    ) -> dict[Pool, int]:
        """The sizes after one step.

        Args:
            states: What waits in each queue.
            workers: Workers of each pool, those that are ending included.
            paused: Queues that draw no workers.
        """
        self._next = time.monotonic() + self._block.cooldown
        loads = {
            ",".join(pool): self._load(pool, states, workers.get(pool, 0), paused) for pool in self.pools
        }
        sizes = step(loads, self._limits, by_time=self._block.scaling == "time")
        return {pool: sizes[",".join(pool)] for pool in self.pools}

    def _even(self) -> dict[Pool, int]:
        names = spread_evenly([",".join(pool) for pool in self.pools], self._block.max_processes)
        return {pool: names[",".join(pool)] for pool in self.pools}

    def _load(
        self, pool: Pool, states: Mapping[str, QueueState], workers: int, paused: Collection[str]
    ) -> Load:
        waiting = [states[queue] for queue in pool if queue in states and queue not in paused]
        size = sum(state.size for state in waiting)
        work = sum(state.size * (state.runtime or 0.0) for state in waiting)
        return Load(workers, size, work / size if size else 0.0)
