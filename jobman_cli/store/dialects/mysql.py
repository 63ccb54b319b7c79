"""MySQL ≥ 8 and MariaDB ≥ 10.6, through PyMySQL.

No ``UPDATE … RETURNING`` in either, so a claim is SELECT … FOR UPDATE SKIP LOCKED, then UPDATE.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Select,
    Subquery,
    Table,
    bindparam,
    column,
    event,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DBAPIError

from jobman_cli.store.dialects.base import Dialect, Kind
from jobman_cli.store.dialects.pooled import replace_ended

_TYPES = {Kind.INTEGER: "BIGINT", Kind.NUMBER: "DOUBLE", Kind.TEXT: "LONGTEXT", Kind.TIME: "DECIMAL(20,6)"}
_DEADLOCK, _LOCK_WAIT = 1213, 1205


class MySQL(Dialect):
    """Clock: ``UTC_TIMESTAMP(6)``. Isolation READ COMMITTED, so that scans do not lock gaps."""

    name = "mysql"
    update_returning = False
    unfinished_key = "unfinished_key"

    def engine_options(self, url: URL, lease: float) -> dict[str, Any]:
        """Timeouts, and no gap locks."""
        return {
            "isolation_level": "READ COMMITTED",
            "pool_recycle": 1800,
            "connect_args": {"connect_timeout": 5, "charset": "utf8mb4"},
        }

    def prepare(self, engine: Engine, lease: float) -> None:
        """MariaDB can end a transaction whose client is frozen; MySQL cannot."""
        replace_ended(engine, _waits)

        @event.listens_for(engine, "connect")
        def settle(dbapi: Any, _record: Any) -> None:
            # SQLAlchemy has asked the server by now; at `first_connect` it has not.
            self.insert_returning = bool(getattr(engine.dialect, "insert_returning", False))
            with dbapi.cursor() as cursor:
                cursor.execute("SET SESSION time_zone = '+00:00'")
                # Beyond this, GROUP_CONCAT cuts what it has, with no more than a warning.
                cursor.execute("SET SESSION group_concat_max_len = 4294967295")
                if self.impatient:
                    cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
                if "mariadb" in str(dbapi.get_server_info()).lower():
                    cursor.execute(f"SET SESSION idle_transaction_timeout = {max(1, round(lease))}")

    def cut(self, driver_connection: Any) -> None:
        """Shut its socket down."""
        if (end := getattr(driver_connection, "_sock", None)) is not None:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def now(self) -> ColumnElement[Any]:
        """UTC with microseconds."""
        return func.utc_timestamp(literal_column("6"))

    def now_ms(self) -> ColumnElement[Any]:
        """Milliseconds since 1970."""
        return literal_column("(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)")

    def lease_clock(self) -> ColumnElement[Any]:
        """The server's clock."""
        return literal_column("(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000)")

    def later(self, seconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """Now and so many seconds, to the microsecond."""
        return func.timestampadd(literal_column("MICROSECOND"), func.round(seconds * 1000000), self.now())

    def rows(self, name: str, **columns: Kind) -> Subquery:
        """``JSON_TABLE``."""
        fields = ", ".join(f"{key} {_TYPES[kind]} PATH '$.{key}'" for key, kind in columns.items())
        values = ", ".join(
            f"FROM_UNIXTIME({key}) AS {key}" if kind is Kind.TIME else key for key, kind in columns.items()
        )
        sql = (
            f"SELECT {values}, position FROM "  # noqa: S608 - names from this package only
            f"JSON_TABLE(:{name}, '$[*]' COLUMNS (position FOR ORDINALITY, {fields})) AS r"
        )
        return text(sql).columns(*map(column, columns), column("position")).subquery(name)

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """IN with as many parameters as ids."""
        return column.in_(bindparam(name, expanding=True))

    def id_list(self, ids: list[int]) -> Any:
        """As it is."""
        return ids

    def seconds(self, moment: ColumnElement[Any]) -> ColumnElement[Any]:
        """``TIMESTAMPDIFF``."""
        return func.timestampdiff(literal_column("SECOND"), literal_column("'1970-01-01'"), moment)

    def documents(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Text, put together; `prepare` has said that it may be long."""
        return func.concat("[", func.group_concat(column), "]")

    def has_item(self, column: ColumnElement[Any], item: str) -> ColumnElement[bool]:
        """``JSON_CONTAINS``."""
        return func.json_contains(column, func.json_quote(item)) == 1

    def is_deadlock(self, error: DBAPIError) -> bool:
        """A deadlock, or a lock not had within the server's patience."""
        return getattr(error.orig, "args", (None,))[:1] in ((_DEADLOCK,), (_LOCK_WAIT,))

    def insert_or_not(self, table: Table, columns: list[str], rows: Select[Any]) -> Insert:
        """An update that changes nothing: IGNORE would also let pass what is no conflict."""
        made: Insert = insert(table).from_select(columns, rows).on_duplicate_key_update(id=table.c.id)
        return made

    def as_committed(self, query: Select[Any]) -> Select[Any]:
        """A locking read: REPEATABLE READ, the application's own default, would show an older state."""
        return query.with_for_update(read=True)

    def lock_schema(self, connection: Connection) -> None:
        """A named lock of the connection; DDL commits, so a transaction's lock would not last."""
        connection.execute(text("SELECT GET_LOCK('jobman_schema', 60)"))


def _waits(dbapi: Any) -> int:
    """PyMySQL's socket."""
    return dbapi._sock.fileno() if dbapi.open else -1
