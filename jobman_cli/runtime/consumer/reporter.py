"""A supervisor's own row: its signs of life, the commands it finds there, and its switches."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from jobman_cli.errors import JobmanError
from jobman_cli.runtime.consumer.undertaker import ANSWER
from jobman_cli.runtime.guard import Overdue, guarded
from jobman_cli.runtime.identity import identify
from jobman_cli.runtime.switchboard import Switchboard
from jobman_cli.store.database import Database
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.supervisors import (
    Charge,
    Orders,
    acknowledge,
    register_supervisor,
    report,
    stop_supervisor,
)

logger = logging.getLogger("jobman.supervisor")

#: Seconds between two signs of life: also how soon a command is read.
EVERY = 1.0


class Reporter:
    """Keeps one supervisor's row.

    Args:
        database: A way to the database that holds no connection open.
        queues: All queues that its workers serve.
    """

    def __init__(
        self, database: Database, uuid: str, charge: Charge, queues: Sequence[str], switchboard: Switchboard
    ) -> None:
        self._database, self._uuid, self._charge = database, uuid, charge
        self._queues, self._switchboard = tuple(queues), switchboard
        self._next = 0.0
        self._state = charge.state
        switchboard.pause_all(self.paused)

    @property
    def paused(self) -> bool:
        """True after ``pause``, until ``continue``."""
        return self._state == "paused"

    def register(self) -> None:
        """Write the row, and close what is paused before anybody starts a job of it.

        Raises:
            StoreUnavailable: when the database is away.
        """
        self._database.run(register_supervisor, identify(self._uuid, self._uuid, self._queues), self._charge)
        orders: Orders = self._database.run(report, self._uuid, self._state, None)
        self._switchboard.pause_queues(orders.paused_queues)

    def report(self, pools: dict[str, int]) -> bool:
        """Give a sign of life when it is time, and follow what is asked.

        Returns:
            True when the supervisor is asked to end.
        """
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + EVERY
        try:
            with guarded(ANSWER):
                orders: Orders = self._database.run(report, self._uuid, self._state, pools)
                if not orders.known:
                    self.register()
                self._switchboard.pause_queues(orders.paused_queues)
                return self._follow(orders.command)
        except (JobmanError, Overdue) as error:
            logger.debug("no report: %s", error)
            return False

    def stopping(self) -> None:
        """From now on the row says that it ends."""
        self._state, self._next = "stopping", 0.0

    def stop(self) -> None:
        """Say goodbye."""
        try:
            with guarded(ANSWER):
                self._database.run(stop_supervisor, self._uuid)
        except (JobmanError, Overdue) as error:
            logger.warning("could not say goodbye: %s", error)

    def _follow(self, command: str | None) -> bool:
        if command is None or self._state == "stopping":
            return False
        logger.info("told to %s", command)
        ends = command == "terminate"
        self._state = "stopping" if ends else "paused" if command == "pause" else "running"
        if not ends:
            self._switchboard.pause_all(self.paused)
        self._database.run(_answer, self._uuid, command, self._state)
        return ends


def _answer(connection: Any, dialect: Dialect, uuid: str, command: str, state: str) -> None:
    """The state first: who sees the answer sees it as well."""
    report(connection, dialect, uuid, state, None)
    acknowledge(connection, dialect, uuid, command)
