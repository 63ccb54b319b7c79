"""Rescue: take jobs back from workers that are gone. Each round is idempotent; any number may run."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jobman_cli.core.backoff import backoff_delay
from jobman_cli.core.outcome import Outcome, OutcomeKind
from jobman_cli.errors import JobmanError
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts
from jobman_cli.store.database import Database
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim, held
from jobman_cli.store.lifecycle.finish import Finish, fail, is_final
from jobman_cli.store.lifecycle.metrics import Count, CountKey, add_counts
from jobman_cli.store.lifecycle.release import release_all
from jobman_cli.store.lifecycle.rescue import Rescued, take_back, take_orphans
from jobman_cli.store.lifecycle.workers import Neighbour, lose, lose_silent, neighbours, tidy
from jobman_cli.store.queries import find_job

logger = logging.getLogger("jobman.rescue")

#: Workers, and running jobs without one, that a round takes at the most.
BATCH = 100
#: Seconds for which the row of a worker that has ended is kept.
KEEP_WORKERS = 30 * 86400.0


def rescue_silent(parts: Parts, boot_id: str, oldest: float) -> Rescued:
    """Give up workers that were last heard before ``oldest``, and take their jobs back.

    Only who has himself been in touch with the database for a whole lease may call it: after an outage
    every lease looks run out.

    Args:
        boot_id: This host's boot.
        oldest: By the clock that judges leases.
    """
    taken = parts.database.run(_silent, parts, oldest, boot_id)
    return _tell(parts, taken, parts.database)


def rescue_dead(
    parts: Parts,
    workers: Sequence[str],
    reason: str,
    started: Sequence[int] = (),
    *,
    known: bool = False,
    database: Database | None = None,
) -> Rescued:
    """Give up workers that are proven dead, and take their jobs back.

    Args:
        reason: What happened to them, such as ``signal 9``.
        started: Ids of the jobs that ran.
        known: True when ``started`` tells the whole truth.
        database: Another way to the same database, for a process that forks.
    """
    database = database or parts.database
    return _tell(parts, database.run(_dead, parts, list(workers), reason, started, known), database)


def fail_stuck(
    parts: Parts, worker: str, stuck: Collection[tuple[int, int]], *, database: Database | None = None
) -> Rescued:
    """Record that jobs ran past their timeout until their worker was killed: a failed try, not a rescue.

    What else the worker held is released, neighbours that ran beside them included.

    Args:
        stuck: ``(id, claims)`` of each.
    """
    database = database or parts.database
    return _tell(parts, database.run(_stuck, parts, worker, stuck), database)


def rescue_orphans(parts: Parts) -> Rescued:
    """Take back running jobs whose worker's row is missing or says that it has ended."""
    engine, limit = parts.engine.name, parts.settings.rescue_limit
    return _tell(parts, parts.database.run(take_orphans, limit, engine, BATCH), parts.database)


def same_host(parts: Parts, boot_id: str, pid_namespace: str) -> list[Neighbour]:
    """Live workers whose pids mean the same as this process's."""
    return parts.database.read(neighbours, boot_id, pid_namespace)


def tidy_workers(parts: Parts) -> int:
    """Delete rows of workers that ended long ago."""
    return parts.database.run(tidy, KEEP_WORKERS)


def _silent(connection: Any, dialect: Dialect, parts: Parts, oldest: float, boot_id: str) -> Rescued:
    workers = lose_silent(connection, dialect, oldest, boot_id, BATCH)
    return _take(connection, dialect, parts, workers, f"no sign of life for {parts.settings.lease:g} s")


def _dead(
    connection: Any,
    dialect: Dialect,
    parts: Parts,
    workers: list[str],
    reason: str,
    started: Sequence[int],
    known: bool,
) -> Rescued:
    given_up = lose(connection, dialect, workers)
    return _take(connection, dialect, parts, given_up, reason, started, known)


def _stuck(
    connection: Any, dialect: Dialect, parts: Parts, worker: str, stuck: Collection[tuple[int, int]]
) -> Rescued:
    lose(connection, dialect, [worker])
    taken = Rescued()
    for claim in held(connection, dialect, worker):
        if (claim.id, claim.claims) in stuck:
            job_type = parts.registry.types.get(claim.type)
            backoff = job_type.options.backoff if job_type else ()
            message = _why_stuck(claim)
            outcome = Outcome(
                OutcomeKind.TIMEOUT,
                None,
                message,
                message,
                backoff_delay(backoff, claim.attempt, random.random),
            )
            finish = Finish(claim, outcome, None, time.time())
            if fail(connection, dialect, worker, finish, parts.engine.name):
                taken.count(find_job(connection, dialect, claim.id), final=is_final(claim, outcome))
    taken.rows = release_all(connection, dialect, worker)
    taken.released = len(taken.rows)
    return taken


def _why_stuck(claim: Claim) -> str:
    if claim.timeout is None:
        return "held the event loop, so that the timeouts beside it could not strike; its worker was killed"
    return f"timed out after {claim.timeout:g} s; its worker was killed"


def _take(
    connection: Any,
    dialect: Dialect,
    parts: Parts,
    workers: Sequence[str],
    reason: str,
    started: Sequence[int] = (),
    known: bool = False,
) -> Rescued:
    taken = Rescued()
    engine, limit = parts.engine.name, parts.settings.rescue_limit
    for worker in workers:
        logger.warning("worker %s was given up: %s", worker, reason)
        taken.add(take_back(connection, dialect, worker, limit, engine, reason, started, known))
    return taken


def _tell(parts: Parts, taken: Rescued, database: Database) -> Rescued:
    if taken.rows:
        push(parts, taken.rows)
    if taken.counts:
        _count(database, taken.counts)
    if taken.rescued or taken.released:
        again = len(taken.rescued) - len(taken.failed)
        logger.warning("rescued %d job(s), released %d, failed %d", again, taken.released, len(taken.failed))
    return taken


def _count(database: Database, counts: Mapping[CountKey, Count]) -> None:
    """Add to the metrics what no worker is left to count.

    In a transaction of its own: a worker that is frozen while it writes its counts must not keep a job from
    being taken back.
    """
    try:
        database.run(add_counts, counts)
    except JobmanError as error:
        number = sum(count.failed_attempts for count in counts.values())
        logger.warning("%d failure(s) are missing from the metrics: %s", number, error)
