"""The exchange: one transaction that records what finished and claims what is next.

What is authoritative. The row, and only the row. A ticket (ids that a line gave) is a hint; a claim is
ours only when its transaction has committed, and a job is recorded only when the fenced finish has.

When the database is away. Nothing is popped and nothing is claimed; finished results and popped ids are
kept, and the transaction is sent again with jitter until it passes. A COMMIT whose answer was lost is
resolved by reading: rows that run under this worker's name and are not in its hand were claimed by that
COMMIT, and are taken into the hand; finishes that were recorded are recognised by their fence.

When this worker was given up (its row is no longer live), its claims find nothing, and it stops.

How the jobs run, one after another or many at once, is the business of who calls it: ``worker`` and
``loop_turn``.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jobman_cli.engine.protocol import Receiver, Ticket
from jobman_cli.errors import QueueUnavailable, StoreUnavailable, WorkerLost
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.pace import MOST
from jobman_cli.runtime.recorder import Recorder
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim, held
from jobman_cli.store.lifecycle.finish import Finish
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.workers import is_live
from jobman_cli.store.link import Link

logger = logging.getLogger("jobman.worker")

T = TypeVar("T")

#: Seconds between two tries while a server is away: at first, at the most.
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0
#: Seconds between two looks whether this worker is still believed to live, and holds what it should.
LOOK = 10.0


class Exchange:
    """One worker's dealings with its line and its rows.

    Args:
        worker: The worker's uuid.
        link: Its connection.
        pause: Sleeps so many seconds; True when the worker is to stop.
        meter: Counts what was recorded; None counts nothing.
    """

    def __init__(
        self,
        parts: Parts,
        worker: str,
        link: Link,
        receiver: Receiver,
        hand: Hand,
        pause: Callable[[float], bool],
        meter: Meter | None = None,
    ) -> None:
        self._parts, self._worker, self._link = parts, worker, link
        self._recorder = Recorder(parts, worker, link, meter)
        self._receiver, self._hand, self._pause = receiver, hand, pause
        self._next_look = time.monotonic() + LOOK
        self._gave = False
        self._barren = 1
        self._away = 0.0

    def trade(self, limit: int, most: int | None, wait: float) -> list[Claim]:
        """Record what the hand has finished, and claim more.

        Args:
            limit: How many to claim, if the line gives what can be claimed.
            most: The most in any case; None is without limit.
            wait: Seconds to wait for a first job when nothing is to be recorded.

        Returns:
            What was claimed; it is not in the hand yet.

        Raises:
            WorkerLost: when this worker was given up.
        """
        # Ids that nobody may claim cost a turn: take ever more of them at once, to reach what lies behind.
        limit = max(limit, self._barren)
        limit = limit if most is None else min(most, limit)
        ticket = self._receive(limit, 0 if self._hand else wait)
        self._gave = ticket is not None and bool(ticket.ids)
        finishes = self._hand.take_finished()
        if ticket is None and not finishes:
            self._look()
            return []
        claims = self._commit(finishes, ticket)
        self._barren = min(self._barren * 2, MOST) if self._gave and not claims else 1
        if ticket is not None and not claims:
            self._look(now=bool(ticket.ids))
        return claims

    @property
    def idle(self) -> bool:
        """True when the hand is empty, both servers answered the last time, and the line gave nothing.

        Ids that nobody may claim, such as those of jobs done long ago, may have jobs behind them.
        """
        return not (self._hand or self._hand.running or self._away or self._gave)

    def settle(self) -> None:
        """Record what finished and release what is not started; called before a pause of any kind."""
        self.record()
        claims = self._hand.take_unstarted()
        self.release(claims)
        self._hand.forget(claims)

    def record(self) -> None:
        """Record what finished."""
        if finishes := self._hand.take_finished():
            self._commit(finishes, None)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back."""
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
        """The one transaction, sent until it passes; where it can be, it is a single statement."""
        in_doubt = False
        alone = self._link.database.dialect.commits_alone and all(finish.is_bare for finish in finishes)
        alone = alone and (ticket is None or bool(ticket.ids))

        def send() -> tuple[list[Claim], list[InLine]]:
            nonlocal in_doubt
            doubt, in_doubt = in_doubt, True
            if doubt or not alone:
                return self._link.run(self._write, finishes, ticket, doubt)
            if finishes and ticket is not None:
                return self._recorder.trade(finishes, ticket.ids), []
            return self._link.run_alone(self._write, finishes, ticket, doubt)

        try:
            claims, released = self._insist(send)
        except BaseException:  # no outage: this worker dies of it, and on its way out records what ran
            self._hand.put_back(finishes)
            raise
        self._hand.forget([finish.claim for finish in finishes])
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
            known = self._hand.ids().union(claim.id for claim in claims)
            claims = [c for c in held(connection, dialect, self._worker) if c.id not in known] + claims
        return claims, released

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
        """Release rows that run under this worker's name although it does not hold them."""
        known = self._hand.ids()  # before the rows: what ends meanwhile is no stray, and nobody else claims
        strays = [claim for claim in self._link.run(held, self._worker) if claim.id not in known]
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
