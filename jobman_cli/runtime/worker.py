"""The turn: one transaction that records what finished and claims what is next.

What is authoritative. The row, and only the row. A ticket (ids that a line gave) is a hint; a claim is
ours only when its transaction has committed, and a job is recorded only when the fenced finish has.

One turn. Pop up to *n* ids; ``finish(previous) + claim(ids)`` in one commit; run them; repeat. When the
line is empty, what finished is recorded at once. *n* adapts (see ``pace``), so only jobs known to be
short are claimed in advance. A job that is not known to be short, or that was ever rescued, runs alone:
what finished before it is recorded first, and nothing else is in the hand.

When the database is away. Nothing is popped and nothing is claimed; finished results and popped ids are
kept, and the turn is sent again with jitter until it passes. A COMMIT whose answer was lost is resolved
by reading: rows that run under this worker's name and are not in its hand were claimed by that COMMIT,
and are taken into the hand; finishes that were recorded are recognised by their fence.

When this worker was given up (its row is no longer live), its claims find nothing, and it stops.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

from jobman_cli.core.outcome import COMPLETED, OutcomeKind
from jobman_cli.engine.protocol import Receiver, Ticket
from jobman_cli.errors import QueueUnavailable, StoreUnavailable, WorkerLost
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.pace import MOST, Pace
from jobman_cli.runtime.page import Page
from jobman_cli.runtime.recorder import Recorder
from jobman_cli.runtime.runner import Runner
from jobman_cli.store.database import Link
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim, held
from jobman_cli.store.lifecycle.finish import Finish
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.workers import is_live

logger = logging.getLogger("jobman.worker")

T = TypeVar("T")

#: Seconds to wait for a first job when there is nothing to do.
IDLE = 1.0
#: Seconds between two tries while a server is away: at first, at the most.
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0
#: Seconds between two looks whether this worker is still believed to live, and holds what it should.
LOOK = 10.0


class Turn:
    """One worker's turns.

    Args:
        worker: The worker's uuid.
        link: Its connection.
        pause: Sleeps so many seconds; True when the worker is to stop.
        stopping: True when the worker is to stop, asked between jobs.
        page: Shared with the supervisor.
        meter: Counts what was recorded; None counts nothing.
        shut: Queues whose jobs are not to be started now, asked after each claim.
    """

    def __init__(
        self,
        parts: Parts,
        worker: str,
        link: Link,
        receiver: Receiver,
        runner: Runner,
        hand: Hand,
        pace: Pace,
        pause: Callable[[float], bool],
        stopping: Callable[[], bool],
        page: Page,
        meter: Meter | None = None,
        shut: Callable[[], Container[str]] = tuple,
    ) -> None:
        self._shut = shut
        self._parts, self._worker, self._link, self._meter = parts, worker, link, meter
        self._recorder = Recorder(parts, worker, link, meter)
        self._receiver, self._runner, self._hand, self._pace = receiver, runner, hand, pace
        self._pause, self._stopping, self._page = pause, stopping, page
        self._next_look = time.monotonic() + LOOK
        self._gave = False
        self._barren = 1
        self._away = 0.0
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
        # Ids that nobody may claim cost a turn: take ever more of them at once, to reach what lies behind.
        limit = max(self._pace.limit(), self._barren)
        limit = limit if most is None else min(most, limit)
        ticket = self._receive(limit, 0 if self._hand else wait)
        self._gave = ticket is not None and bool(ticket.ids)
        finishes = self._hand.take_finished()
        if ticket is None and not finishes:
            self._look()
            return 0
        claims = self._commit(finishes, ticket)
        self._barren = min(self._barren * 2, MOST) if self._gave and not claims else 1
        if ticket is not None and not claims:
            self._look(now=bool(ticket.ids))
        return self._run(claims)

    @property
    def idle(self) -> bool:
        """True when the hand is empty, both servers answered the last time, and the line gave nothing.

        Ids that nobody may claim, such as those of jobs done long ago, may have jobs behind them.
        """
        return not self._hand and not self._away and not self._gave

    def settle(self) -> None:
        """Record what finished and release what is not started; called before a pause of any kind."""
        finishes = self._hand.take_finished()
        if finishes:
            self._commit(finishes, None)
        claims = self._hand.take_unstarted()
        self._release(claims)
        self._hand.forget(claims)

    def _release(self, claims: Sequence[Claim]) -> None:
        if claims:
            self._insist(lambda: self._recorder.release(claims))

    def _receive(self, limit: int, wait: float) -> Ticket | None:
        try:
            ticket = self._receiver.receive(limit, wait)
        except (QueueUnavailable, StoreUnavailable) as error:
            self._complain(error)
            if not self._hand:
                self._pause(self._jitter())
            return None
        self._away = 0.0
        return ticket

    def _commit(self, finishes: list[Finish], ticket: Ticket | None) -> list[Claim]:
        """The turn's one transaction, sent until it passes."""
        in_doubt = False

        def send() -> tuple[list[Claim], list[InLine]]:
            nonlocal in_doubt
            doubt, in_doubt = in_doubt, True
            return self._link.run(self._write, finishes, ticket, doubt)

        claims, released = self._insist(send)
        self._recorder.count(finishes)
        if released:
            push(self._parts, released)
        return claims

    def _write(
        self, connection: Any, dialect: Dialect, finishes: list[Finish], ticket: Ticket | None, doubt: bool
    ) -> tuple[list[Claim], list[InLine]]:
        released = self._recorder.write(connection, dialect, finishes)
        if ticket is None:
            return [], released
        claims = self._receiver.claim(connection, self._worker, ticket)
        if doubt:  # the COMMIT before this one may have passed, and its claims with it
            # Asked after the claim, which waits for that transaction should it still be on its way.
            known = self._hand.aside().union(claim.id for claim in claims)
            claims = [c for c in held(connection, dialect, self._worker) if c.id not in known] + claims
        return claims, released

    def _run(self, claims: list[Claim]) -> int:
        """Run what was claimed: the short ones in a row, at most one other, alone and last."""
        short = [claim for claim in claims if not claim.rescues and self._pace.is_short(claim.type)]
        ids = {claim.id for claim in short}
        others = [claim for claim in claims if claim.id not in ids]
        alone = others[0] if others else None
        self._release(others[1:])
        claims = [*short, *others[:1]]
        if shut := self._shut():  # paused while the line was asked
            self._release([claim for claim in claims if claim.queue in shut])
            claims = [claim for claim in claims if claim.queue not in shut]
        self._hand.put(claims)
        ran, began = 0, time.monotonic()
        while (claim := self._hand.take()) is not None:
            if claim is alone and ran:
                self.settle()
            self._run_one(claim)
            ran += 1
            if time.monotonic() - began > 0.05 and self._stopping():
                break
        self.count += ran
        return ran

    def _run_one(self, claim: Claim) -> None:
        attempt = self._runner.begin(claim)
        self._hand.start(claim, attempt.context)
        began = time.monotonic()
        self._page.start(claim.id, claim.claims, began + claim.timeout if claim.timeout else math.inf)
        finish = None
        try:
            finish = self._runner.run(attempt)
        finally:
            self._page.end()
            self._hand.finish(finish)
        self._pace.learn(claim.type, time.monotonic() - began)
        if finish is None and attempt.recorded and self._meter is not None:  # by completing()
            self._meter.count([Finish(claim, COMPLETED, attempt.started, time.time())])
        if finish is not None and finish.outcome.kind is not OutcomeKind.COMPLETED:
            logger.warning(
                "job %d (%s), attempt %d: %s",
                claim.id,
                claim.type,
                claim.attempt,
                finish.outcome.error_message,
            )

    def _look(self, *, now: bool = False) -> None:
        """Make sure, from time to time and when claims find nothing, that this worker is still believed."""
        due = time.monotonic() >= self._next_look
        if not due and not now:
            return
        try:
            alive = self._link.run(is_live, self._worker)
            if alive and due:
                self._next_look = time.monotonic() + LOOK
                self._drop_strays()
        except StoreUnavailable as error:
            self._complain(error)
            self._pause(self._jitter())
            return
        if not alive:
            raise WorkerLost

    def _drop_strays(self) -> None:
        """Release rows that run under this worker's name although it does not hold them.

        Called between turns, when the hand is empty but for what is to be recorded.
        """
        aside = self._hand.aside() | self._hand.finished_ids()
        strays = [claim for claim in self._link.run(held, self._worker) if claim.id not in aside]
        if strays:
            logger.warning(
                "%d job(s) run under this worker's name that it does not hold; released", len(strays)
            )
            self._recorder.release(strays)

    def _insist(self, send: Callable[[], T]) -> T:
        """Send until the database answers. Results in hand are worth waiting for, even while stopping."""
        while True:
            try:
                answer = send()
            except StoreUnavailable as error:
                self._complain(error)
                time.sleep(self._jitter())
            else:
                self._away = 0.0
                return answer

    def _jitter(self) -> float:
        self._away = min(max(self._away * 2, FIRST_PAUSE), LAST_PAUSE)
        return random.uniform(self._away / 2, self._away)  # noqa: S311 - jitter

    def _complain(self, error: Exception) -> None:
        if not self._away:
            logger.warning("%s; this worker waits for it", error)
