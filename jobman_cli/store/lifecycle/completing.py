"""The transaction that a job shares with its own completion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlmodel import Session

from jobman_cli.errors import AttemptLost, StoreUnavailable
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import Finish, complete
from jobman_cli.store.tables import JOBS


@dataclass(slots=True)
class CompletingTransaction:
    """A session on a connection of its own, and the one way to commit it."""

    session: Session
    database: Database
    worker: str
    claim: Claim

    def commit(self, finish: Finish) -> None:
        """Record the completion and commit, together with all that the session wrote.

        Raises:
            AttemptLost: when the fence refused: then nothing was written.
            StoreUnavailable: when the database is away and the row does not say that the commit happened.
        """
        with self.database.translated():
            self.session.flush()
            connection: Connection = self.session.connection()
            with self.database.short(connection):
                refused = complete(connection, self.database.dialect, self.worker, [finish])
            if refused:
                self.session.rollback()
                raise AttemptLost
        try:
            with self.database.translated(), self.database.short(connection):
                self.session.commit()
        except StoreUnavailable:
            if not self._was_committed():
                raise

    def _was_committed(self) -> bool:
        """Ask the row, on another connection, after an answer to COMMIT that was lost."""
        mine = select(JOBS.c.id).where(
            JOBS.c.id == self.claim.id,
            JOBS.c.claims == self.claim.claims,
            JOBS.c.worker_id == self.worker,
            JOBS.c.status == "completed",
        )
        self.session.invalidate()
        with self.database.transaction() as connection:
            return connection.execute(mine.with_for_update()).first() is not None


@contextmanager
def completing_session(database: Database, worker: str, claim: Claim) -> Iterator[CompletingTransaction]:
    """Open it. Leaving the block without ``commit`` rolls back."""
    with database.translated(), Session(database.engine) as session:
        yield CompletingTransaction(session, database, worker, claim)
