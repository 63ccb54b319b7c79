"""A signal may raise while a database works: what its connection was about to say is nobody else's answer."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import bindparam, func, literal, select, text
from sqlalchemy.exc import DBAPIError

from jobman_cli.errors import StoreUnavailable
from jobman_cli.store.database import Database
from jobman_cli.store.dialects.postgresql import FEW_ROWS

SERVERS = pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)


class Timeout(Exception):
    """As a job's timeout raises one."""


@pytest.fixture(autouse=True)
def strike() -> Iterator[None]:
    def handler(*_: Any) -> None:
        raise Timeout

    before = signal.signal(signal.SIGUSR1, handler)
    yield
    signal.signal(signal.SIGUSR1, before)


def sleep(connection: Any, dialect: Any) -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    connection.execute(text("SELECT pg_sleep(0.6)" if dialect.name == "postgresql" else "SELECT SLEEP(0.6)"))


def count(connection: Any, _dialect: Any, to: int) -> int:
    return int(connection.execute(text(f"SELECT {to}")).scalar_one())


@SERVERS
@pytest.mark.parametrize("way", ["run", "run_alone", "read"])
def test_a_pool_gets_no_connection_back_in_the_middle_of_an_answer(store: Database, way: str) -> None:
    call: Any = getattr(store, way)
    for _ in range(2):
        with pytest.raises(Timeout):
            call(sleep)
        assert [call(count, number) for number in range(20)] == list(range(20))


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
@pytest.mark.parametrize("way", ["run", "run_alone", "read"])
def test_a_connection_that_broke_is_let_go(store: Database, way: str) -> None:
    """Whatever sent the statement; the error is that of the break, not of a ROLLBACK after it."""

    def work(connection: Any, dialect: Any) -> None:
        pid = connection.connection.driver_connection.info.backend_pid
        with store.engine.connect() as other:
            other.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
        with pytest.raises(DBAPIError) as caught:
            dialect.send(connection, select(literal(1)), {})
        assert connection.invalidated and caught.value.connection_invalidated
        raise caught.value

    with pytest.raises(StoreUnavailable, match="terminating connection"):
        getattr(store, way)(work)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_connection_keeps_no_large_answer(store: Database) -> None:
    """Only what is quick to ask again and small to keep."""
    statement = select(func.generate_series(1, bindparam("last")))

    def kept(connection: Any, dialect: Any, last: int) -> list[int]:
        rows = dialect.send(connection, statement, {"last": last})
        assert [row[0] for row in rows] == list(range(1, last + 1))
        return [each.rowcount for each in connection.info.values() if hasattr(each, "rowcount")]

    assert [store.run_alone(kept, last) for last in (1, FEW_ROWS, FEW_ROWS + 1, 2)] == [
        [1],
        [FEW_ROWS],
        [],
        [2],
    ]


@SERVERS
@pytest.mark.parametrize("way", ["run", "run_alone"])
def test_a_link_connects_anew(store: Database, way: str) -> None:
    link = store.link()
    call: Any = getattr(link, way)
    for _ in range(2):
        with pytest.raises(Timeout):
            call(sleep)
        assert [call(count, number) for number in range(20)] == list(range(20))
    link.close()
