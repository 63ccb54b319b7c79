"""What people did on the dashboard, and what rounds of repair pushed: written down, read, tidied."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from jobman_cli.errors import JobmanError
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

logger = logging.getLogger("jobman.journal")

#: Days for which it is kept.
KEEP = 180
#: Characters of a text, and entries of the details, that are kept of a request.
TEXT, DETAILS = 500, 50


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
        "actor": _bounded(actor, 190),
        "address": _bounded(address, 64),
        "action": _bounded(action, 64),
        "details": {
            _bounded(name, TEXT): _bounded(value, TEXT) if isinstance(value, str) else value
            for name, value in islice(details.items(), DETAILS)
        },
        "outcome": outcome,
        "number": number,
        "message": None if message is None else _bounded(message, 4 * TEXT),
    }
    records.database.run(write_audit, entry)


def _bounded(text: str, most: int) -> str:
    """No longer than that, and without the one character that some databases refuse."""
    return text[:most].replace("\x00", "\ufffd")


def audits(records: AnyParts, before: int | None = None, limit: int = 50) -> list[Audit]:
    """A page of what was done, the newest first; only ids below ``before``."""
    return records.database.read(list_audit, before, limit)


def note_reconciliation(records: AnyParts, kind: str, pushed: int) -> None:
    """Write down that a round of repair pushed rows; nothing for one that found none.

    It never fails: what was pushed is pushed, whether anybody reads of it or not.

    Args:
        kind: ``pending``, ``overtaken``, ``rebuild`` or ``by-hand``; see ``jobman_reconciliations``.
    """
    if not pushed:
        return
    try:
        records.database.run(write_reconciliation, kind, socket.gethostname()[:255], pushed)
    except JobmanError as error:
        logger.warning("a round that pushed %d row(s) is not written down: %s", pushed, error)


def reconciliations(records: AnyParts, limit: int = 20) -> list[Reconciliation]:
    """The last rounds of repair that pushed something, the newest first."""
    return records.database.read(list_reconciliations, limit)


def tidy_journal(records: AnyParts) -> int:
    """Forget what is older than ``KEEP`` days.

    Returns:
        How many rows.
    """
    return records.database.run(tidy_journals, KEEP * 86_400.0)
