"""A connection that is held, as a worker holds one: made anew after a break, its plans kept fresh."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from jobman_cli.errors import JobmanError

if TYPE_CHECKING:
    from jobman_cli.store.database import Database

T = TypeVar("T")

#: For how many calls the server may keep a connection's plans: at first, at the most.
FIRST_PLANS, LAST_PLANS = 8, 128


@contextmanager
def sound(connection: Connection) -> Iterator[None]:
    """Inside a transaction: let go of a connection on which somebody else's exception was raised.

    It may be a signal's, such as a job's timeout, and an answer still on its way, which nobody else shall
    take for his own; not even a ROLLBACK.
    """
    try:
        yield
    except (DBAPIError, JobmanError):
        raise
    except BaseException as error:
        connection.invalidate(error)
        raise


class Link:
    """One connection, held by one worker (or its watch thread), made anew after a break."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: Connection | None = None
        self._commits_alone = False
        self._calls, self._plans_until = 0, FIRST_PLANS

    @contextmanager
    def transaction(self, alone: bool = False) -> Iterator[Connection]:
        """As ``Database.transaction``, on the held connection.

        Args:
            alone: It will be one statement, which may commit by itself.

        Raises:
            StoreUnavailable: when the database is away; the next call connects again.
        """
        with self.database.translated():
            try:
                connection = self._connect() if self._connection is None else self._connection
                self.database.underway[id(self)] = (time.monotonic(), connection)
                if self._commits_alone is not (alone and self.database.dialect.commits_alone):
                    self._switch(connection)
                if self._commits_alone:
                    self._keep_plans_fresh(connection)
                    with sound(connection):
                        yield connection
                    connection.rollback()  # it has committed; SQLAlchemy alone thinks of a transaction
                else:
                    with connection.begin(), sound(connection):
                        self._keep_plans_fresh(connection)
                        yield connection
            except BaseException as error:
                # A connection on which anything but our own errors happened is not trusted again, and one
                # that was not brought to its end is not worth asking.
                if self._commits_alone or not isinstance(error, JobmanError):
                    self.drop()
                raise
            finally:
                self.database.underway.pop(id(self), None)

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """As ``Database.run``, on the held connection."""
        return self.database._resend(self.transaction, work, arguments)

    def run_alone(self, work: Callable[..., T], *arguments: Any) -> T:
        """As ``Database.run_alone``, on the held connection."""
        return self.database._resend(partial(self.transaction, alone=True), work, arguments)

    def _connect(self) -> Connection:
        connection = self._connection = self.database.engine.connect()
        self._commits_alone = False
        self._calls, self._plans_until = 0, FIRST_PLANS
        if self.database.dialect.commits_alone:
            self._switch(connection)
        with self.database.short(connection):
            self.database.dialect.settle_link(connection)
            connection.rollback()  # as in ``transaction``
        return connection

    def _keep_plans_fresh(self, connection: Connection) -> None:
        self._calls += 1
        if self._calls > self._plans_until:
            self.database.dialect.forget_plans(connection)
            self._plans_until = self._calls + min(self._calls, LAST_PLANS)

    def _switch(self, connection: Connection) -> None:
        """Let statements commit by themselves, or no longer; the driver minds it, without a trip."""
        self._commits_alone = not self._commits_alone
        level: Any = "AUTOCOMMIT" if self._commits_alone else connection.default_isolation_level
        connection.execution_options(isolation_level=level)

    def change_counter(self) -> int | None:
        """A number that moves when another connection has written, or None where there is no cheap one.

        Raises:
            StoreUnavailable: when the database is away.
        """
        with self.database.translated():
            connection = self._connect() if self._connection is None else self._connection
            return self.database.dialect.change_counter(connection)

    def drop(self) -> None:
        """Let the connection go, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except Exception:  # noqa: S110 - it is broken already
                pass

    def close(self) -> None:
        """Close the connection: it is set up for a worker, and nobody else shall have it."""
        self.drop()
