"""The jobs that a worker holds: claimed and not started, running, and finished but not recorded.

Jobs start only by being taken from the hand under its lock. The watch thread takes unstarted jobs out
under the same lock first and releases them in the database second, so no job can be both started and
released. What is taken out, to be released or recorded, stays aside until that has happened: whoever compares
the hand with the rows must not take it for a stranger.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

from jobman_cli.core.context import Context
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import Finish

#: A job that runs, with its context, and since when (``time.monotonic``).
Held = tuple[Claim, Context, float]


class Hand:
    """One worker's hand.

    Attributes:
        running: The jobs that run now, by id.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unstarted: deque[Claim] = deque()
        self._finished: list[Finish] = []
        self._aside: set[int] = set()
        self._starting: Claim | None = None
        self.running: dict[int, Held] = {}

    def put(self, claims: Iterable[Claim]) -> None:
        """Hold claims that are not started."""
        with self._lock:
            self._unstarted.extend(claims)

    def take(self) -> Claim | None:
        """The next job to start; None when there is none. It is to be given to ``start`` by the taker."""
        with self._lock:
            self._starting = self._unstarted.popleft() if self._unstarted else None
            return self._starting

    def take_unstarted(self) -> list[Claim]:
        """All jobs that are not started; they are no longer in the hand. See ``forget``."""
        with self._lock:
            claims = list(self._unstarted)
            self._unstarted.clear()
            self._aside.update([claim.id for claim in claims])
        return claims

    def keep(self, claims: Iterable[Claim]) -> None:
        """Claims that their holder keeps for later; see ``forget``."""
        with self._lock:
            self._aside.update([claim.id for claim in claims])

    def forget(self, claims: Iterable[Claim]) -> None:
        """They have been released, recorded, or put."""
        with self._lock:
            self._aside.difference_update([claim.id for claim in claims])

    def aside(self) -> set[int]:
        """Ids that were taken out and are on their way back to the line, or into their rows."""
        with self._lock:
            return set(self._aside)

    def ids(self) -> set[int]:
        """Ids of all that this worker knows to run under its name."""
        with self._lock:
            return {
                *self._aside,
                *self.running,
                *(claim.id for claim in self._to_run()),
                *(finish.claim.id for finish in self._finished),
            }

    def rescues(self) -> int:
        """How often that job was rescued that was rescued most, of those that run or will."""
        with self._lock:
            claims = [*self._to_run(), *(held[0] for held in list(self.running.values()))]
        return max((claim.rescues for claim in claims), default=0)

    def load(self) -> int:
        """How many jobs are running or will be."""
        with self._lock:
            return len(self._to_run()) + len(self.running)

    def start(self, claim: Claim, context: Context, now: float) -> None:
        """Say that it runs, since ``now`` (``time.monotonic``)."""
        self.running[claim.id] = (claim, context, now)
        self._starting = None

    def long(self, seconds: float) -> list[Held]:
        """What has been running for so long."""
        before = time.monotonic() - seconds
        return [held for held in list(self.running.values()) if held[2] <= before]

    def finish(self, claim: Claim, finish: Finish | None) -> None:
        """It runs no more; ``finish`` (None: nothing is to be recorded) waits for the next turn."""
        with self._lock:
            self.running.pop(claim.id, None)
            if finish is not None:
                self._finished.append(finish)

    def take_finished(self) -> list[Finish]:
        """What is to be recorded; who takes it records it and forgets it, or puts it back."""
        with self._lock:
            finishes, self._finished = self._finished, []
            self._aside.update([finish.claim.id for finish in finishes])
        return finishes

    def put_back(self, finishes: list[Finish]) -> None:
        """They could not be recorded."""
        with self._lock:
            self._finished[:0] = finishes
            self._aside.difference_update([finish.claim.id for finish in finishes])

    def _to_run(self) -> list[Claim]:
        starting = self._starting
        return [*self._unstarted] if starting is None else [*self._unstarted, starting]

    def __bool__(self) -> bool:
        return bool(self._unstarted or self._finished)
