"""The maintenance loop: every supervisor runs one, and any number may run at once.

Each step is idempotent and stands alone: one that fails is logged and tried again in the next round.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from jobman_cli.errors import JobmanError
from jobman_cli.operations.line import promote, push_pending
from jobman_cli.operations.parts import Parts

logger = logging.getLogger("jobman.maintenance")

Step = Callable[[Parts], Any]

STEPS: tuple[Step, ...] = (promote, push_pending)


class Maintenance:
    """Runs the steps, one round at a time."""

    def __init__(self, parts: Parts, steps: Sequence[Step] = STEPS) -> None:
        self._parts, self._steps = parts, steps
        self._failing: set[str] = set()

    def run_once(self) -> None:
        """One round. Never raises; a trouble that lasts is told once."""
        for step in self._steps:
            name = step.__name__
            try:
                step(self._parts)
            except JobmanError as error:
                if name not in self._failing:
                    logger.warning("%s: %s; tried again every round", name, error)
                self._failing.add(name)
            except Exception:
                if name not in self._failing:
                    logger.exception("%s failed; tried again every round", name)
                self._failing.add(name)
            else:
                self._failing.discard(name)
