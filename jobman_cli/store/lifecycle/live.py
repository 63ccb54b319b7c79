"""What a running job says and is asked while it runs."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection, Update, bindparam, select, update

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import kept
from jobman_cli.store.tables import JOBS


def tell(
    connection: Connection,
    dialect: Dialect,
    worker: str,
    claim: Claim,
    logs: str | None,
    progress: str | None,
) -> bool:
    """Store a running job's new log lines and progress (JSON text), under the fence.

    Returns:
        True when somebody asked the job to stop.
    """
    if logs is not None or progress is not None:
        values = {
            "job": claim.id,
            "claim": claim.claims,
            "teller": worker,
            "new_logs": logs,
            "new_progress": progress,
        }
        connection.execute(_tell(dialect), values)
    asked = select(JOBS.c.cancel_requested_at).where(JOBS.c.id == claim.id, JOBS.c.claims == claim.claims)
    return connection.execute(asked).scalar() is not None


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
