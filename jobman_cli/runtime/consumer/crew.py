"""A supervisor's workers, by pool: who there is, and how a pool grows and shrinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobman_cli.runtime.consumer.balancer import Pool
from jobman_cli.runtime.consumer.worker import JobWorker

Member = tuple[JobWorker, Any]


class Crew:
    """The workers.

    Args:
        pools: How many workers each pool is to have.
        hire: Makes a worker of a pool and its process, not started.

    Attributes:
        members: Each worker with its process; the list is never replaced, because Huey holds it too.
    """

    def __init__(self, pools: Mapping[Pool, int], hire: Callable[[Pool], Member]) -> None:
        self._wanted, self._hire = dict(pools), hire
        self.members: list[Member] = [hire(pool) for pool, number in pools.items() for _ in range(number)]

    def start(self) -> None:
        """Start the workers that there are."""
        for _, process in self.members:
            process.start()

    def begin(self, pool: Pool) -> None:
        """One worker more."""
        member = self._hire(pool)
        member[1].start()
        self.members.append(member)

    def counts(self) -> dict[Pool, int]:
        """Workers of each pool now, those that are ending included."""
        return {pool: len(self._of(pool)) for pool in self._wanted}

    def wanted(self, pool: Pool) -> int:
        """How many workers a pool is to have."""
        return self._wanted[pool]

    def scale(self, pool: Pool, wanted: int) -> None:
        """Let a pool have so many workers from now on.

        A worker that is too many ends after its job, however long that takes; until then it counts.
        """
        self._wanted[pool] = wanted
        members = self._of(pool)
        for _ in range(wanted - len(members)):
            self.begin(pool)
        # Those that do nothing go first.
        staying = [worker for worker in members if not worker.retiring]
        for worker in sorted(staying, key=is_busy)[: max(len(staying) - wanted, 0)]:
            worker.retiring = True
            worker.stop_flag.set()

    def fill(self) -> None:
        """Let fresh workers follow those that have ended at their limit."""
        for pool, wanted in self._wanted.items():
            self.scale(pool, wanted)

    def _of(self, pool: Pool) -> list[JobWorker]:
        return [worker for worker, _ in self.members if worker.plan.queues == pool]


def is_busy(worker: JobWorker) -> bool:
    """True while it runs a job."""
    return any(running.active for running in worker.page.read())
