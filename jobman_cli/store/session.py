"""Join a caller's own SQLAlchemy session: its connection, and what is to happen after its commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from jobman_cli.errors import UsageError
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.insert import InLine

_KEY = "jobman.after_commit"


def connection_of(session: Any, database: Database) -> Connection:
    """The session's connection, inside its transaction.

    Raises:
        UsageError: when the session is none, or is of another kind of database.
    """
    given = getattr(session, "sync_session", session)
    if not isinstance(given, Session):
        raise UsageError(
            f"session= takes a SQLAlchemy or SQLModel Session, not {type(session).__name__}",
            hint="From asyncio code call it inside `await async_session.run_sync(...)`.",
        )
    connection = given.connection()
    name = {"mariadb": "mysql"}.get(connection.dialect.name, connection.dialect.name)
    if name != database.dialect.name:
        raise UsageError(
            f"session= is of a {connection.dialect.name} database, but Jobman's is {database.dialect.name}",
            hint="Pass a session of the database that `database:` names, or none.",
        )
    return connection


def after_commit(
    session: Any, rows: Sequence[InLine], push: Callable[[Any, Sequence[InLine]], object], owner: Any
) -> None:
    """Call ``push(owner, rows)`` once the session's outermost transaction has committed.

    Nothing is pushed on a savepoint's release, on a rollback, or for rows whose savepoint was rolled
    back. All rows of one owner go in one push.
    """
    given: Session = getattr(session, "sync_session", session)
    if _KEY not in given.info:
        given.info[_KEY] = []
        event.listen(given, "after_commit", _committed)
        event.listen(given, "after_soft_rollback", _rolled_back)
        event.listen(given, "after_transaction_end", _ended)
    given.info[_KEY].append((rows, push, owner, _inside(given)))


def _inside(session: Session) -> list[SessionTransaction]:
    """The transactions around this moment, innermost first."""
    chain, current = [], session.get_nested_transaction() or session.get_transaction()
    while current is not None:
        chain.append(current)
        current = current.parent
    return chain


def _committed(session: Session) -> None:
    if session.in_nested_transaction():
        return
    entries, session.info[_KEY] = session.info[_KEY], []
    owners = {id(owner): (push, owner) for _, push, owner, _ in entries}
    for key, (push, owner) in owners.items():
        push(owner, [row for rows, _, other, _ in entries if id(other) == key for row in rows])


def _rolled_back(session: Session, previous: SessionTransaction) -> None:
    session.info[_KEY] = [entry for entry in session.info[_KEY] if previous not in entry[3]]


def _ended(session: Session, transaction: SessionTransaction) -> None:
    """A session that is closed without a word has rolled back, and fires no event for it."""
    if transaction.parent is None:
        session.info[_KEY] = []
