"""One worker in its process or thread: set up, turn after turn, set down."""

from __future__ import annotations

import datetime
import logging
import os
import resource
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

from huey.consumer import Worker

from jobman_cli.engine.instance import RunJob
from jobman_cli.errors import QueueUnavailable, StoreUnavailable
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.line import promote, push_pending
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.reconcile import push_overtaken
from jobman_cli.runtime.answers import Answers
from jobman_cli.runtime.completing import Completing
from jobman_cli.runtime.exchange import Exchange
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.identity import identify, new_uuid, resident_bytes
from jobman_cli.runtime.job_loop import PLACES, JobLoop
from jobman_cli.runtime.loop_turn import LoopTurn
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.pace import MOST, Pace
from jobman_cli.runtime.page import Page, Running
from jobman_cli.runtime.runner import Attempt, Gate, Runner
from jobman_cli.runtime.switchboard import Switchboard
from jobman_cli.runtime.watch import Watch
from jobman_cli.runtime.worker import IDLE, Turn
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.release import release_all
from jobman_cli.store.lifecycle.workers import is_live, register, stop
from jobman_cli.store.queries import is_claimable

logger = logging.getLogger("jobman.worker")

#: Huey compares this with a task's eta; a job that is claimed has none.
_NOW = datetime.datetime(2000, 1, 1)

#: Seconds between two looks at the switches while everything is paused.
PAUSED = 0.25
#: Seconds until the next look at a line that is not empty and gives nothing, before an end.
UNDERWAY = 0.02


class PlannedEnd(Exception):
    """The worker has done what it was to do; nobody starts it again."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What a worker is to do, and when it ends by itself. Limits count for each worker.

    Attributes:
        concurrency: Jobs that it runs at once, in an event loop; None is one after another.
        max_time: Seconds.
        memory: MiB of resident memory.
    """

    queues: tuple[str, ...]
    supervisor: str
    concurrency: int | None = None
    once: bool = False
    stop_when_empty: bool = False
    max_jobs: int | None = None
    max_time: float | None = None
    memory: float | None = None


