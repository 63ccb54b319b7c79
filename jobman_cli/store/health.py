"""What a doctor asks of a database. Every count is bounded, so a million rows cost no more than thousands."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Double, Select, exists, func, literal, select, text

from jobman_cli.core.states import FINAL, Status
from jobman_cli.store.database import Database
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.dialects.sqlite import NETWORK, file_system
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.tables import DUE, JOBS, RUNNING, WORKERS

#: Counting stops here.
MANY = 10_000
#: The oldest versions that Jobman is made for.
LEAST = {"SQLite": (3, 35), "PostgreSQL": (14,), "MySQL": (8,), "MariaDB": (10, 6)}
_UNFINISHED = sorted(status.value for status in Status if status not in FINAL)


@dataclass(frozen=True, slots=True)
class Server:
    """A database server, or the SQLite library.

    Attributes:
        version: Its numbers, as many as it gives.
        supported: False when it is older than what Jobman is made for.
    """

    product: str
    version: tuple[int, ...]

    @property
    def supported(self) -> bool:
        """True when it is no older than what Jobman is made for."""
        return self.version >= LEAST[self.product]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """A SQLite file, or the one that is to be made.

    Attributes:
        mode: Its permission bits.
        writable: The file and its directory; of a missing file, the nearest directory that is there.
        network: The file system's kind, if it is one of a network.
        free: Bytes that are left on its disk.
    """

    path: Path
    exists: bool
    mode: int
    writable: bool
    network: str | None
    free: int


def ask_server(connection: Connection, dialect: Dialect) -> Server:
    """The server's product and version."""
    if dialect.name == "sqlite":
        return Server("SQLite", _numbers(connection.execute(text("SELECT sqlite_version()")).scalar_one()))
    if dialect.name == "postgresql":
        return Server("PostgreSQL", _numbers(connection.execute(text("SHOW server_version")).scalar_one()))
    said = str(connection.execute(text("SELECT VERSION()")).scalar_one())
    # MariaDB used to begin with 5.5.5- for the sake of old clients.
    product = "MariaDB" if "mariadb" in said.lower() else "MySQL"
    return Server(product, _numbers(said.removeprefix("5.5.5-")))


def _numbers(said: Any) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", str(said))
    return tuple(int(each) for each in found[0].split(".")) if found else (0,)


def look_at_file(database: Database) -> DatabaseFile | None:
    """What the file system says of a SQLite file; nothing is opened or made. None for other databases."""
    if database.dialect.name != "sqlite" or not database.url.database:
        return None
    path = Path(database.url.database)
    there = path.exists()
    directory = path.parent
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    asked = (path, directory) if there else (directory,)
    kind = file_system(directory)
    return DatabaseFile(
        path,
        there,
        stat.S_IMODE(path.stat().st_mode) if there else 0,
        all(os.access(each, os.W_OK) for each in asked),
        kind if kind in NETWORK else None,
        shutil.disk_usage(directory).free,
    )


def ping(connection: Connection, dialect: Dialect) -> None:
    """A round trip."""
    connection.execute(text("SELECT 1")).scalar_one()


def sample_queued(connection: Connection, dialect: Dialect, underway: float, limit: int) -> list[InLine]:
    """Rows that have been ``queued`` for more than ``underway`` seconds: the first ones and the last ones."""
    query = select(JOBS.c.id, JOBS.c.queue, JOBS.c.rank).where(
        JOBS.c.status == "queued", JOBS.c.queued_at < dialect.later(literal(-underway, Double))
    )
    rows: dict[int, InLine] = {}
    for order in (JOBS.c.id, JOBS.c.id.desc()):
        found = connection.execute(query.order_by(order).limit(limit)).all()
        rows |= {row.id: InLine(row.id, row.queue, row.rank) for row in found}
    return list(rows.values())


def without_row(connection: Connection, dialect: Dialect, ids: Sequence[int]) -> list[int]:
    """Those of some ids that no row has."""
    given = {"ids": dialect.id_list(list(ids))}
    known = set(
        connection.execute(select(JOBS.c.id).where(dialect.one_of(JOBS.c.id, "ids")), given).scalars()
    )
    return [each for each in ids if each not in known]


def count_deserted(connection: Connection, dialect: Dialect, lease: float) -> int:
    """Running jobs whose worker is gone: no row, ended, or silent for longer than its lease."""
    heard = WORKERS.c.heartbeat_at > dialect.later(literal(-lease, Double))
    alive = exists().where(WORKERS.c.uuid == JOBS.c.worker_id, WORKERS.c.state == "running", heard)
    return _count(connection, select(JOBS.c.id).where(text(RUNNING), ~alive))


def count_pending(connection: Connection, dialect: Dialect, seconds: float) -> int:
    """Jobs that have been ``pending`` for longer."""
    old = JOBS.c.queued_at < dialect.later(literal(-seconds, Double))
    return _count(connection, select(JOBS.c.id).where(JOBS.c.status == "pending", old))


def count_overdue(connection: Connection, dialect: Dialect, seconds: float) -> int:
    """Scheduled jobs that have been due for longer."""
    due = JOBS.c.available_at < dialect.later(literal(-seconds, Double))
    return _count(connection, select(JOBS.c.id).where(text(DUE), due))


def count_finished_before(connection: Connection, dialect: Dialect, days: float) -> int:
    """Finished jobs made longer ago."""
    old = JOBS.c.created_at < dialect.later(literal(-days * 86400.0, Double))
    # Said by what it is not: the walk is to follow the index on created_at, not the one on status.
    return _count(connection, select(JOBS.c.id).where(old, JOBS.c.status.not_in(_UNFINISHED)))


def _count(connection: Connection, query: Select[Any]) -> int:
    """How many, up to ``MANY`` + 1."""
    first = query.limit(MANY + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(first)).scalar_one())
