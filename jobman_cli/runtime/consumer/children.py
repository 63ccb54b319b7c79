"""What a supervisor's children have in common: how they live, how they end, and what their end says."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from huey.consumer import Scheduler

from jobman_cli.errors import WorkerLost
from jobman_cli.operations.parts import Parts
from jobman_cli.runtime.answers import Answers
from jobman_cli.runtime.consumer.worker import PlannedEnd
from jobman_cli.runtime.maintenance import Maintenance, sweeps
from jobman_cli.runtime.runner import Gate

logger = logging.getLogger("jobman.supervisor")

#: How a child that died by an error exits; a planned end is 0.
CRASHED = 70
#: How a child exits that was given up by others while it was away.
GIVEN_UP = 71


class MaintenanceProcess(Scheduler):
    """Huey's scheduler, whose rounds are Jobman's maintenance."""

    process_name = "Maintenance"

    def __init__(self, parts: Parts, stop_flag: Any, sweep: float) -> None:
        super().__init__(parts.engine.huey, stop_flag, interval=1, periodic=False)
        self.gate = Gate()
        self._parts, self._sweep, self._parent = parts, sweep, os.getpid()
        self._maintenance: Maintenance | None = None

    def initialize(self) -> None:
        """In the child: leave the parent's connections alone, and wait for no lock for long."""
        self._parts.database.forget()
        if os.getpid() != self._parent:  # a thread shares its database with the workers
            self._parts.database.dialect.impatient = True
        Answers(self._parts.database, self._parts.settings.lease).start()
        self._maintenance = Maintenance(sweeps(self._parts))

    def loop(self, now: Any = None) -> None:
        """One round."""
        assert self._maintenance is not None  # noqa: S101 - initialize() came first
        began = time.monotonic()
        self._maintenance.run_once()
        self.sleep_for_interval(began, self._sweep)

    def shutdown(self) -> None:
        """Give back what runs."""
        if self._maintenance is not None:
            self._maintenance.close()
        super().shutdown()


def life(child: Any, name: str, prepare: Callable[[Any], None], forks: bool) -> Callable[[], None]:
    """A child's whole life, to be called in its process or thread.

    Args:
        prepare: Called first, in the child: signals and the like.
    """

    def live() -> None:
        code = 0
        if forks:
            # A full collection writes into the head of every object, and so copies each page that is shared
            # with the parent: 16 MB a worker, at some time in its first 100,000 jobs.
            gc.freeze()
        try:
            prepare(child)
            _live(child)
        except WorkerLost:
            logger.warning("%s was given up while it was away; another takes its place", name)
            code = GIVEN_UP
        except BaseException:
            logger.exception("%s died", name)
            code = CRASHED
        if forks:
            _leave(code)
        child.planned_end = code == 0

    return live


def ended_as_planned(worker: Any, process: Any) -> bool:
    """True for a child that ended by itself and well."""
    code = getattr(process, "exitcode", None)
    return code == 0 if code is not None else bool(worker.planned_end)


def how(process: Any) -> str:
    """How a child ended, in words."""
    code = getattr(process, "exitcode", None)
    if code is None:
        return "an error"
    return f"signal {-code}" if code < 0 else f"exit {code}"


def _live(child: Any) -> None:
    """Until its flag is set or it ends as planned."""
    try:
        child.initialize()
        while not child.stop_flag.is_set():
            child.loop()
    except (PlannedEnd, KeyboardInterrupt):
        pass
    finally:
        child.shutdown()


def _leave(code: int) -> None:
    """End a child without running what the parent registered for its own exit."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
