"""The watch thread: for jobs that take longer than anybody expected.

It has its own connection and does nothing while jobs are short. When one has run for a tick, it gives
back what waits behind it, records what finished before it, stores its log lines and progress, and asks
the row whether somebody wants it to stop. Every few seconds it writes what was counted.
"""

from __future__ import annotations

import logging
import threading
import time

from jobman_cli.core.context import Context
from jobman_cli.errors import StoreUnavailable
from jobman_cli.operations.parts import Parts
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.meter import FLUSH, Meter
from jobman_cli.runtime.recorder import Recorder
from jobman_cli.runtime.runner import progress_text
from jobman_cli.store.database import Link
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.live import tell
from jobman_cli.store.lifecycle.metrics import add_counts

logger = logging.getLogger("jobman.worker")

#: Seconds between two ticks, and between two words with the row.
TICK, WORD = 0.25, 1.0


class Watch(threading.Thread):
    """Watches one worker's hand."""

    def __init__(self, parts: Parts, worker: str, hand: Hand, meter: Meter | None = None) -> None:
        super().__init__(name="watch", daemon=True)
        self._parts, self._worker, self._hand = parts, worker, hand
        self._link: Link = parts.database.link()
        self._meter = meter or Meter()
        self._recorder = Recorder(parts, worker, self._link, self._meter)
        self._next_flush = time.monotonic() + FLUSH
        self._done = threading.Event()
        self._next_word = 0.0
        self._owed: list[Claim] = []
        self._told: tuple[int, str | None] = (0, None)

    def run(self) -> None:
        """Tick until stopped."""
        while not self._done.wait(TICK):
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

    def tick(self) -> None:
        """Look once.

        Raises:
            StoreUnavailable: when the database is away; nothing is lost, the next tick goes on.
        """
        running = self._hand.running
        if self._owed:
            self._give_back()
        if running is None or time.monotonic() - running[2] < TICK:
            return
        self._give_back()
        finishes = self._hand.take_finished()
        if finishes:
            try:
                self._recorder.record(finishes)
            except BaseException:
                self._hand.put_back(finishes)
                raise
        if time.monotonic() >= self._next_word:
            self._next_word = time.monotonic() + WORD
            self._speak(running[0], running[1])

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

    def _speak(self, claim: Claim, context: Context) -> None:
        """Store lines and progress, and ask whether somebody wants the job to stop."""
        progress = progress_text(context)
        fresh = progress if (claim.id, progress) != self._told else None
        if not context.writing.acquire(blocking=False):
            return  # the job is completing itself
        try:
            lines = context.take_lines()
            try:
                wanted = self._link.run(tell, self._worker, claim, "".join(lines) or None, fresh)
            except BaseException:
                context.give_back_lines(lines)
                raise
        finally:
            context.writing.release()
        self._told = (claim.id, progress)
        if wanted:
            context.ask_to_stop()
