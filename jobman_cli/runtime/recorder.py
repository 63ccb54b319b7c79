"""Writes ends and releases through one connection: the worker has one recorder, its watch thread another."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from jobman_cli.core.outcome import COMPLETED, OutcomeKind
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.runner import Attempt
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import Finish, complete, fail, find_refused
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.release import release
from jobman_cli.store.lifecycle.trade import finish_and_claim
from jobman_cli.store.link import Link

logger = logging.getLogger("jobman.worker")


def note_end(attempt: Attempt, finish: Finish | None, meter: Meter | None) -> None:
    """Count an attempt that ``completing()`` has recorded; say so of one that did not complete."""
    claim = attempt.claim
    if finish is None:
        if attempt.recorded and meter is not None:
            meter.count([Finish(claim, COMPLETED, attempt.started, time.time())])
    elif finish.outcome.kind is not OutcomeKind.COMPLETED:
        said = finish.outcome.error_message
        logger.warning("job %d (%s), attempt %d: %s", claim.id, claim.type, claim.attempt, said)


class Recorder:
    """Records under one worker's name.

    Args:
        worker: The worker's uuid.
        link: The connection.
        meter: Counts what was recorded; None counts nothing.
    """

    def __init__(self, parts: Parts, worker: str, link: Link, meter: Meter | None = None) -> None:
        self._parts, self._worker, self._link, self._meter = parts, worker, link, meter
        self._refused: list[Finish] = []

    def write(self, connection: Any, dialect: Dialect, finishes: Sequence[Finish]) -> list[InLine]:
        """Record ends, inside the caller's transaction.

        Returns:
            Released rows, to be pushed after the commit.
        """
        worker, released = self._worker, []
        completed = [finish for finish in finishes if finish.outcome.kind is OutcomeKind.COMPLETED]
        refused = complete(connection, dialect, worker, completed)
        if len(completed) < len(finishes):
            for finish in finishes:
                kind = finish.outcome.kind
                if kind is OutcomeKind.RELEASED:
                    released += release(connection, dialect, worker, [finish.claim])
                elif kind is not OutcomeKind.COMPLETED and not fail(
                    connection, dialect, worker, finish, self._parts.engine.name
                ):
                    refused.append(finish)
        self._note_refused(refused)
        return released

    def trade(self, finishes: Sequence[Finish], ids: list[int]) -> list[Claim]:
        """Record bare ends and claim ids, in one statement that commits by itself.

        Raises:
            StoreUnavailable: when the database is away; it may have been done, and the rows tell.
        """
        recorded, claims = self._link.run_alone(finish_and_claim, self._worker, finishes, ids)
        everything = recorded == len(finishes)
        self._note_refused([] if everything else self._link.run(find_refused, self._worker, finishes))
        return claims

    def _note_refused(self, refused: list[Finish]) -> None:
        self._refused = refused
        for finish in refused:
            logger.warning("job %d: its end was refused, it is no longer this worker's", finish.claim.id)

    def count(self, finishes: Sequence[Finish]) -> None:
        """Count what ``write`` was given last, once its transaction has committed."""
        if self._meter is None or not finishes:
            return
        if self._refused:
            refused = {id(finish) for finish in self._refused}
            finishes = [finish for finish in finishes if id(finish) not in refused]
        self._meter.count(finishes)

    def record(self, finishes: Sequence[Finish]) -> None:
        """Record ends in a transaction of their own.

        Raises:
            StoreUnavailable: when the database is away; sending again does no harm.
        """
        released = self._link.run(self.write, finishes)
        self.count(finishes)
        if released:
            push(self._parts, released)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back, and push them again.

        Raises:
            StoreUnavailable: when the database is away; sending again does no harm.
        """
        rows = self._link.run(release, self._worker, claims)
        if rows:
            push(self._parts, rows)
