"""What people did on the dashboard, and what rounds of repair pushed: written down, read, tidied."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.lifecycle.journal import (
    list_audit,
    list_reconciliations,
    tidy_journals,
    write_audit,
    write_reconciliation,
)
from jobman_cli.store.queries import database_now
from jobman_cli.store.tables import Audit, Reconciliation

AnyParts = Records | Lines | Parts

#: Days for which it is kept.
KEEP = 180


def database_time(records: AnyParts) -> datetime:
    """The database's clock.

    Raises:
        StoreUnavailable: when the database is away.
    """
    return records.database.read(database_now)


def audit(
    records: AnyParts,
    *,
    actor: str,
    address: str,
    action: str,
    details: Mapping[str, Any],
    outcome: str = "done",
    number: int = 0,
    message: str | None = None,
) -> None:
    """Write down what somebody did.

    Args:
        details: What it was asked for, as JSON can hold it.
        outcome: ``done`` or ``refused``.
        number: How many rows it touched.
    """
    entry = {
        "actor": actor[:190],
        "address": address[:64],
        "action": action[:64],
        "details": dict(details),
        "outcome": outcome,
        "number": number,
        "message": message,
    }
    records.database.run(write_audit, entry)


def audits(records: AnyParts, before: int | None = None, limit: int = 50) -> list[Audit]:
    """A page of what was done, the newest first; only ids below ``before``."""
    return records.database.read(list_audit, before, limit)


def note_reconciliation(records: AnyParts, kind: str, pushed: int) -> None:
    """Write down that a round of repair pushed rows; nothing for one that found none."""
    if pushed:
        records.database.run(write_reconciliation, kind, socket.gethostname()[:255], pushed)


def reconciliations(records: AnyParts, limit: int = 20) -> list[Reconciliation]:
    """The last rounds of repair that pushed something, the newest first."""
    return records.database.read(list_reconciliations, limit)


def tidy_journal(records: AnyParts) -> int:
    """Forget what is older than ``KEEP`` days.

    Returns:
        How many rows.
    """
    return records.database.run(tidy_journals, KEEP * 86_400.0)
