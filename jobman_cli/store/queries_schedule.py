"""Reads about the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.schedules import Mark, read_mark
from jobman_cli.store.tables import JOBS, SCHEDULE_ENTRIES, SCHEDULE_FIRES


class LastFire(NamedTuple):
    """The last time of an entry that came to something.

    Attributes:
        job_status: The state of the job that was dispatched; None without one, or when it was pruned.
    """

    name: str
    fire_at: datetime
    outcome: str
    message: str | None
    jobman_id: int | None
    started_at: datetime | None
    finished_at: datetime | None
    job_status: str | None


def entry_marks(connection: Connection, dialect: Dialect, names: Sequence[str]) -> dict[str, Mark]:
    """How far the entries that are known have come, by name."""
    name = SCHEDULE_ENTRIES.c.name
    rows = connection.execute(select(SCHEDULE_ENTRIES).where(name.in_(names)).order_by(name))
    return {row.name: read_mark(row) for row in rows}


def last_fires(connection: Connection, dialect: Dialect, names: Sequence[str]) -> dict[str, LastFire]:
    """The last time of each entry that has one."""
    fires = SCHEDULE_FIRES.c
    columns = [fires[name] for name in LastFire._fields if name != "job_status"]
    query = (
        select(*columns, JOBS.c.status)
        .outerjoin(JOBS, JOBS.c.id == fires.jobman_id)
        .order_by(fires.fire_at.desc())
        .limit(1)
    )
    found = {}
    for name in names:
        row = connection.execute(query.where(fires.name == name)).first()
        if row is not None:
            found[name] = LastFire(*tuple(row))
    return found
