"""One round of repair by hand, for a host on which no worker runs: what `jobman rescue` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from jobman_cli.operations.line import promote, push_pending
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.reconcile import push_overtaken, rebuild
from jobman_cli.operations.rescue import rescue_orphans
from jobman_cli.runtime.judge import LeaseJudge, PidJudge
from jobman_cli.store.lifecycle.rescue import Rescued


@dataclass(frozen=True, slots=True)
class Round:
    """What a round did.

    Attributes:
        rescued: Jobs taken back from workers that are gone; they run again, or failed.
        released: Jobs such workers had claimed and not started.
        failed: Those of ``rescued`` that were rescued once too often.
        pushed: Rows that were brought to their line.
    """

    rescued: int
    released: int
    failed: int
    pushed: int


def rescue_round(
    parts: Parts, *, silent: bool = True, pause: Callable[[float], object] = time.sleep
) -> Round:
    """Do once what the maintenance of a worker does all the time. Any number may run at once.

    Args:
        silent: Judge leases as well, which takes a little more than one: whoever has not watched the
            database for a whole lease cannot tell a lost host from a database that was away.
        pause: Sleeps so many seconds.

    Raises:
        QueueUnavailable, StoreUnavailable: when a server is away; what was done before stays done.
    """
    taken = Rescued()
    pids, leases = PidJudge(parts), LeaseJudge(parts)
    pids.run_once()
    began, settings = time.monotonic(), parts.settings
    watched = settings.lease + settings.sweep if silent else pids.PATIENCE if pids.suspects else 0.0
    while (left := watched - (time.monotonic() - began)) > 0:
        if silent:
            taken.add(leases.run_once())
        pause(min(settings.sweep, left))
    taken.add(leases.run_once() if silent else Rescued())
    taken.add(pids.run_once())
    taken.add(rescue_orphans(parts))
    pushed = promote(parts) + push_pending(parts)
    if (rebuilt := rebuild(parts)) is not None:
        pushed += rebuilt.pushed
    pushed += push_overtaken(parts)
    return Round(len(taken.rescued), taken.released, len(taken.failed), pushed)
