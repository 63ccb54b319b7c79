"""Judges over other workers: their lease, and their pid."""

from __future__ import annotations

import time

from jobman_cli.operations.parts import Parts
from jobman_cli.operations.rescue import rescue_dead, rescue_silent, same_host
from jobman_cli.runtime.identity import boot_id, is_gone, pid_namespace
from jobman_cli.store.lifecycle.rescue import Rescued
from jobman_cli.store.queries import lease_time


class LeaseJudge:
    """Gives up workers whose lease has run out.

    It judges only after it has itself reached the database, without a gap, for one full lease: the first
    look after an outage would otherwise find every lease run out. A gap is half a lease: a heartbeat (less
    than a third of it) and a gap together must leave every live worker time to be heard. An answer that
    came late is a gap as well, and leases are held against the moment of that answer, never against a
    later one: a server that was stopped between the two would make every lease look run out.

    The clock counts the host's sleep.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._steady_since: float | None = None
        self._last = 0.0

    def run_once(self) -> Rescued:
        """Look once.

        Returns:
            What was taken back.

        Raises:
            StoreUnavailable: when the database is away; the lease to wait begins anew.
        """
        lease = self._parts.settings.lease
        steady, self._steady_since = self._steady_since, None
        answered = self._parts.database.read(lease_time)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if steady is None or now - self._last > lease / 2:
            steady = now
        taken = Rescued()
        if now - steady >= lease:
            taken = rescue_silent(self._parts, boot_id(), answered - lease)
        self._steady_since, self._last = steady, now
        return taken


class PidJudge:
    """Gives up workers of this host whose process is gone.

    Boot id, pid namespace and start time prove it; a pid that may not be signalled is alive. A worker
    whose supervisor lives is the supervisor's to bury, who knows which job it ran: so a dead one is left
    alone for ``PATIENCE`` seconds.
    """

    PATIENCE = 2.0

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._boot, self._namespace = boot_id(), pid_namespace()
        self._dead_since: dict[str, float] = {}

    @property
    def suspects(self) -> bool:
        """True when the last look found dead processes, whether or not they were given up."""
        return bool(self._dead_since)

    def run_once(self) -> Rescued:
        """Look once.

        Returns:
            What was taken back.

        Raises:
            StoreUnavailable: when the database is away.
        """
        taken = Rescued()
        if not self._boot or not self._namespace:
            return taken
        now = time.monotonic()
        here = same_host(self._parts, self._boot, self._namespace)
        dead = [worker for worker in here if is_gone(worker.pid, worker.start_time)]
        self._dead_since = {worker.uuid: self._dead_since.get(worker.uuid, now) for worker in dead}
        for worker in dead:
            if now - self._dead_since[worker.uuid] >= self.PATIENCE:
                taken.add(rescue_dead(self._parts, [worker.uuid], f"its process {worker.pid} is gone"))
        return taken
