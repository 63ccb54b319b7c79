"""A thread that lets no call to the database wait for ever.

A stopped server, or a connection that the other end has forgotten, keeps a call past every timeout of the
client. A worker in such a call would be believed for as long as its supervisor's own connections work.
"""

from __future__ import annotations

import logging
import threading

from jobman_cli.store.database import Database

logger = logging.getLogger("jobman.worker")

#: Seconds between two looks.
TICK = 0.5


class Answers(threading.Thread):
    """Watches over the calls of this process.

    Args:
        database: Whose calls.
        patience: Seconds for one call.
    """

    def __init__(self, database: Database, patience: float) -> None:
        super().__init__(name="answers", daemon=True)
        self._database, self._patience = database, patience
        self._done = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._done.wait(TICK):
            if self._database.cut_overdue(self._patience):
                logger.warning("the database has not answered for %g s; connecting anew", self._patience)

    def stop(self) -> None:
        """End."""
        self._done.set()
