"""The schedule's rows: how far each entry has come, and each time that it fired.

UNIQUE(name, fire_at) is what fires a time once. The lock on the entry's row only keeps two processes from
doing the same work at the same moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    Insert,
    Table,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import SCHEDULE_ENTRIES, SCHEDULE_FIRES

_ENTRY, _FIRE = SCHEDULE_ENTRIES.c, SCHEDULE_FIRES.c

#: Rows that one statement deletes.
BATCH = 1000


class FireOutcome(StrEnum):
    """What came of a time."""

    #: The job's row was written; how it went stands there.
    DISPATCHED = "dispatched"
    #: An operation that nobody has begun, that somebody runs, and its ends.
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    #: The operation's earlier time had not ended.
    SKIPPED = "skipped"


_OPEN = (FireOutcome.WAITING.value, FireOutcome.RUNNING.value)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an entry has come.

    Attributes:
        settled_until: Every time up to here is settled.
        times: Those in force: of the configuration that was adopted last.
    """

    settled_until: datetime
    paused: bool
    times: str


@dataclass(frozen=True, slots=True)
class HeldFire:
    """An operation that ``holder`` may run, as long as its lease is renewed.

    Attributes:
        claims: How often it was begun, this time included.
    """

    id: int
    name: str
    fire_at: datetime
    claims: int
    holder: str


def adopt_entries(
    connection: Connection, dialect: Dialect, entries: Mapping[str, str], renew: bool = True
) -> dict[str, Mark]:
    """Make sure that entries are known. Nothing of the past of a new one, or of one with new times, is fired.

    Args:
        entries: Name to its times, as the configuration says them.
        renew: Put them in force where others are.

    Returns:
        How far each has come.
    """
    names = sorted(entries)
    query = select(SCHEDULE_ENTRIES).where(_ENTRY.name.in_(names))
    known = {row.name: row for row in connection.execute(query)}
    for name in names:
        values = {"times": entries[name], "settled_until": dialect.now()}
        if name not in known:
            connection.execute(_insert_new(dialect, SCHEDULE_ENTRIES).values(name=name, **values))
        elif renew and known[name].times != entries[name]:
            unchanged = (_ENTRY.name == name, _ENTRY.times == known[name].times)
            connection.execute(update(SCHEDULE_ENTRIES).where(*unchanged).values(**values))
    rows = connection.execute(query).all()
    return {row.name: read_mark(row) for row in rows}


def lock_entry(connection: Connection, dialect: Dialect, name: str) -> Mark | None:
    """How far an entry has come; None when somebody else is at it now, or it is not known."""
    query = select(SCHEDULE_ENTRIES).where(_ENTRY.name == name)
    row = connection.execute(query.with_for_update(skip_locked=True)).first()
    return None if row is None else read_mark(row)


def read_mark(row: Any) -> Mark:
    """A row of ``jobman_schedule_entries``."""
    return Mark(row.settled_until, row.paused_at is not None, row.times)


def settle(connection: Connection, dialect: Dialect, name: str, until: datetime) -> None:
    """Say that every time up to ``until`` is settled."""
    connection.execute(update(SCHEDULE_ENTRIES).where(_ENTRY.name == name).values(settled_until=until))


def pause_entry(connection: Connection, dialect: Dialect, name: str) -> bool:
    """Let an entry's times pass.

    Returns:
        False when it is paused already.
    """
    runs = (_ENTRY.name == name, _ENTRY.paused_at.is_(None))
    statement = update(SCHEDULE_ENTRIES).where(*runs).values(paused_at=dialect.now())
    return connection.execute(statement).rowcount == 1


def continue_entry(connection: Connection, dialect: Dialect, name: str) -> bool:
    """Fire an entry's times again, from now on.

    Returns:
        False when it is not paused.
    """
    paused = (_ENTRY.name == name, _ENTRY.paused_at.is_not(None))
    values = {"paused_at": None, "settled_until": dialect.now()}
    return connection.execute(update(SCHEDULE_ENTRIES).where(*paused).values(**values)).rowcount == 1


def record_fire(
    connection: Connection,
    dialect: Dialect,
    name: str,
    fire_at: datetime,
    outcome: FireOutcome,
    message: str | None = None,
) -> bool:
    """Take a time for this transaction.

    Returns:
        False when somebody else has it.
    """
    values: dict[str, Any] = {
        "name": name,
        "fire_at": fire_at,
        "outcome": outcome.value,
        "message": message,
        "claims": 0,
        "created_at": dialect.now(),
    }
    if outcome.value not in _OPEN:
        values |= {"started_at": dialect.now(), "finished_at": dialect.now()}
    statement = _insert_new(dialect, SCHEDULE_FIRES).values(**values)
    # SQLAlchemy asks for the new id as well, and forgets the number of rows unless it is told not to.
    counted = connection.execute(statement, execution_options={"preserve_rowcount": True})
    return counted.rowcount == 1


