"""What becomes of an alert's row. Every step is a compare-and-set: of any number of processes one takes it.

A trouble's way: ``new`` (noticed, not told yet) → ``open`` (its beginning was told) → ``over`` (it ended,
which is not told yet) → ``closed``. One that ends before it was told is never told; one that comes back
before its end was told goes on. The row stays, for the next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Double, and_, case, func, literal, or_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import ALERTS, FAILED_JOBS, JOBS, WORKERS, Alert


class AlertState(StrEnum):
    """How far a trouble is, and what of it was told."""

    NEW = "new"
    OPEN = "open"
    OVER = "over"
    CLOSED = "closed"


def raise_one(
    connection: Connection,
    dialect: Dialect,
    kind: str,
    key: str,
    message: str,
    details: Mapping[str, Any],
    lasts: float | None,
) -> None:
    """Say that a trouble is there: it begins, or goes on.

    Args:
        lasts: Seconds after which it counts as over unless it is noticed again; None: until ``clear_one``.
    """
    expires = None if lasts is None else dialect.later(literal(lasts, Double))
    seen = {"message": message, "details": details, "expires_at": expires}
    mine = ALERTS.c.key == key
    closed = ALERTS.c.state == AlertState.CLOSED
    begins = {"state": AlertState.NEW, "count": 1, "raised_at": dialect.now(), "cleared_at": None}
    if connection.execute(update(ALERTS).where(mine, closed).values(**begins, **seen)).rowcount:
        return
    goes_on = {
        # It came back before its end was told: then nothing is.
        "state": case((ALERTS.c.state == AlertState.OVER, AlertState.OPEN.value), else_=ALERTS.c.state),
        "count": ALERTS.c.count + 1,
        "cleared_at": None,
    }
    if connection.execute(update(ALERTS).where(mine, ~closed).values(**goes_on, **seen)).rowcount:
        return
    connection.execute(_insert_or_ignore(dialect, {"key": key, "kind": kind, **begins, **seen}))


def clear_one(connection: Connection, dialect: Dialect, key: str) -> bool:
    """Say that a trouble is over.

    Returns:
        False when there was none.
    """
    return bool(_clear(connection, dialect, ALERTS.c.key == key))


def clear_expired(connection: Connection, dialect: Dialect) -> int:
    """End the troubles that nobody has noticed for as long as they last."""
    return _clear(connection, dialect, ALERTS.c.expires_at < dialect.now())


def untold(connection: Connection, dialect: Dialect, limit: int) -> list[Alert]:
    """Alerts of which something is to be told, the oldest first."""
    some = ALERTS.c.state.in_((AlertState.NEW, AlertState.OVER))
    query = select(ALERTS).where(some).order_by(ALERTS.c.raised_at).limit(limit)
    return [Alert(**row) for row in connection.execute(query).mappings()]


def told_lately(connection: Connection, dialect: Dialect, kind: str, seconds: float) -> int:
    """How many alerts of a kind were told in the last so many seconds."""
    lately = ALERTS.c.last_told_at > dialect.later(literal(-seconds, Double))
    query = select(func.count()).select_from(ALERTS).where(ALERTS.c.kind == kind, lately)
    return connection.execute(query).scalar_one()


def take_to_tell(connection: Connection, dialect: Dialect, key: str, state: str) -> bool:
    """Take the telling of a beginning (``new``) or an end (``over``) upon oneself.

    Returns:
        False when somebody else has taken it.
    """
    told = AlertState.OPEN if state == AlertState.NEW else AlertState.CLOSED
    mine = and_(ALERTS.c.key == key, ALERTS.c.state == state)
    values = {"state": told, "last_told_at": dialect.now()}
    return connection.execute(update(ALERTS).where(mine).values(**values)).rowcount == 1


def find_mark(connection: Connection, dialect: Dialect, key: str) -> datetime | None:
    """Up to when the events of a kind have been told; None the first time, from when on they are."""
    mark: datetime | None = connection.execute(select(ALERTS.c.marked_at).where(ALERTS.c.key == key)).scalar()
    if mark is None:
        first = {
            "kind": key,
            "state": AlertState.CLOSED,
            "message": "",
            "count": 0,
            "raised_at": dialect.now(),
        }
        connection.execute(_insert_or_ignore(dialect, {"key": key, "marked_at": dialect.now(), **first}))
    return mark


def take_events(
    connection: Connection,
    dialect: Dialect,
    key: str,
    marks: tuple[datetime, datetime],
    every: float,
    number: int,
    message: str,
    details: Mapping[str, Any],
) -> bool:
    """Take the telling of some events upon oneself.

    Args:
        marks: Up to when events had been told, and up to when they are now.
        every: Seconds for which nothing more of the kind is told.
        number: Of events.

    Returns:
        False when somebody else has taken it, or the kind was told lately.
    """
    rested = or_(
        ALERTS.c.last_told_at.is_(None), ALERTS.c.last_told_at < dialect.later(literal(-every, Double))
    )
    values = {"marked_at": marks[1], "count": number, "message": message, "details": details}
    now = {"raised_at": dialect.now(), "last_told_at": dialect.now(), "cleared_at": dialect.now()}
    mine = (ALERTS.c.key == key, ALERTS.c.marked_at == marks[0], rested)
    return connection.execute(update(ALERTS).where(*mine).values(**values, **now)).rowcount == 1


def failures_between(
    connection: Connection, dialect: Dialect, after: datetime, upto: datetime, limit: int
) -> list[tuple[int, str, str | None]]:
    """Jobs that failed in a time: id, type and the last error's message; the newest first."""
    query = (
        select(JOBS.c.id, JOBS.c.type, JOBS.c.error_message)
        .join(FAILED_JOBS, FAILED_JOBS.c.jobman_id == JOBS.c.id)
        .where(FAILED_JOBS.c.failed_at > after, FAILED_JOBS.c.failed_at <= upto)
        .order_by(FAILED_JOBS.c.failed_at.desc())
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def lost_between(
    connection: Connection, dialect: Dialect, after: datetime, upto: datetime, limit: int
) -> list[tuple[str, str, int]]:
    """Workers that were given up in a time: uuid, host and pid; the newest first."""
    query = (
        select(WORKERS.c.uuid, WORKERS.c.host, WORKERS.c.pid)
        .where(WORKERS.c.state == "lost", WORKERS.c.stopped_at > after, WORKERS.c.stopped_at <= upto)
        .order_by(WORKERS.c.stopped_at.desc())
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def _clear(connection: Connection, dialect: Dialect, which: Any) -> int:
    state = case(
        (ALERTS.c.state == AlertState.NEW, AlertState.CLOSED.value), else_=AlertState.OVER.value
    )  # one that was not told needs no end
    goes_on = ALERTS.c.state.in_((AlertState.NEW, AlertState.OPEN))
    values = {"state": state, "cleared_at": dialect.now()}
    return connection.execute(update(ALERTS).where(which, goes_on).values(**values)).rowcount


def _insert_or_ignore(dialect: Dialect, values: Mapping[str, Any]) -> Any:
    if dialect.name == "mysql":
        return mysql.insert(ALERTS).prefix_with("IGNORE").values(**values)
    kind: Any = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    return kind(ALERTS).values(**values).on_conflict_do_nothing()
