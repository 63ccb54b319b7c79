"""The maintenance loop: every supervisor runs one, and any number may run at once.

Each sweep is idempotent and stands alone: one that fails is logged and tried again in its next round.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jobman_cli.errors import JobmanError
from jobman_cli.operations.alerts import EVERY, note_overtaken, note_rebuilt, watch_over
from jobman_cli.operations.housekeeping import tidy as tidy_fires
from jobman_cli.operations.journal import tidy_journal
from jobman_cli.operations.line import promote, push_pending
from jobman_cli.operations.metrics import thin_metrics
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.reconcile import push_overtaken, rebuild
from jobman_cli.operations.rescue import rescue_orphans, tidy_workers
from jobman_cli.operations.supervision import tidy as tidy_supervisors
from jobman_cli.runtime.judge import LeaseJudge, PidJudge
from jobman_cli.runtime.timetable import Timetable

logger = logging.getLogger("jobman.maintenance")

#: Seconds by which a sweep may be early, so that it does not miss every other round.
SLACK = 0.1


@dataclass(slots=True)
class Sweep:
    """One thing that is looked after.

    Attributes:
        every: Seconds between two rounds.
        run_once: One round.
        close: Called once, at the end.
    """

    name: str
    every: float
    run_once: Callable[[], Any]
    close: Callable[[], Any] | None = None
    due: float = 0.0
    failing: bool = field(default=False)


def sweeps(parts: Parts) -> list[Sweep]:
    """All of them, in the order of a round."""
    often = parts.settings.sweep
    timetable = Timetable(parts)
    return [
        Sweep("promote due jobs", often, partial(promote, parts)),
        Sweep("rebuild a lost queue", often, lambda: note_rebuilt(parts, rebuild(parts))),
        Sweep("push pending jobs", often, partial(push_pending, parts)),
        Sweep("push overtaken jobs", often * 2, lambda: note_overtaken(parts, push_overtaken(parts))),
        Sweep("rescue from dead processes", often, PidJudge(parts).run_once),
        Sweep("rescue from silent workers", often, LeaseJudge(parts).run_once),
        Sweep("rescue orphans", often, partial(rescue_orphans, parts)),
        Sweep("tidy worker rows", 3600.0, partial(tidy_workers, parts)),
        Sweep("tidy supervisor rows", 3600.0, partial(tidy_supervisors, parts)),
        Sweep("tidy journals", 3600.0, partial(tidy_journal, parts)),
        Sweep("fire due schedules", min(often, 1.0), timetable.run_once, timetable.housekeeper.close),
        Sweep("tidy the schedule's rows", 3600.0, partial(tidy_fires, parts)),
        Sweep("thin metrics", 600.0, partial(thin_metrics, parts)),
        # Not in the first round, when a queue whose workers are just being started is not unserved.
        Sweep("look for troubles", EVERY, partial(watch_over, parts), due=time.monotonic() + EVERY),
    ]


class Maintenance:
    """Runs sweeps, each when it is due."""

    def __init__(self, plan: list[Sweep]) -> None:
        self._sweeps = plan

    def run_once(self) -> None:
        """One round. Never raises; a trouble that lasts is told once."""
        for sweep in self._sweeps:
            now = time.monotonic()
            if now < sweep.due - SLACK:
                continue
            sweep.due = now + sweep.every
            try:
                sweep.run_once()
            except JobmanError as error:
                if not sweep.failing:
                    logger.warning("cannot %s: %s; tried again every round", sweep.name, error)
                sweep.failing = True
            except Exception:
                if not sweep.failing:
                    logger.exception("cannot %s; tried again every round", sweep.name)
                sweep.failing = True
            else:
                sweep.failing = False

    def close(self) -> None:
        """End what sweeps have begun and still runs."""
        for sweep in self._sweeps:
            if sweep.close is not None:
                sweep.close()
