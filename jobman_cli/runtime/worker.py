"""The turn of a worker that runs one job at a time: an exchange, then the jobs that it brought.

One turn. Pop up to *n* ids; ``finish(previous) + claim(ids)`` in one commit; run them; repeat. When the
line is empty, what finished is recorded at once. *n* adapts (see ``pace``), so only jobs known to be
short are claimed in advance. A job that is not known to be short, or that was ever rescued, runs alone:
what finished before it is recorded first, and nothing else is in the hand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container

from jobman_cli.core.outcome import COMPLETED
from jobman_cli.runtime.exchange import Exchange
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.pace import Pace
from jobman_cli.runtime.page import Page
from jobman_cli.runtime.recorder import note_end
from jobman_cli.runtime.runner import Runner
from jobman_cli.store.lifecycle.claim import Claim

#: Seconds to wait for a first job when there is nothing to do.
IDLE = 1.0


class Turn:
    """One worker's turns.

    Args:
        exchange: Its dealings with line and rows.
        stopping: True when the worker is to stop, asked between jobs.
        page: Shared with the supervisor.
        meter: Counts what ``completing()`` recorded; None counts nothing.
        shut: Queues whose jobs are not to be started now, asked after each claim.
    """

    def __init__(
        self,
        exchange: Exchange,
        runner: Runner,
        hand: Hand,
        pace: Pace,
        stopping: Callable[[], bool],
        page: Page,
        meter: Meter | None = None,
        shut: Callable[[], Container[str]] = tuple,
    ) -> None:
        self._exchange, self._runner, self._hand, self._pace = exchange, runner, hand, pace
        self._stopping, self._page, self._meter, self._shut = stopping, page, meter, shut
        #: Jobs run by this worker.
        self.count = 0

    def take(self, most: int | None = None, wait: float = IDLE) -> int:
        """One turn.

        Args:
            most: The most jobs to claim; None leaves it to the pace.
            wait: Seconds to wait for a first job when nothing is to be recorded.

        Returns:
            How many jobs ran.

        Raises:
            WorkerLost: when this worker was given up.
        """
        return self._run(self._exchange.trade(self._pace.limit(), most, wait))

    @property
    def idle(self) -> bool:
        """See ``Exchange.idle``."""
        return self._exchange.idle

    def settle(self) -> None:
        """See ``Exchange.settle``."""
        self._exchange.settle()

    def close(self) -> None:
        """Settle for good; no job runs between turns."""
        self._exchange.settle()

    def _run(self, claims: list[Claim]) -> int:
        """Run what was claimed: the short ones in a row, at most one other, alone and last."""
        short = [claim for claim in claims if not claim.rescues and self._pace.is_short(claim.type)]
        ids = {claim.id for claim in short}
        others = [claim for claim in claims if claim.id not in ids]
        alone = others[0] if others else None
        self._exchange.release(others[1:])
        claims = [*short, *others[:1]]
        if shut := self._shut():  # paused while the line was asked
            self._exchange.release([claim for claim in claims if claim.queue in shut])
            claims = [claim for claim in claims if claim.queue not in shut]
        self._hand.put(claims)
        ran = self._run_hand(alone)
        self.count += ran
        return ran

    def _run_hand(self, alone: Claim | None) -> int:
        hand, page, runner, pace = self._hand, self._page, self._runner, self._pace
        ran, began = 0, time.monotonic()
        now = began
        while (claim := hand.take()) is not None:
            if claim is alone and ran:
                self.settle()
                now = time.monotonic()
            attempt = runner.begin(claim)
            hand.start(claim, attempt.context, now)
            page.start(claim.id, claim.claims, now + claim.timeout if claim.timeout else math.inf)
            finish = None
            try:
                finish = runner.run(attempt)
            finally:
                page.end()
                hand.finish(claim, finish)
            started, now = now, time.monotonic()
            pace.learn(claim.type, now - started)
            if finish is None or finish.outcome is not COMPLETED:
                note_end(attempt, finish, self._meter)
            ran += 1
            if now - began > 0.05 and self._stopping():
                break
        return ran
