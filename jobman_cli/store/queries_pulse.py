"""Cheap reads that differ when a page would: asked for once a second while somebody looks.

None of them walks a table: each takes both ends of an index, or counts up to ``FAR``. What they give has no
meaning but whether it is the same as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, Table, cast, func, literal_column, select

from jobman_cli.core.states import Status
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.queries import database_now
from jobman_cli.store.tables import (
    ALERTS,
    AUDIT,
    FAILED_JOBS,
    JOBS,
    METRICS,
    MONITORED_TAGS,
    QUEUES,
    RECONCILIATIONS,
    SCHEDULE_ENTRIES,
    SCHEDULE_FIRES,
    SUPERVISORS,
    WORKERS,
)

#: Counting stops here, and so many rows of what is short (running jobs, processes) are looked at.
FAR = 500
#: Seconds of metrics that are summed up.
RECENT = 150.0

Pulse = Callable[[Connection, Dialect, float], object]


def read_pulses(
    connection: Connection, dialect: Dialect, parts: Sequence[str], lease: float
) -> dict[str, object]:
    """What some parts of the database are like now.

    Args:
        parts: Names of ``PULSES``.
        lease: Seconds for which a sign of life is believed.
    """
    return {part: PULSES[part](connection, dialect, lease) for part in parts}


def read_job_pulses(
    connection: Connection, dialect: Dialect, ids: Sequence[int]
) -> dict[int, tuple[object, ...]]:
    """What some jobs are like now; the state comes first. Ids without a row are left out."""
    columns = (
        JOBS.c.id,
        JOBS.c.status,
        JOBS.c.claims,
        JOBS.c.attempts,
        JOBS.c.queued_at,
        JOBS.c.cancel_requested_at,
        func.length(JOBS.c.logs),
        cast(JOBS.c.progress, String(200)),
    )
    rows = connection.execute(select(*columns).where(JOBS.c.id.in_(ids)))
    return {row.id: tuple(row)[1:] for row in rows}


def _jobs(connection: Connection, dialect: Dialect, lease: float) -> object:
    """The newest job; each state's ends and number; what runs."""
    found: list[object] = [_ends(connection, JOBS)]
    for status in Status:
        is_so = JOBS.c.status == literal_column(f"'{status.value}'")
        found.append((_ends(connection, JOBS, is_so), _number(connection, JOBS.c.id, is_so)))
    running = JOBS.c.status == literal_column("'running'")
    columns = (JOBS.c.id, JOBS.c.claims, cast(JOBS.c.progress, String(200)))
    found.append(_rows(connection, columns, running, order=JOBS.c.id))
    return found


def _failed(connection: Connection, dialect: Dialect, lease: float) -> object:
    return _ends(connection, FAILED_JOBS), _number(connection, FAILED_JOBS.c.id)


def _metrics(connection: Connection, dialect: Dialect, lease: float) -> object:
    """All that ended in the last minutes: it changes with each attempt that is counted."""
    since = database_now(connection, dialect) - timedelta(seconds=RECENT)
    sums = [func.sum(METRICS.c[name]) for name in ("completed", "failed_attempts", "failed_jobs")]
    query = select(func.max(METRICS.c.at), *sums).where(METRICS.c.span == 60, METRICS.c.at >= since)
    return tuple(connection.execute(query).one())


def _processes(connection: Connection, dialect: Dialect, lease: float) -> object:
    """Supervisors and workers: their states, and whether they are believed to live."""
    oldest = database_now(connection, dialect) - timedelta(seconds=lease)
    states = (SUPERVISORS.c.uuid, SUPERVISORS.c.state, SUPERVISORS.c.command)
    pools = cast(SUPERVISORS.c.pools, String(200))
    heard = SUPERVISORS.c.heartbeat_at > oldest
    there = SUPERVISORS.c.state.in_(("running", "paused", "stopping", "lost"))
    supervisors = _rows(connection, (*states, pools, heard), there, order=SUPERVISORS.c.uuid)
    alive = (WORKERS.c.state == "running", WORKERS.c.heartbeat_at > oldest)
    return supervisors, _rows(connection, (WORKERS.c.uuid, WORKERS.c.command), *alive, order=WORKERS.c.uuid)


def _pauses(connection: Connection, dialect: Dialect, lease: float) -> object:
    return _rows(connection, tuple(QUEUES.c), order=QUEUES.c.name)


def _alerts(connection: Connection, dialect: Dialect, lease: float) -> object:
    columns = (ALERTS.c.key, ALERTS.c.state, ALERTS.c.raised_at)
    return _rows(connection, columns, ALERTS.c.state.in_(("new", "open")), order=ALERTS.c.key)


def _schedule(connection: Connection, dialect: Dialect, lease: float) -> object:
    entries = (SCHEDULE_ENTRIES.c.name, SCHEDULE_ENTRIES.c.settled_until, SCHEDULE_ENTRIES.c.paused_at)
    fires = (SCHEDULE_FIRES.c.id, SCHEDULE_FIRES.c.outcome, SCHEDULE_FIRES.c.claims)
    newest = select(*fires).order_by(SCHEDULE_FIRES.c.id.desc()).limit(FAR)
    return (
        _rows(connection, entries, order=SCHEDULE_ENTRIES.c.name),
        [tuple(row) for row in connection.execute(newest)],
    )


def _tags(connection: Connection, dialect: Dialect, lease: float) -> object:
    return _rows(connection, (MONITORED_TAGS.c.tag,), order=MONITORED_TAGS.c.tag)


def _reconciliations(connection: Connection, dialect: Dialect, lease: float) -> object:
    return _ends(connection, RECONCILIATIONS)


def _audit(connection: Connection, dialect: Dialect, lease: float) -> object:
    return _ends(connection, AUDIT)


def _ends(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> object:
    """The lowest and the highest id: two looks into an index."""
    return tuple(
        connection.execute(select(table.c.id).where(*conditions).order_by(order).limit(1)).scalar()
        for order in (table.c.id, table.c.id.desc())
    )


def _number(connection: Connection, column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> int:
    some = select(column).where(*conditions).limit(FAR).subquery()
    number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return number


def _rows(
    connection: Connection,
    columns: Sequence[ColumnElement[Any]],
    *conditions: ColumnElement[bool],
    order: ColumnElement[Any],
) -> object:
    query = select(*columns).where(*conditions).order_by(order).limit(FAR)
    return [tuple(row) for row in connection.execute(query)]


#: What can be asked for.
PULSES: Mapping[str, Pulse] = {
    "jobs": _jobs,
    "failed": _failed,
    "metrics": _metrics,
    "processes": _processes,
    "pauses": _pauses,
    "alerts": _alerts,
    "schedule": _schedule,
    "tags": _tags,
    "reconciliations": _reconciliations,
    "audit": _audit,
}