class JobWorker(Worker):
    """A worker of the consumer. Made in the parent, alive in the child."""

    process_name = "Worker"

    def __init__(self, parts: Parts, plan: WorkerPlan, stop_flag: Any, switchboard: Switchboard) -> None:
        super().__init__(parts.engine.huey, stop_flag, default_delay=0.1, max_delay=1.0, backoff=1.0)
        self.uuid = new_uuid()
        self.gate = Gate()
        self.page = Page(PLACES * plan.concurrency if plan.concurrency else 1)
        self.plan = plan
        self.planned_end = False
        #: Set by the supervisor: it was told to end, because its pool shrinks.
        self.retiring = False
        #: Set by the supervisor: the jobs for which it killed this worker.
        self.stuck: Sequence[Running] = ()
        self._parts, self._plan, self._switchboard = parts, plan, switchboard
        self._version = -1  # not looked yet: it may be hired while something is paused
        self._open = plan.queues
        self._began = time.monotonic()
        self._turn: Turn | LoopTurn | None = None

    def initialize(self) -> None:
        """In the child: connect, register, get ready. Waits while the database is away."""
        super().initialize()
        parts, plan = self._parts, self._plan
        parts.database.forget()
        Answers(parts.database, parts.settings.lease).start()
        self._link = parts.database.link()
        identity = identify(self.uuid, plan.supervisor, plan.queues)
        while not self._registered(identity):
            if self.stop_flag.wait(1.0):
                raise PlannedEnd
        hand, meter = Hand(), Meter()
        limit = parts.settings.max_attribs_bytes
        runner = Runner(parts.registry, self.gate, self._execute, self._open_completing, limit)
        self._completing = Completing(parts.database, self.uuid, self.gate, runner.encode)
        self._receiver = parts.engine.receiver(plan.queues, self._link, self.stop_flag.wait)
        exchange = Exchange(parts, self.uuid, self._link, self._receiver, hand, self.stop_flag.wait, meter)
        loop = None
        if plan.concurrency is None:
            pace, stopping = Pace(1 if parts.settings.recording == "each" else MOST), self.stop_flag.is_set
            self._turn = Turn(exchange, runner, hand, pace, stopping, self.page, meter, self._shut)
        else:
            loop = JobLoop(runner, hand, self.page, plan.concurrency, meter)
            limit = parts.settings.rescue_limit
            self._turn = LoopTurn(exchange, loop, hand, plan.concurrency, limit, self._shut)
            self.gate.instead = loop.interrupt
            loop.start()
        self._watch = Watch(parts, self.uuid, hand, meter, loop)
        self._watch.start()

    def loop(self, now: Any = None) -> None:
        """One turn, and the question whether the end has come."""
        turn, plan = self._turn, self._plan
        assert turn is not None  # noqa: S101 - initialize() came first
        most = 1 if plan.once else None
        if plan.max_jobs is not None:
            most = plan.max_jobs - turn.count
        ends_when_empty = plan.once or plan.stop_when_empty
        if not self._serve():
            turn.settle()
            if ends_when_empty:
                raise PlannedEnd
            self.stop_flag.wait(PAUSED)
            return
        ran = turn.take(most, wait=0 if ends_when_empty else IDLE)
        self._end_if_planned(ran, ends_when_empty)

    def _serve(self) -> bool:
        """Serve the queues that are not paused now; False when there is none."""
        if (version := self._switchboard.version) != self._version:
            self._version = version
            self._open = self._switchboard.open_queues(self._plan.queues)
            if self._open:
                self._receiver.serve(self._open)
        return bool(self._open)

    def _shut(self) -> Container[str]:
        """The queues that were paused since this worker looked last."""
        if self._switchboard.version == self._version:
            return ()
        still = self._switchboard.open_queues(self._plan.queues)
        return [queue for queue in self._plan.queues if queue not in still]

    def _end_if_planned(self, ran: int, ends_when_empty: bool) -> None:
        turn, plan = self._turn, self._plan
        assert turn is not None  # noqa: S101
        if not ran and ends_when_empty:
            if not turn.idle or self._something_came():
                return
            raise PlannedEnd
        if (
            (plan.once and turn.count)
            or (plan.max_jobs is not None and turn.count >= plan.max_jobs)
            or (plan.max_time is not None and time.monotonic() - self._began >= plan.max_time)
            or (plan.memory is not None and resident_mib() >= plan.memory)
        ):
            raise PlannedEnd

    def _something_came(self) -> bool:
        """Bring what is due or was not pushed to its line; True when there was something."""
        try:
            moved = promote(self._parts) + push_pending(self._parts)
            # What somebody else has promoted or written may be on its way to the line ...
            moved = moved or push_overtaken(self._parts, underway=0)
            # ... or in a transaction that is not at its end.
            if not moved and (moved := self._parts.database.read(is_claimable, self._open)):
                self.stop_flag.wait(UNDERWAY)
        except (StoreUnavailable, QueueUnavailable):
            return True  # not empty: unknown
        if moved:
            self._receiver.look_again()
        return bool(moved)

    def shutdown(self) -> None:
        """Let what runs come to its end, record what finished, give back what is not started, say goodbye."""
        self.gate.is_open = False
        if self._turn is not None:
            self._turn.close()
            self._watch.stop()
            self._watch.join(2.0)
            try:
                rows = self._link.run(_say_goodbye, self.uuid)
                self._link.close()
                if rows:
                    push(self._parts, rows)
            except StoreUnavailable as error:
                logger.warning("could not say goodbye: %s", error)
        super().shutdown()

    def _registered(self, identity: Any) -> bool:
        def write(connection: Any, dialect: Dialect) -> None:
            if not is_live(connection, dialect, self.uuid):  # the COMMIT before this one may have passed
                register(connection, dialect, identity)

        try:
            self._link.run(write)
        except StoreUnavailable as error:
            logger.warning("%s; this worker waits for it", error)
            return False
        return True

    def _execute(self, function: Callable[[Attempt], Any], attempt: Attempt) -> object:
        claim = attempt.claim
        # What is awaited has its timeout in its own loop, where no alarm must strike.
        timeout = None if attempt.is_async else claim.timeout
        task = RunJob(args=(function, attempt), id=str(claim.id), timeout=timeout)
        return self.huey.execute(task, _NOW)

    def _open_completing(self, attempt: Attempt, code: str | None) -> Any:
        return self._completing.open(attempt, code)


def _say_goodbye(connection: Any, dialect: Dialect, worker: str) -> list[InLine]:
    """The end of a worker's row; what still runs under its name was never started, and goes back."""
    rows = release_all(connection, dialect, worker)
    stop(connection, dialect, worker)
    return rows


def resident_mib() -> float:
    """This process's resident memory now."""
    now = resident_bytes(os.getpid())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if now is None else now / 2**20
