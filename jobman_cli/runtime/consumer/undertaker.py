"""What a supervisor owes the jobs of workers that died under it.

It knows more than anybody else: the shared page says which jobs the dead worker ran. What cannot be paid
now, because the database is away, is paid later; and should the supervisor die as well, others find the
same rows by lease, pid or orphanhood.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from jobman_cli.errors import JobmanError
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.rescue import fail_stuck, rescue_dead
from jobman_cli.runtime.guard import Overdue, guarded
from jobman_cli.runtime.page import Running
from jobman_cli.store.database import Database

logger = logging.getLogger("jobman.supervisor")

#: Seconds for one debt.
ANSWER = 2.0


class Undertaker:
    """Takes jobs back from this supervisor's own dead workers.

    Args:
        database: A way to the database that holds no connection open: the supervisor forks.
    """

    def __init__(self, parts: Parts, database: Database) -> None:
        self._parts, self._database = parts, database
        self._debts: deque[Callable[[], Any]] = deque()

    def died(self, worker: str, how: str, running: Sequence[Running]) -> None:
        """A worker died; the jobs that it ran are rescued, the others are released."""
        started = [each.job_id for each in running]
        self._debts.append(
            lambda: rescue_dead(self._parts, [worker], how, started, known=True, database=self._database)
        )

    def stuck(self, worker: str, running: Sequence[Running]) -> None:
        """A worker was killed because of jobs that ran past their timeout; that is a failed try for them."""
        stuck = {(each.job_id, each.claims) for each in running}
        self._debts.append(lambda: fail_stuck(self._parts, worker, stuck, database=self._database))

    def pay(self) -> None:
        """Pay what is owed, as far as the database answers."""
        while self._debts:
            try:
                with guarded(ANSWER):
                    self._debts[0]()
            except (JobmanError, Overdue) as error:
                logger.warning("cannot take jobs back yet: %s", error)
                return
            self._debts.popleft()