def name_job(connection: Connection, dialect: Dialect, name: str, fire_at: datetime, job_id: int) -> None:
    """Note which job a time dispatched."""
    this = (_FIRE.name == name, _FIRE.fire_at == fire_at)
    connection.execute(update(SCHEDULE_FIRES).where(*this).values(jobman_id=job_id))


def is_open(connection: Connection, dialect: Dialect, name: str) -> bool:
    """True while an operation of that name waits or runs."""
    query = select(_FIRE.id).where(_FIRE.name == name, _FIRE.outcome.in_(_OPEN)).limit(1)
    return connection.execute(query).first() is not None


def claim_fire(
    connection: Connection,
    dialect: Dialect,
    names: Sequence[str],
    holder: str,
    lease: float,
    fire_at: datetime | None = None,
) -> HeldFire | None:
    """Begin the oldest operation that waits, or whose holder has not renewed its lease.

    Args:
        names: Entries whose operations the caller can run.
        holder: A name that is never used twice.
        lease: Seconds.
        fire_at: Only the operation of that time.
    """
    abandoned = and_(_FIRE.outcome == FireOutcome.RUNNING.value, _FIRE.leased_until < dialect.now())
    free = or_(_FIRE.outcome == FireOutcome.WAITING.value, abandoned)
    query = select(_FIRE.id, _FIRE.name, _FIRE.fire_at, _FIRE.claims).where(free, _FIRE.name.in_(names))
    if fire_at is not None:
        query = query.where(_FIRE.fire_at == fire_at)
    row = connection.execute(query.order_by(_FIRE.id).limit(1).with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    values = {
        "outcome": FireOutcome.RUNNING.value,
        "holder": holder,
        "claims": row.claims + 1,
        "leased_until": dialect.later(literal(lease, Double)),
        "started_at": dialect.now(),
    }
    connection.execute(update(SCHEDULE_FIRES).where(_FIRE.id == row.id).values(**values))
    return HeldFire(row.id, row.name, row.fire_at, row.claims + 1, holder)


def renew_fire(connection: Connection, dialect: Dialect, fire: HeldFire, lease: float) -> bool:
    """Renew the lease.

    Returns:
        False when somebody else has taken the operation over.
    """
    values = {"leased_until": dialect.later(literal(lease, Double))}
    return connection.execute(update(SCHEDULE_FIRES).where(*_held(fire)).values(**values)).rowcount == 1


def finish_fire(
    connection: Connection, dialect: Dialect, fire: HeldFire, outcome: FireOutcome, message: str
) -> bool:
    """Record how an operation ended.

    Returns:
        False when somebody else has taken it over.
    """
    values = {
        "outcome": outcome.value,
        "message": message,
        "leased_until": None,
        "finished_at": dialect.now(),
    }
    return connection.execute(update(SCHEDULE_FIRES).where(*_held(fire)).values(**values)).rowcount == 1


def release_fire(connection: Connection, dialect: Dialect, fire: HeldFire) -> None:
    """Give an operation back unharmed: this beginning is not counted."""
    values = {
        "outcome": FireOutcome.WAITING.value,
        "holder": None,
        "leased_until": None,
        "started_at": None,
        "claims": fire.claims - 1,
    }
    connection.execute(update(SCHEDULE_FIRES).where(*_held(fire)).values(**values))


def tidy_fires(connection: Connection, dialect: Dialect, keep: float) -> int:
    """Delete a batch of fires that are older than ``keep`` seconds, but for the last of each entry.

    Returns:
        How many.
    """
    last = select(func.max(_FIRE.id)).group_by(_FIRE.name)
    newest = list(connection.execute(last).scalars())
    old = _FIRE.created_at < dialect.later(literal(-keep, Double))
    query = select(_FIRE.id).where(old, _FIRE.id.not_in(newest)).order_by(_FIRE.id).limit(BATCH)
    ids = list(connection.execute(query).scalars())
    if ids:
        connection.execute(delete(SCHEDULE_FIRES).where(_FIRE.id.in_(ids)))
    return len(ids)


def _held(fire: HeldFire) -> tuple[Any, ...]:
    running = _FIRE.outcome == FireOutcome.RUNNING.value
    return (_FIRE.id == fire.id, running, _FIRE.holder == fire.holder)


@cache
def _insert_new(dialect: Dialect, table: Table) -> Insert:
    """An INSERT that leaves a row alone which is there already."""
    if dialect.name == "mysql":
        return insert(table).prefix_with("IGNORE")
    given: Any = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    statement: Insert = given.on_conflict_do_nothing()
    return statement
