"""What people and repair did, written down and tidied."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.queries import database_now
from jobman_cli.store.tables import AUDIT, RECONCILIATIONS, Audit, Reconciliation


def write_audit(connection: Connection, dialect: Dialect, entry: Mapping[str, Any]) -> None:
    """Write one action down; ``entry`` has the columns of ``jobman_audit`` but ``id`` and ``at``."""
    connection.execute(insert(AUDIT).values(at=dialect.now(), **entry))


def list_audit(connection: Connection, dialect: Dialect, before: int | None, limit: int) -> list[Audit]:
    """A page of actions, the newest first.

    Args:
        before: Only ids below this one.
    """
    query = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    query = query if before is None else query.where(AUDIT.c.id < before)
    return [Audit(**row) for row in connection.execute(query).mappings()]


def write_reconciliation(connection: Connection, dialect: Dialect, kind: str, host: str, pushed: int) -> None:
    """Write down that a round of repair pushed something."""
    values = {"kind": kind, "host": host, "pushed": pushed}
    connection.execute(insert(RECONCILIATIONS).values(at=dialect.now(), **values))


def list_reconciliations(connection: Connection, dialect: Dialect, limit: int) -> list[Reconciliation]:
    """The last rounds that pushed something, the newest first."""
    query = select(RECONCILIATIONS).order_by(RECONCILIATIONS.c.id.desc()).limit(limit)
    return [Reconciliation(**row) for row in connection.execute(query).mappings()]


def tidy_journals(connection: Connection, dialect: Dialect, seconds: float) -> int:
    """Delete what was written down more than so many seconds ago.

    Returns:
        How many rows.
    """
    oldest = database_now(connection, dialect) - timedelta(seconds=seconds)
    return sum(
        connection.execute(delete(table).where(table.c.at < oldest)).rowcount
        for table in (AUDIT, RECONCILIATIONS)
    )
