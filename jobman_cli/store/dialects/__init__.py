"""What the databases do differently, and nothing else.

A ``Dialect`` gives the pieces of SQL from which the statements in ``lifecycle`` are built: the
database's clock, a batch of rows that travels as one JSON document, a list of ids as one parameter.
"""

from __future__ import annotations

from jobman_cli.errors import ConfigurationError
from jobman_cli.store.dialects.base import Batch, Dialect, Kind
from jobman_cli.store.dialects.mysql import MySQL
from jobman_cli.store.dialects.postgresql import PostgreSQL
from jobman_cli.store.dialects.sqlite import SQLite

__all__ = ["Batch", "Dialect", "Kind", "MySQL", "PostgreSQL", "SQLite", "dialect_for"]

_DIALECTS: dict[str, type[Dialect]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MySQL,
    "mariadb": MySQL,
}


def dialect_for(backend: str) -> Dialect:
    """The dialect of a URL's backend name, such as ``postgresql``.

    Raises:
        ConfigurationError: for a database that Jobman does not know.
    """
    try:
        return _DIALECTS[backend]()
    except KeyError:
        raise ConfigurationError(
            f"database: {backend!r} is not supported",
            hint="Use sqlite:///…, postgresql+psycopg://… or mysql+pymysql://….",
        ) from None
