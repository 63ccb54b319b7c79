"""Connections and transactions, and the one place where a database's errors become ours.

A ``Database`` is made without connecting. Web processes use its pool; a worker holds one connection for
its life (``Link``); a supervisor takes ``without_pool()`` so that no connection is open when it forks.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, TypeVar

from pydantic_core import from_json
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from jobman_cli.errors import ConfigurationError, StoreUnavailable
from jobman_cli.store.dialects import dialect_for
from jobman_cli.store.dialects.base import OWN
from jobman_cli.store.dialects.sqlite import READ_ONLY
from jobman_cli.store.failures import explain, is_standby
from jobman_cli.store.link import Link, sound

T = TypeVar("T")

#: A piece of work inside a transaction: it is given the connection, the dialect and its arguments.
Work = Callable[..., T]

#: The most connections of a pool. None is made before it is needed, and none closed for being one too many:
#: with an overflow, sixteen threads that dispatch would connect anew for two dispatches of three.
POOL = 15
#: How often a statement that was the victim of a deadlock is sent again.
DEADLOCK_TRIES = 8


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def compact_json(value: object) -> str:
    """JSON as the tables keep it: no blanks, no escapes that are not needed."""
    return _ENCODER.encode(value)


class Database:
    """One database, by its URL.

    Args:
        url: A SQLAlchemy URL; ``settings`` has made a SQLite path absolute.
        lease: Seconds for which a silent worker is believed; also the longest that a frozen process may
            hold a transaction open, where the database can enforce that.
        pooled: False for a process that forks.

    Raises:
        ConfigurationError: when the URL cannot be read, or its database or driver is not there.
    """

    def __init__(self, url: str, *, lease: float = 30.0, pooled: bool = True) -> None:
        try:
            self.url = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise ConfigurationError("database: the URL cannot be read", hint=_URL_HINT) from error
        self._raw_url, self.lease, self.pooled = url, lease, pooled
        self.dialect = dialect_for(self.url.get_backend_name())
        #: Calls that are underway and ought to be short: since when, and on which connection.
        self.underway: dict[int, tuple[float, Connection]] = {}

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    def without_pool(self) -> Database:
        """The same database with connections that close as soon as they are given back."""
        return Database(self._raw_url, lease=self.lease, pooled=False)

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, made on first use."""
        return self._make_engine()

    @cached_property
    def _alone(self) -> Engine:
        """For statements that commit by themselves.

        Its connections are its own: to switch one that is used for both took longer than the commit saved.
        """
        return self._make_engine(isolation_level="AUTOCOMMIT")

    def _make_engine(self, **more: Any) -> Engine:
        options = self.dialect.engine_options(self.url, self.lease) | more
        if self.pooled:
            options |= {"pool_size": POOL, "max_overflow": 0}
        else:
            options["poolclass"] = NullPool
            options.pop("pool_recycle", None)
        try:
            engine = create_engine(
                self.url,
                json_serializer=compact_json,
                json_deserializer=from_json,
                execution_options={OWN: True},
                **options,
            )
        except (NoSuchModuleError, ImportError) as error:
            extra = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}.get(
                self.url.get_backend_name(), "postgres"
            )
            raise ConfigurationError(
                f"database: the driver for {self.url.drivername} is not installed",
                hint=f"pip install 'jobman-cli[{extra}]'",
            ) from error
        self.dialect.prepare(engine, self.lease)
        return engine

    def _engines(self) -> list[Engine]:
        """Those that were made."""
        return [self.__dict__[name] for name in ("engine", "_alone") if name in self.__dict__]

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside a transaction that commits at the block's end.

        Raises:
            StoreUnavailable: when the database is away. After a failed COMMIT the change may or may not
                have been made.
        """
        with (
            self.translated(),
            self.engine.connect() as connection,
            self.short(connection),
            connection.begin(),
            sound(connection),
        ):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reads only: it blocks no writer.

        Raises:
            StoreUnavailable: when the database is away.
        """
        with self.translated(), self.engine.connect() as connection:
            reader = connection.execution_options(**{READ_ONLY: True})
            with self.short(reader), reader.begin(), sound(reader):
                yield reader

    @contextmanager
    def short(self, connection: Connection) -> Iterator[None]:
        """What is done inside ought to be short: see ``cut_overdue``."""
        self.underway[id(connection)] = (time.monotonic(), connection)
        try:
            yield
        finally:
            self.underway.pop(id(connection), None)

    def cut_overdue(self, seconds: float) -> int:
        """Break calls that have been underway for longer; for a thread that watches over this process.

        A connection whose other end has forgotten it, or a server that is stopped, would otherwise keep
        the caller for ever. The caller gets ``StoreUnavailable``, and does not know what became of a COMMIT.

        Returns:
            How many.
        """
        oldest = time.monotonic() - seconds
        late = [connection for began, connection in list(self.underway.values()) if began < oldest]
        for connection in late:
            with suppress(Exception):  # it may end, or be closed, at this very moment
                self.dialect.cut(connection.connection.driver_connection)
        return len(late)

    def run_alone(self, work: Work[T], *arguments: Any) -> T:
        """As ``run``, for work that is one statement: it commits by itself, where that saves two trips."""
        return self._resend(self._statement, work, arguments)

    def run(self, work: Work[T], *arguments: Any) -> T:
        """Call ``work(connection, dialect, *arguments)`` in a transaction.

        It is called again when it was the victim of a deadlock, or somebody took a unique key at the same
        time, so it must do nothing but SQL.

        Raises:
            StoreUnavailable: as ``transaction``.
        """
        return self._resend(self.transaction, work, arguments)

    def read(self, work: Work[T], *arguments: Any) -> T:
        """Call ``work(connection, dialect, *arguments)`` in a transaction that reads.

        Raises:
            StoreUnavailable: when the database is away.
        """
        with self.reading() as connection:
            return work(connection, self.dialect, *arguments)

    def link(self) -> Link:
        """A connection to hold."""
        return Link(self)

    def forget(self) -> None:
        """After a fork: leave the parent's connections alone."""
        for engine in self._engines():
            engine.dispose(close=False)

    def close(self) -> None:
        """Close the pool's connections."""
        for engine in self._engines():
            engine.dispose()

    @contextmanager
    def _statement(self) -> Iterator[Connection]:
        if not self.dialect.commits_alone:
            with self.transaction() as connection:
                yield connection
            return
        with (
            self.translated(),
            self._alone.connect() as connection,
            self.short(connection),
            sound(connection),
        ):
            yield connection  # without begin(): it would end in a COMMIT of nothing

    def _resend(self, begin: Callable[[], Any], work: Work[T], arguments: tuple[Any, ...]) -> T:
        for tried in range(1, DEADLOCK_TRIES + 1):
            try:
                with begin() as connection:
                    return work(connection, self.dialect, *arguments)
            except DBAPIError as error:
                if not (self.dialect.is_deadlock(error) or self.dialect.is_taken(error)):
                    raise
                if tried == DEADLOCK_TRIES:  # a worker waits then, and keeps what it holds
                    raise StoreUnavailable(
                        f"the database let {tried} transactions end in deadlocks"
                    ) from error
                time.sleep(random.uniform(0, 0.01 * 2**tried))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The driver's errors as ours; a deadlock passes as it is, for ``run`` to answer."""
        try:
            yield
        except PoolTimeout as error:
            raise StoreUnavailable("the database's connection pool is used up") from error
        except DBAPIError as error:
            if self.dialect.is_deadlock(error):
                raise
            ours = explain(error, self.url.render_as_string(hide_password=True))
            if ours is None:
                raise
            if is_standby(error):
                self.close()  # other connections lead there as well; new ones may find the new primary
            raise ours from error


_URL_HINT = "Write it as sqlite:///path, postgresql+psycopg://user:password@host/name or mysql+pymysql://…."
