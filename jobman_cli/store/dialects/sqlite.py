"""SQLite ≥ 3.35, one file, several processes of one host.

Every writing transaction begins IMMEDIATE: a deferred one that reads first and writes later fails with
"database is locked" whenever another process wrote in between. Durability is FULL: an acknowledged
dispatch has been synced to the disk.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Integer,
    Select,
    Subquery,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    column,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import dialect, insert

from jobman_cli.errors import ConfigurationError, StoreUnavailable
from jobman_cli.store.dialects.base import Batch, Dialect, Kind

#: Seconds to wait for another process's write.
BUSY = 5.0
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs", "lustre"}
READ_ONLY = "jobman_read"


class SQLite(Dialect):
    """Clock: the host's, through SQL functions of our own; one file has one host."""

    name = "sqlite"
    one_writer = True
    batch = Batch.ROWS
    ids_in_order = True  # one writer at a time locks the whole file
    # Its planner knows no numbers of rows, takes the index by state, and sorts all that wait for one queue.
    jobs_by_line = "jobmans INDEXED BY ix_jobmans_line"

    def engine_options(self, url: URL, lease: float) -> dict[str, Any]:
        """Make the directory and the file, readable by their owner only."""
        if sqlite3.sqlite_version_info < (3, 35):
            raise ConfigurationError(
                f"SQLite {sqlite3.sqlite_version} is too old: 3.35 is the least",
                hint="Use a newer Python build, or PostgreSQL.",
            )
        if url.database:
            _make_file(Path(url.database))
        return {"connect_args": {"timeout": BUSY, "check_same_thread": False, "cached_statements": 256}}

    def prepare(self, engine: Engine, lease: float) -> None:
        """Pragmas, functions, and BEGIN IMMEDIATE."""

        @event.listens_for(engine, "connect")
        def settle(dbapi: Any, _record: Any) -> None:
            dbapi.isolation_level = None  # the driver must not begin by itself
            for pragma in ("journal_mode = WAL", "synchronous = FULL", f"busy_timeout = {int(BUSY * 1000)}"):
                dbapi.execute(f"PRAGMA {pragma}").close()
            _give_clock(dbapi)

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            reading = connection.get_execution_options().get(READ_ONLY)
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    def adopt(self, connection: Connection) -> None:
        """Give it our clock."""
        _give_clock(connection.connection.driver_connection)

    def change_counter(self, connection: Connection) -> int | None:
        """``PRAGMA data_version``: some microseconds, and no lock."""
        driver: Any = connection.connection.driver_connection
        return int(driver.execute("PRAGMA data_version").fetchone()[0])

    def seconds(self, moment: ColumnElement[Any]) -> ColumnElement[Any]:
        """``strftime``."""
        return cast(func.strftime("%s", moment), Integer)

    def documents(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Text, put together."""
        return "[" + func.group_concat(cast(column, Text)) + "]"

    def has_item(self, column: ColumnElement[Any], item: str) -> ColumnElement[bool]:
        """A look through the list."""
        items = func.json_each(column).table_valued("value")
        return select(items.c.value).where(items.c.value == item).exists()

    def insert_or_not(self, table: Table, columns: list[str], rows: Select[Any]) -> Insert:
        """``ON CONFLICT DO NOTHING``."""
        return insert(table).from_select(columns, rows).on_conflict_do_nothing()

    def now(self) -> ColumnElement[Any]:
        """The host's clock."""
        return func.jobman_now()

    def now_ms(self) -> ColumnElement[Any]:
        """The host's clock in milliseconds."""
        return func.jobman_now_ms()

    def lease_clock(self) -> ColumnElement[Any]:
        """Seconds since the host's boot, sleep included: whoever sets the host's clock kills no worker.

        Workers of an earlier boot are dead whatever their lease says; the judge compares boot ids first.
        """
        return func.jobman_boottime()

    def later(self, seconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """The host's clock and so many seconds."""
        return func.jobman_later(seconds)

    def rows(self, name: str, **columns: Kind) -> Subquery:
        """``json_each``."""
        fields = {key: f"json_extract(value, '$.{key}')" for key in columns}
        values = ", ".join(
            f"jobman_time({fields[key]}) AS {key}" if kind is Kind.TIME else f"{fields[key]} AS {key}"
            for key, kind in columns.items()
        )
        sql = f"SELECT {values}, key AS position FROM json_each(:{name})"  # noqa: S608 - names from this package only
        return text(sql).columns(*map(column, columns), column("position")).subquery(name)

    def run_each(self, connection: Connection, statement: Update, rows: list[dict[str, Any]]) -> int:
        """``executemany`` by the driver: SQLAlchemy's own takes longer over each row than SQLite does."""
        return connection.exec_driver_sql(_driver_text(statement), rows).rowcount

    def moment(self, seconds: float) -> Any:
        """The text that the tables keep."""
        return stamp(seconds)

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """A subquery over a JSON list: one text, whatever the number of ids."""
        ids = func.json_each(bindparam(name)).table_valued("value")
        return column.in_(select(ids.c.value))

    def id_list(self, ids: list[int]) -> Any:
        """A JSON list."""
        return json.dumps(ids)


def stamp(seconds: float) -> str:
    """A time as the tables keep it, from seconds since 1970."""
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_second(whole)}.{rest:06d}"


@cache
def _driver_text(statement: Update) -> str:
    return str(statement.compile(dialect=dialect(paramstyle="named")))


@lru_cache(maxsize=16)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def _give_clock(dbapi: Any) -> None:
    # "Deterministic" lets a statement ask once for all of its rows; the next statement asks again.
    dbapi.create_function("jobman_now", 0, lambda: stamp(time.time()), deterministic=True)
    dbapi.create_function("jobman_now_ms", 0, lambda: int(time.time() * 1000), deterministic=True)
    dbapi.create_function("jobman_boottime", 0, lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    dbapi.create_function("jobman_time", 1, lambda seconds: None if seconds is None else stamp(seconds))
    dbapi.create_function("jobman_later", 1, lambda seconds: stamp(time.time() + seconds))


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if (kind := file_system(path.parent)) in NETWORK:
            raise ConfigurationError(
                f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold",
                hint="Put the file on a local disk, or use PostgreSQL.",
            )
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"the database file {path} cannot be made: {error.strerror}",
            hint="Make its directory writable, or name another file under `database:`.",
        ) from error


def file_system(directory: Path) -> str | None:
    """The type of the file system that holds ``directory``, from the kernel's list of mounts."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real = str(directory.resolve())
    best, kind = "", None
    for line in mounts:
        left, _, right = line.partition(" - ")
        point = left.split()[4]
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind
