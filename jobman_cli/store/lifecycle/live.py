"""What running jobs say and are asked while they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, select, update

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import kept
from jobman_cli.store.tables import JOBS


@dataclass(frozen=True, slots=True)
class Tale:
    """What a running job has said since the last time.

    Attributes:
        logs: New lines, or None.
        progress: JSON text when it is new, else None.
    """

    claim: Claim
    logs: str | None = None
    progress: str | None = None


def tell(connection: Connection, dialect: Dialect, worker: str, tales: Sequence[Tale]) -> set[int]:
    """Store running jobs' new log lines and progress, under the fence.

    Returns:
        Ids of those that somebody asked to stop.
    """
    tales = sorted(tales, key=lambda tale: tale.claim.id)
    for tale in tales:
        if tale.logs is not None or tale.progress is not None:
            values = {
                "job": tale.claim.id,
                "claim": tale.claim.claims,
                "teller": worker,
                "new_logs": tale.logs,
                "new_progress": tale.progress,
            }
            connection.execute(_tell(dialect), values)
    claims = {tale.claim.id: tale.claim.claims for tale in tales}
    rows = connection.execute(_asked(dialect), {"ids": dialect.id_list(list(claims))})
    return {row.id for row in rows if row.claims == claims[row.id]}


@cache
def _asked(dialect: Dialect) -> Select[Any]:
    asked = JOBS.c.cancel_requested_at.is_not(None)
    return select(JOBS.c.id, JOBS.c.claims).where(dialect.one_of(JOBS.c.id, "ids"), asked)


@cache
def _tell(dialect: Dialect) -> Update:
    logs, progress = (bindparam(name, type_=JOBS.c.logs.type) for name in ("new_logs", "new_progress"))
    return (
        update(JOBS)
        .where(
            JOBS.c.id == bindparam("job"),
            JOBS.c.claims == bindparam("claim"),
            JOBS.c.status == "running",
            JOBS.c.worker_id == bindparam("teller"),
        )
        .values(**kept(dialect, None, logs, progress))
    )
