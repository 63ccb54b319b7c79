"""The tables' version: is it ours, and how it becomes ours (Alembic).

A SQLite file is made ready on first use. Other databases change only by `jobman db upgrade`, because
there somebody decides when.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, inspect, text

from jobman_cli.errors import SchemaError
from jobman_cli.store.database import Database

VERSION_TABLE = "jobman_alembic_version"

#: Every revision, oldest first; the last is the one this code needs. A test compares it with the folder.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
HEAD = REVISIONS[-1]


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What was found, and what is needed.

    Attributes:
        current: The database's revision; None when there are no tables.
        head: The revision that this code needs.
    """

    current: str | None
    head: str = HEAD

    @property
    def fits(self) -> bool:
        """True when the code may use the tables."""
        return self.current == self.head

    @property
    def newer(self) -> bool:
        """True when the tables were made by a later Jobman."""
        return self.current is not None and self.current not in REVISIONS


def check_schema(database: Database) -> SchemaState:
    """Read the tables' version.

    Raises:
        StoreUnavailable: when the database is away.
    """
    with database.reading() as connection:
        return SchemaState(_current(connection))


def require_schema(database: Database) -> None:
    """Make sure that the tables fit; a new SQLite file is given them.

    Raises:
        SchemaError: when they do not fit.
        StoreUnavailable: when the database is away.
    """
    state = check_schema(database)
    if state.fits:
        return
    if state.newer:
        raise SchemaError(
            f"the database's tables are at revision {state.current}; this Jobman knows up to {state.head}",
            hint="Upgrade jobman-cli on this host.",
        )
    if state.current is None and database.dialect.name == "sqlite":
        upgrade(database)
        return
    if state.current is None:
        raise SchemaError("the database has no Jobman tables yet")
    raise SchemaError(
        f"the database's tables are at revision {state.current}; this Jobman needs {state.head}"
    )


def upgrade(database: Database) -> SchemaState:
    """Bring the tables to this code's revision; one process does it while others wait.

    Returns:
        The state before.

    Raises:
        SchemaError: when the tables are newer than this code.
        StoreUnavailable: when the database is away.
    """
    from alembic import command
    from alembic.config import Config

    # A connection that ends afterwards: MySQL's lock lasts as long as its connection, in a pool for ever.
    with database.without_pool().transaction() as connection:
        database.dialect.lock_schema(connection)
        before = SchemaState(_current(connection))
        if before.newer:
            raise SchemaError(
                f"the database's tables are at revision {before.current}, which this Jobman does not know",
                hint="Upgrade jobman-cli on this host; there is no downgrade.",
            )
        if not before.fits:
            config = Config()
            config.set_main_option("script_location", "jobman_cli:store/migrations")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).first()  # noqa: S608 - a constant
    return None if row is None else str(row[0])
