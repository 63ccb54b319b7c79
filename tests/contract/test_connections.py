"""A signal may raise while a database works: what its connection was about to say is nobody else's answer."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Integer, String, bindparam, func, literal, select, text
from sqlalchemy.exc import DBAPIError

from jobman_cli.errors import StoreUnavailable
from jobman_cli.store.database import Database
from jobman_cli.store.dialects.postgresql import SHORT

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
def test_a_connection_holds_on_to_nothing_large(store: Database) -> None:
    """Nor to a cursor that failed: it keeps one for the next exchange like it only after a short one."""
    store = Database(store._raw_url)  # one that nobody has followed
    word, last = bindparam("word", type_=String), bindparam("last", type_=Integer)
    statement = select(func.repeat(word, func.generate_series(1, last)))

    def kept(connection: Any, dialect: Any, word: str, last: Any) -> bool:
        rows = dialect.send(connection, statement, {"word": word, "last": last})
        assert [row[0] for row in rows] == [word * number for number in range(1, last + 1)]
        return any(hasattr(each, "rowcount") for each in connection.info.values())

    long = "x" * (SHORT + 1)
    asked = [("a", 1), ("a", 2), ("a", 1), (long, 1), (long[1:], 1)]
    assert [store.run_alone(kept, *each) for each in asked] == [True, False, True, False, True]
    with pytest.raises(DBAPIError):
        store.run_alone(kept, "a", "no number")
    with store._alone.connect() as connection:
        assert not any(hasattr(each, "rowcount") for each in connection.info.values())
    store.close()


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
