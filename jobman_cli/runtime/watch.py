"""The watch thread: for jobs that take longer than anybody expected.

It has its own connection and does nothing while jobs are short. When one has run for a tick, it gives
back what waits behind it, records what finished before it, stores its log lines and progress, and asks
the row whether somebody wants it to stop. Every few seconds it writes what was counted.

In a worker that runs many jobs at once, other things hold up what waits: see ``JobLoop``, which says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from jobman_cli.errors import StoreUnavailable
from jobman_cli.operations.parts import Parts
from jobman_cli.runtime.hand import Hand, Held
from jobman_cli.runtime.meter import FLUSH, Meter
from jobman_cli.runtime.recorder import Recorder
from jobman_cli.runtime.runner import progress_text
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.live import Tale, tell
from jobman_cli.store.lifecycle.metrics import add_counts
from jobman_cli.store.link import Link

logger = logging.getLogger("jobman.worker")

#: Seconds between two ticks, and between two words with the row.
TICK, WORD = 0.25, 1.0


class Watched(Protocol):
    """The worker, as its watch sees it."""

    #: Set to let the watch look at once.
    bell: threading.Event

    def look(self) -> None:
        """Called at each tick, before anything else."""
        ...

    def is_stalled(self) -> bool:
        """True when the jobs that are not started will not be started soon."""
        ...

    def is_waiting(self) -> bool:
        """True when the worker will not record soon what has finished."""
        ...

    def stop(self, held: Held) -> None:
        """Somebody wants this job to stop."""
        ...


class OneByOne:
    """A worker that runs one job at a time: while one runs for long, nothing else happens."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self.bell = threading.Event()

    def look(self) -> None:
        """There is nothing to look at."""

    def is_stalled(self) -> bool:
        """While a job has run for a tick."""
        return bool(self._hand.long(TICK))

    is_waiting = is_stalled

    def stop(self, held: Held) -> None:
        """The job may ask whether it should."""
        held[1].ask_to_stop()


class Watch(threading.Thread):
    """Watches one worker's hand.

    Args:
        watched: How that worker runs its jobs; None is one at a time.
    """

    def __init__(
        self,
        parts: Parts,
        worker: str,
        hand: Hand,
        meter: Meter | None = None,
        watched: Watched | None = None,
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._watched: Watched = watched or OneByOne(hand)
        self._parts, self._worker, self._hand = parts, worker, hand
        self._link: Link = parts.database.link()
        self._meter = meter or Meter()
        self._recorder = Recorder(parts, worker, self._link, self._meter)
        self._next_flush = time.monotonic() + FLUSH
        self._done = threading.Event()
        self._next_word = 0.0
        self._owed: list[Claim] = []
        self._told: dict[int, str | None] = {}

    def run(self) -> None:
        """Tick until stopped."""
        bell = self._watched.bell
        while not self._done.is_set():
            bell.wait(TICK)
            bell.clear()
            if self._done.is_set():
                break
            try:
                self.tick()
                if time.monotonic() >= self._next_flush:
                    self.flush()
            except StoreUnavailable as error:
                logger.debug("watch: %s", error)
            except Exception:
                logger.exception("the watch thread goes on after an error")
        try:
            self.flush()
        except Exception as error:
            logger.debug("the last counts are lost: %s", error)
        self._link.drop()

    def stop(self) -> None:
        """End after the current tick."""
        self._done.set()
        self._watched.bell.set()

    def tick(self) -> None:
        """Look once.

        Raises:
            StoreUnavailable: when the database is away; nothing is lost, the next tick goes on.
        """
        self._watched.look()
        if self._owed or self._watched.is_stalled():
            self._give_back()
        if self._watched.is_waiting():
            self._record()
        if time.monotonic() >= self._next_word and (running := self._hand.long(TICK)):
            self._next_word = time.monotonic() + WORD
            self._speak(running)

    def flush(self) -> None:
        """Write what was counted since the last time.

        Raises:
            StoreUnavailable: when the database is away. The counts are kept; if only the answer to COMMIT
                was lost they count twice, which a figure bears and a job would not.
        """
        self._next_flush = time.monotonic() + FLUSH
        if counts := self._meter.take():
            try:
                self._link.run(add_counts, counts)
            except StoreUnavailable:
                self._meter.give_back(counts)
                raise

    def _give_back(self) -> None:
        """Release what waits. A release whose answer was lost is sent again: the fence makes it safe."""
        self._owed += self._hand.take_unstarted()
        if self._owed:
            self._recorder.release(self._owed)
            self._hand.forget(self._owed)
            self._owed = []

    def _record(self) -> None:
        finishes = self._hand.take_finished()
        if not finishes:
            return
        try:
            self._recorder.record(finishes)
        except BaseException:
            self._hand.put_back(finishes)
            raise
        self._hand.forget([finish.claim for finish in finishes])

    def _speak(self, running: Sequence[Held]) -> None:
        """Store lines and progress, and ask whether somebody wants the jobs to stop."""
        # One that is completing itself is left alone.
        writing = [held for held in running if held[1].writing.acquire(blocking=False)]
        taken = [held[1].take_lines() for held in writing]
        try:
            told = {held[0].id: progress_text(held[1]) for held in writing}
            tales = [
                Tale(
                    claim,
                    "".join(lines) or None,
                    told[claim.id] if told[claim.id] != self._told.get(claim.id) else None,
                )
                for (claim, _, _), lines in zip(writing, taken, strict=True)
            ]
            wanted = self._link.run(tell, self._worker, tales) if tales else set()
        except BaseException:
            for held, lines in zip(writing, taken, strict=True):
                held[1].give_back_lines(lines)
            raise
        finally:
            for held in writing:
                held[1].writing.release()
        self._told = told
        for held in writing:
            if held[0].id in wanted:
                self._watched.stop(held)
