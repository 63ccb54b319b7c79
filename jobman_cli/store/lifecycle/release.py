"""Give claimed jobs back unharmed: the attempt is not counted, the place in the line is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, null, select, text
from sqlalchemy import tuple_ as row_of

from jobman_cli.store.database import compact_json
from jobman_cli.store.dialects import Dialect, Kind
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.move import Move
from jobman_cli.store.tables import JOBS, RUNNING

_PLACE = (JOBS.c.id, JOBS.c.queue, JOBS.c.rank, JOBS.c.status)


def release(connection: Connection, dialect: Dialect, worker: str, claims: Sequence[Claim]) -> list[InLine]:
    """Put jobs back into the state ``queued``; one that was asked to stop ends ``cancelled`` instead.

    Returns:
        The rows that are to be pushed again. Those that the fence refused are not among them.
    """
    if not claims:
        return []
    given = compact_json([{"id": claim.id, "claims": claim.claims} for claim in claims])
    rows: Sequence[Any] = _release(dialect)(connection, {"holder": worker, "given": given})
    if len(rows) < len(claims):
        # What was released earlier, and its answer lost, is pushed again: twice is as good as once.
        pairs = [(claim.id, claim.claims) for claim in claims]
        waits = select(*_PLACE).where(row_of(JOBS.c.id, JOBS.c.claims).in_(pairs), JOBS.c.status == "queued")
        rows = connection.execute(waits).all()
    return sorted(
        (InLine(row.id, row.queue, row.rank) for row in rows if row.status == "queued"), key=lambda r: r.rank
    )


def release_all(connection: Connection, dialect: Dialect, worker: str) -> list[InLine]:
    """As ``release``, for everything that runs under a worker's name: its process was ended on purpose.

    Returns:
        The rows that are to be pushed again.
    """
    rows = _release_all(dialect)(connection, {"holder": worker})
    return [InLine(row.id, row.queue, row.rank) for row in rows if row.status == "queued"]


@cache
def _release_all(dialect: Dialect) -> Move:
    mine = (text(RUNNING), JOBS.c.worker_id == bindparam("holder"))
    # What is locked is found as an orphan later.
    return _back(
        dialect, select(JOBS.c.id).where(*mine).order_by(JOBS.c.id).with_for_update(skip_locked=True)
    )


@cache
def _release(dialect: Dialect) -> Move:
    given = dialect.rows("given", id=Kind.INTEGER, claims=Kind.INTEGER)
    pick = (
        select(JOBS.c.id)
        .join_from(JOBS, given, JOBS.c.id == given.c.id)
        .where(
            JOBS.c.claims == given.c.claims,
            JOBS.c.status == "running",
            JOBS.c.worker_id == bindparam("holder"),
        )
        .order_by(JOBS.c.id)
        .with_for_update(of=JOBS)
    )
    return _back(dialect, pick)


def _back(dialect: Dialect, pick: Select[Any]) -> Move:
    values = {
        "status": case((JOBS.c.cancel_requested_at.is_(None), "queued"), else_="cancelled"),
        "attempts": JOBS.c.attempts - 1,
        "worker_id": null(),
        "started_at": null(),
    }
    return Move(dialect, pick, values, _PLACE)
