"""The jobs that a worker holds: claimed and not started, running, and finished but not recorded.

Jobs start only by being taken from the hand under its lock. The watch thread takes unstarted jobs out
under the same lock first and releases them in the database second, so no job can be both started and
released.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

from jobman_cli.core.context import Context
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import Finish


class Hand:
    """One worker's hand.

    Attributes:
        running: The job that runs now, with its context, and since when (``time.monotonic``).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unstarted: deque[Claim] = deque()
        self._finished: list[Finish] = []
        self._aside: set[int] = set()
        self.running: tuple[Claim, Context, float] | None = None

    def put(self, claims: Iterable[Claim]) -> None:
        """Hold claims that are not started."""
        with self._lock:
            self._unstarted.extend(claims)

    def take(self) -> Claim | None:
        """The next job to start."""
        with self._lock:
            return self._unstarted.popleft() if self._unstarted else None

    def take_unstarted(self) -> list[Claim]:
        """All jobs that are not started; they are no longer in the hand. See ``forget``."""
        with self._lock:
            claims = list(self._unstarted)
            self._unstarted.clear()
            self._aside.update(claim.id for claim in claims)
        return claims

    def forget(self, claims: Iterable[Claim]) -> None:
        """They have been released."""
        with self._lock:
            self._aside.difference_update([claim.id for claim in claims])

    def aside(self) -> set[int]:
        """Ids that were taken out and are on their way back to the line."""
        with self._lock:
            return set(self._aside)

    def start(self, claim: Claim, context: Context) -> None:
        """Say what runs."""
        self.running = (claim, context, time.monotonic())

    def finish(self, finish: Finish | None) -> None:
        """Nothing runs any more; ``finish`` (None: nothing is to be recorded) waits for the next turn."""
        with self._lock:
            self.running = None
            if finish is not None:
                self._finished.append(finish)

    def take_finished(self) -> list[Finish]:
        """What is to be recorded; who takes it records it or puts it back."""
        with self._lock:
            finishes, self._finished = self._finished, []
        return finishes

    def finished_ids(self) -> set[int]:
        """Ids of what is to be recorded."""
        with self._lock:
            return {finish.claim.id for finish in self._finished}

    def put_back(self, finishes: list[Finish]) -> None:
        """They could not be recorded."""
        with self._lock:
            self._finished[:0] = finishes

    def __bool__(self) -> bool:
        return bool(self._unstarted or self._finished)
