"""Claim jobs for one attempt each: by id (a queue gave them) or from the head of a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, and_, bindparam, exists, literal_column, select, text

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.move import Move
from jobman_cli.store.tables import IN_LINE, JOBS, WORKERS


@dataclass(slots=True)
class Claim:
    """One job in a worker's hand.

    Attributes:
        attempt: The attempt's number, from 1.
        claims: The fence: with ``id`` it names this attempt and no other.
        timeout: Seconds; None is without limit.
    """

    id: int
    type: str
    queue: str
    attribs: dict[str, Any]
    tries: int
    timeout: float | None
    attempt: int
    claims: int
    rescues: int
    rank: int


_COLUMNS = (
    JOBS.c.id,
    JOBS.c.type,
    JOBS.c.queue,
    JOBS.c.attribs,
    JOBS.c.tries,
    JOBS.c.timeout,
    JOBS.c.attempts,
    JOBS.c.claims,
    JOBS.c.rescues,
    JOBS.c.rank,
)


def claim_ids(connection: Connection, dialect: Dialect, worker: str, ids: list[int]) -> list[Claim]:
    """Claim those of ``ids`` that wait.

    Args:
        worker: The worker's uuid; its row must be live.

    Returns:
        The claims, in the order of ``ids``; who is missing was claimed, cancelled or never written.
    """
    rows = claim_by_ids(dialect)(connection, {"claimant": worker, "ids": dialect.id_list(ids)})
    return in_order(ids, claims_of(rows))


def claims_of(rows: Iterable[Any]) -> list[Claim]:
    """Rows of the claim's columns, as claims."""
    return [Claim(*row) for row in rows]


def in_order(ids: list[int], claims: list[Claim]) -> list[Claim]:
    """The claims in the order of ``ids``; an id that a line gave twice is one claim."""
    known = {claim.id: claim for claim in claims}
    return [known.pop(id) for id in ids if id in known]


def claim_line(
    connection: Connection, dialect: Dialect, worker: str, queue: str, limit: int, after: int | None
) -> list[Claim]:
    """Claim the first jobs of a line.

    Args:
        limit: How many at the most.
        after: The rank from which to look; None looks from the start. Dead index entries of jobs taken
            earlier make looking from the start slow under load.

    Returns:
        The claims, in the line's order.
    """
    values = {
        "claimant": worker,
        "line": queue,
        "most": limit,
        "after": after if after is not None else -(2**62),
    }
    rows = list(_by_line(dialect, "queued")(connection, values))
    if len(rows) < limit and after is None:
        rows += _by_line(dialect, "pending")(connection, values | {"most": limit - len(rows)})
    return sorted(claims_of(rows), key=lambda claim: (claim.rank, claim.id))


def held(connection: Connection, dialect: Dialect, worker: str) -> list[Claim]:
    """The rows that run under a worker's name, locked: after a COMMIT whose answer was lost, they tell."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(JOBS.c.worker_id == worker, JOBS.c.status == "running")
        .order_by(JOBS.c.id)
        .with_for_update()
    ).all()
    return claims_of(rows)


@cache
def claim_by_ids(dialect: Dialect) -> Move:
    """The ids are those of the parameter ``ids``, the worker is ``claimant``."""
    # Said by what it is not, so that no planner prefers the line's partial index to the primary key.
    waits = text("status NOT IN ('scheduled', 'running', 'completed', 'failed', 'cancelled')")
    these = and_(dialect.one_of(JOBS.c.id, "ids"), waits, _live())
    if dialect.ids_in_order:
        return Move.unpicked(these, _claimed(dialect), _COLUMNS)
    pick = select(JOBS.c.id).where(these).order_by(JOBS.c.id).with_for_update(of=JOBS)
    return Move(dialect, pick, _claimed(dialect), _COLUMNS)


@cache
def _by_line(dialect: Dialect, status: str) -> Move:
    pick = (
        select(JOBS.c.id)
        .where(
            JOBS.c.queue == bindparam("line"),
            text(IN_LINE),  # the partial index's own words
            JOBS.c.status == literal_column(f"'{status}'"),
            JOBS.c.rank >= bindparam("after"),
            _live(),
        )
        .order_by(JOBS.c.rank, JOBS.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(of=JOBS, skip_locked=True)
    )
    return Move(dialect, pick, _claimed(dialect), _COLUMNS)


def _live() -> Any:
    """The claimant's row is there and was not given up."""
    return exists().where(WORKERS.c.uuid == bindparam("claimant"), WORKERS.c.state == "running")


def _claimed(dialect: Dialect) -> dict[str, Any]:
    return {
        "status": literal_column("'running'"),
        "claims": JOBS.c.claims + 1,
        "attempts": JOBS.c.attempts + 1,
        "worker_id": bindparam("claimant"),
        "started_at": dialect.now(),
    }
