"""Reconcile: compare queued rows with the queue and push what is missing.

Two rounds. ``rebuild`` answers a queue that was lost as a whole: the marker in it does not name this
server's run, so every queued row is pushed. ``push_overtaken`` answers single losses (a process died
between commit and push, or popped an id and never claimed it): such a row sorts before the head of its
line, or its line is empty. What was lost further behind is found when the head gets there, or by
``jobman requeue --unqueued``, which asks for every row.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from jobman_cli.engine.protocol import Rebuilding
from jobman_cli.operations.journal import note_reconciliation
from jobman_cli.operations.parts import Parts
from jobman_cli.store.lifecycle.line import BATCH, queued_jobs
from jobman_cli.store.queries import lines, overtaken_jobs

logger = logging.getLogger("jobman.reconcile")

#: Seconds for which a row may be on its way from the commit to the push, or from the pop to the claim.
UNDERWAY = 5.0


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        pushed: Queued rows.
        finished: False when another process took the rebuild over.
    """

    pushed: int
    finished: bool


def rebuild(parts: Parts) -> Rebuilt | None:
    """Push every queued row into a queue that does not know them.

    Returns:
        None when the queue is this run's own, or another process rebuilds it.

    Raises:
        QueueUnavailable, StoreUnavailable: when a server is away; the next round begins anew.
    """
    building = parts.engine.begin_rebuild()
    if building is None:
        return None
    pushed = _push_all(parts, building)
    finished = building.finish()
    level = logging.WARNING if pushed else logging.INFO  # a new Redis knows nothing, and has nothing to know
    end = "" if finished else "; another process goes on"
    note_reconciliation(parts, "rebuild", pushed)
    logger.log(level, "the queue was new, lost or replaced: pushed %d queued row(s)%s", pushed, end)
    return Rebuilt(pushed, finished)


def _push_all(parts: Parts, building: Rebuilding) -> int:
    pushed = after = 0
    while rows := parts.database.read(queued_jobs, after, BATCH):
        parts.engine.push(rows)
        pushed += len(rows)
        after = rows[-1].id
        if not building.renew():
            break
    return pushed


def push_overtaken(parts: Parts, underway: float = UNDERWAY) -> int:
    """Push queued rows that the queue ought to have given out already.

    Args:
        underway: Rows queued less than so many seconds ago are left alone.

    Returns:
        How many.

    Raises:
        QueueUnavailable, StoreUnavailable: when a server is away.
    """
    pushed = 0
    for queue in parts.database.read(lines) if parts.engine.has_lines else ():
        head, after = parts.engine.head(queue), None
        while rows := parts.database.read(overtaken_jobs, queue, head, after, underway, BATCH):
            absent = parts.engine.missing(rows)
            if absent:
                parts.engine.push(absent)
                logger.info("queue %s: pushed %d row(s) that it did not hold", queue, len(absent))
            pushed += len(absent)
            after = (rows[-1].rank, rows[-1].id)
    note_reconciliation(parts, "overtaken", pushed)
    return pushed
