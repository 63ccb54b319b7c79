"""The turn of a worker that runs many jobs at once: an exchange records what has finished, and fills up.

While every place is taken it waits for an end. While the line is empty it waits there, and the watch
records what finishes. While a job holds the event loop nothing is claimed.

When a worker dies, nobody can tell which of its jobs was to blame, so each counts a rescue. The more
rescues a job counts, the fewer run beside it; and alone it runs the last time, so that no job ever fails
for what a neighbour did.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from jobman_cli.errors import WorkerLost
from jobman_cli.runtime.exchange import Exchange
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.job_loop import JobLoop
from jobman_cli.runtime.worker import IDLE
from jobman_cli.store.lifecycle.claim import Claim

#: Seconds to wait for an end before anything else is looked at, and while the line is asked without waiting.
PATIENCE, UNDERWAY = 0.25, 0.02


def company(concurrency: int, rescues: int, limit: int) -> int:
    """How many jobs may run at once when one of them has been rescued so often.

    From ``concurrency`` without a rescue down to 1 at ``limit``, by equal factors: 200, 34, 5, 1.

    Args:
        limit: Rescues that a job may have; the next death fails it.
    """
    if rescues <= 0:
        return concurrency
    return max(1, int(concurrency ** (1 - min(rescues / limit, 1.0)))) if limit > 0 else 1


class LoopTurn:
    """One worker's turns.

    Args:
        exchange: Its dealings with line and rows.
        concurrency: How many jobs may run at once.
        rescue_limit: Rescues that a job may have.
        shut: Queues whose jobs are not to be started now, asked after each claim.
    """

    def __init__(
        self,
        exchange: Exchange,
        loop: JobLoop,
        hand: Hand,
        concurrency: int,
        rescue_limit: int,
        shut: Callable[[], Container[str]] = tuple,
    ) -> None:
        self._exchange, self._loop, self._hand = exchange, loop, hand
        self._concurrency, self._rescue_limit, self._shut = concurrency, rescue_limit, shut
        self._apart: list[Claim] = []
        #: Jobs started by this worker.
        self.count = 0

    def take(self, most: int | None = None, wait: float = IDLE) -> int:
        """One turn.

        Args:
            most: The most jobs to claim; None is as many as there is room for.
            wait: Seconds to wait for a first job when nothing is to be recorded.

        Returns:
            How many jobs were started.

        Raises:
            WorkerLost: when this worker was given up. Its jobs run elsewhere: here they are cancelled.
        """
        loop = self._loop
        loop.news.clear()
        self._begin_apart()
        room = self._room()
        room = room if most is None else min(room, most)
        if room <= 0 or self._apart or loop.is_stalled():
            loop.news.wait(PATIENCE)
            if self._apart or self._room() <= 0 or loop.is_stalled():
                self._exchange.record()
            return 0  # else the next exchange records it, and fills its place
        try:
            return self._begin(self._trade(room, wait))
        except WorkerLost:
            loop.interrupt()
            raise

    def _trade(self, room: int, wait: float) -> list[Claim]:
        loop = self._loop
        claims = self._exchange.trade(room, room, 0)
        if claims or self._hand:
            return claims
        if wait == 0:
            if self._hand.load():
                loop.news.wait(UNDERWAY)
            return claims
        loop.at_line = True
        try:
            return self._exchange.trade(room, room, wait)
        finally:
            loop.at_line = False

    def _begin(self, claims: list[Claim]) -> int:
        if shut := self._shut():  # paused while the line was asked
            self._exchange.release([claim for claim in claims if claim.queue in shut])
            claims = [claim for claim in claims if claim.queue not in shut]
        self._apart = sorted((claim for claim in claims if claim.rescues), key=lambda claim: claim.rescues)
        self._hand.keep(self._apart)
        self._put([claim for claim in claims if not claim.rescues])
        self._begin_apart()
        self.count += len(claims)
        return len(claims)

    def _begin_apart(self) -> None:
        """Start those that were rescued before, as soon as few enough run."""
        while self._apart and self._hand.load() < self._company(self._apart[0].rescues):
            self._put([claim := self._apart.pop(0)])
            self._hand.forget([claim])

    def _put(self, claims: list[Claim]) -> None:
        if claims:
            self._hand.put(claims)
            self._loop.begin()

    def _room(self) -> int:
        return self._company(self._hand.rescues()) - self._hand.load()

    def _company(self, rescues: int) -> int:
        return company(self._concurrency, max(rescues, self._hand.rescues()), self._rescue_limit)

    @property
    def idle(self) -> bool:
        """True when nothing runs, nothing is to be recorded, and the line gave nothing."""
        return self._exchange.idle and not self._hand.load() and not self._apart

    def settle(self) -> None:
        """Record what finished and release what is not started; what runs goes on."""
        self._exchange.settle()
        self._release_apart()

    def _release_apart(self) -> None:
        claims, self._apart = self._apart, []
        self._exchange.release(claims)
        self._hand.forget(claims)

    def close(self) -> None:
        """Let what runs come to its end, and record it; claim nothing more.

        What was put into the hand a moment ago is on its way into the loop and runs too: limits have
        counted it.
        """
        self._release_apart()
        while self._hand.load():
            self._loop.news.wait(PATIENCE)
            self._loop.news.clear()
            self._exchange.record()
        self._exchange.settle()
        self._loop.close()
