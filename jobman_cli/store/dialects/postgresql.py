"""PostgreSQL ≥ 14, through psycopg 3."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Insert,
    Select,
    Subquery,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    event,
    extract,
    func,
    literal_column,
    text,
)
from sqlalchemy import Dialect as SQLDialect
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.exc import DBAPIError

from jobman_cli.store.dialects.base import OWN, Batch, Dialect, Kind
from jobman_cli.store.dialects.pooled import replace_ended

_TYPES = {
    Kind.INTEGER: "bigint",
    Kind.NUMBER: "double precision",
    Kind.TEXT: "text",
    Kind.TIME: "double precision",
}
_IDLE = 0  # libpq's PQTRANS_IDLE
#: Characters of a text that an idle connection may hold on to.
SHORT = 2**10
#: Ways to find rows that a worker's statements have no need of.
_BY_INDEX = [
    f"set_config('enable_{way}', 'off', false)" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
]


class PostgreSQL(Dialect):
    """Clock: ``clock_timestamp()``, which moves within a transaction. JSON is JSONB."""

    name = "postgresql"
    batch = Batch.COLUMNS
    ids_in_order = True  # see `settle_link`
    commits_alone = True

    def engine_options(self, url: URL, lease: float) -> dict[str, Any]:
        """A process stopped inside a transaction blocks the others' rescue no longer than a lease."""
        millis = int(lease * 1000)
        arguments = {
            "connect_timeout": 5,
            "tcp_user_timeout": millis,
            # A peer that is gone without a word is noticed while an answer is awaited, too.
            "keepalives_idle": max(1, round(lease / 3)),
            "keepalives_interval": max(1, round(lease / 6)),
            "keepalives_count": 3,
            "application_name": "jobman",
            "options": f"-c idle_in_transaction_session_timeout={millis}",
        }
        given = set(url.query)
        return {
            "connect_args": {key: value for key, value in arguments.items() if key not in given},
            "skip_autocommit_rollback": True,
        }

    def prepare(self, engine: Engine, lease: float) -> None:
        """An impatient process gives up on a lock: somebody may be frozen with it."""
        replace_ended(engine, _waits)

        @event.listens_for(engine, "connect")
        def settle(dbapi: Any, _record: Any) -> None:
            if self.impatient:
                dbapi.execute("SET lock_timeout = '1s'")
                dbapi.commit()

    def settle_link(self, connection: Connection) -> None:
        """Row after row by an index, whatever the statistics say.

        It also makes multi-row statements lock in id order, as a list of ids is looked up in the primary key
        in its order. Only in a table with a few rows another index may serve: see ``forget_plans``. Whoever
        becomes the victim of a deadlock then sends again.
        """
        connection.execute(text(f"SELECT {', '.join(_BY_INDEX)}"))

    def forget_plans(self, connection: Connection) -> None:
        """The server keeps a plan that was made for an almost empty table until somebody analyses it.

        In such a table a walk along a whole index, any one, is as short as the way by the primary key. In one
        that has grown since it is not.
        """
        connection.exec_driver_sql("DISCARD PLANS")

    def cut(self, driver_connection: Any) -> None:
        """Shut its socket down."""
        with suppress(Exception):  # it may be closed already
            end = socket.socket(fileno=os.dup(driver_connection.fileno()))
            with end:
                end.shutdown(socket.SHUT_RDWR)

    def now(self) -> ColumnElement[Any]:
        """The statement's own time, not the transaction's."""
        return func.clock_timestamp()

    def now_ms(self) -> ColumnElement[Any]:
        """Milliseconds since 1970."""
        return literal_column("CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)")

    def lease_clock(self) -> ColumnElement[Any]:
        """The server's clock."""
        return literal_column("CAST(extract(epoch FROM clock_timestamp()) AS double precision)")

    def later(self, seconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """Now and so many seconds."""
        return func.clock_timestamp() + seconds * literal_column("interval '1 second'")

    def rows(self, name: str, **columns: Kind) -> Subquery:
        """``jsonb_to_recordset``."""
        fields = ", ".join(f"{key} {_TYPES[kind]}" for key, kind in columns.items())
        values = ", ".join(
            f"to_timestamp({key}) AS {key}" if kind is Kind.TIME else key for key, kind in columns.items()
        )
        # ROWS FROM … WITH ORDINALITY keeps the document's order.
        sql = (
            f"SELECT {values}, position FROM ROWS FROM "  # noqa: S608 - names from this package only
            f"(jsonb_to_recordset(CAST(:{name} AS jsonb)) AS ({fields})) WITH ORDINALITY "
            f"AS r({', '.join(columns)}, position)"
        )
        return text(sql).columns(*map(column, columns), column("position")).subquery(name)

    def columns(self, name: str, **columns: Kind) -> Subquery:
        """``unnest``, of arrays that travel as text: the driver need not look at their items one by one."""
        values = ", ".join(
            f"to_timestamp({key}) AS {key}" if kind is Kind.TIME else key for key, kind in columns.items()
        )
        arrays = ", ".join(f"CAST(:{name}_{key} AS {_TYPES[kind]}[])" for key, kind in columns.items())
        sql = f"SELECT {values} FROM unnest({arrays}) AS r({', '.join(columns)})"  # noqa: S608 - names from this package only
        return text(sql).columns(*map(column, columns)).subquery(name)

    def column_list(self, numbers: Sequence[float]) -> Any:
        """An array's text."""
        return "{" + ",".join(map(repr, numbers)) + "}"

    def send(self, connection: Connection, statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
        """By a cursor of the driver: SQLAlchemy takes as long over parameters and rows as a trip does.

        Not in an application's own session, nor where somebody follows the statements, such as a tracer.
        """
        if not connection.get_execution_options().get(OWN):
            return super().send(connection, statement, values)
        dialect = connection.dialect
        sql, defaults = _driver_text(statement, dialect)
        if _is_followed(connection):
            return connection.exec_driver_sql(sql, {**defaults, **values}).all()
        try:
            cursor = connection.info.pop(sql, None) or connection.connection.cursor()
            cursor.execute(sql, {**defaults, **values})
            rows: Sequence[Any] = cursor.fetchall()
            if len(rows) == 1 and _is_short(*values.values(), *rows[0]):
                connection.info[sql] = cursor  # a new one has to learn anew how each type is written
        except dialect.loaded_dbapi.Error as error:
            raise _as_sqlalchemy_has_it(error, sql, connection) from error
        except BaseException as error:  # a signal's: its answer may still come
            connection.invalidate(error)
            raise
        return rows

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """``= ANY(array)``: one text, so that it is prepared once."""
        return column == any_(cast(bindparam(name, type_=Text), ARRAY(BigInteger)))

    def id_list(self, ids: list[int]) -> Any:
        """An array's text."""
        return self.column_list(ids)

    def as_json(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """A cast."""
        return cast(text, JSONB)

    def seconds(self, moment: ColumnElement[Any]) -> ColumnElement[Any]:
        """``extract``."""
        return cast(func.floor(extract("epoch", moment)), BigInteger)

    def documents(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Text, put together."""
        return "[" + func.string_agg(cast(column, Text), ",") + "]"

    def has_item(self, column: ColumnElement[Any], item: str) -> ColumnElement[bool]:
        """JSONB's containment."""
        return cast(column, JSONB).contains([item])

    def plan_anew(self, connection: Connection) -> None:
        """A plan for any value at all takes a walk along an index for one over the whole table."""
        connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))

    def is_deadlock(self, error: DBAPIError) -> bool:
        """SQLSTATE 40P01, 40001."""
        return getattr(error.orig, "sqlstate", None) in ("40P01", "40001")

    def insert_or_not(self, table: Table, columns: list[str], rows: Select[Any]) -> Insert:
        """``ON CONFLICT DO NOTHING``: it waits for who is writing the same key, and locks nothing."""
        return insert(table).from_select(columns, rows).on_conflict_do_nothing()

    def lock_schema(self, connection: Connection) -> None:
        """An advisory lock of the transaction; the number is 'jobman' in ASCII."""
        connection.execute(text("SELECT pg_advisory_xact_lock(116822186549614)"))


def _waits(dbapi: Any) -> int:
    """Its socket, if it is between two transactions, as a connection in a pool ought to be."""
    return dbapi.fileno() if not dbapi.closed and dbapi.info.transaction_status == _IDLE else -1


def _is_short(*exchanged: Any) -> bool:
    """So that it may be kept: a cursor holds on to what it sent and was answered."""
    return all(len(each) <= SHORT for each in exchanged if isinstance(each, str))


def _is_followed(connection: Connection) -> bool:
    given: tuple[Any, ...] = (connection, connection.engine, connection.dialect)
    return connection._echo or any(each._has_events for each in given)


def _as_sqlalchemy_has_it(error: Any, sql: str, connection: Connection) -> BaseException:
    """A driver's error as SQLAlchemy raises it; a connection that broke goes back to no pool."""
    dialect = connection.dialect
    gone = dialect.is_disconnect(error, connection.connection, None)
    if gone:
        connection.invalidate(error)
    base = dialect.loaded_dbapi.Error
    made: BaseException = DBAPIError.instance(
        sql, None, error, base, connection_invalidated=gone, dialect=dialect
    )
    return made


@cache
def _driver_text(statement: Any, dialect: SQLDialect) -> tuple[str, dict[str, Any]]:
    """The text, and the values that the statement brings along."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), dict(compiled.params)
