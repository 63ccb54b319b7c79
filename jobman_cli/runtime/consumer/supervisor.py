"""The supervisor: a Huey consumer that forks workers, replaces dead ones and ends all of them well.

It is single-threaded, forks from its main thread only, and holds no database connection while it does.
What it asks of the database is bounded by a timer, because a stopped server can block a query for ever.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from huey.consumer import Consumer, ConsumerStopped, Scheduler

from jobman_cli.errors import JobmanError, WorkerLost
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts
from jobman_cli.runtime.answers import Answers
from jobman_cli.runtime.consumer.environment import (
    JobProcessEnvironment,
    JobThreadEnvironment,
    Overdue,
    guarded,
)
from jobman_cli.runtime.consumer.undertaker import ANSWER, Undertaker
from jobman_cli.runtime.consumer.worker import JobWorker, PlannedEnd, WorkerPlan
from jobman_cli.runtime.maintenance import Maintenance, sweeps
from jobman_cli.runtime.runner import Gate
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.release import release_all
from jobman_cli.store.lifecycle.workers import heartbeat, stop

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
        self._parts, self._sweep = parts, sweep
        self._maintenance: Maintenance | None = None

    def initialize(self) -> None:
        """In the child: leave the parent's connections alone."""
        self._parts.database.forget()
        Answers(self._parts.database, self._parts.settings.lease).start()
        self._maintenance = Maintenance(sweeps(self._parts))

    def loop(self, now: Any = None) -> None:
        """One round."""
        assert self._maintenance is not None  # noqa: S101 - initialize() came first
        began = time.monotonic()
        self._maintenance.run_once()
        self.sleep_for_interval(began, self._sweep)


class Supervisor(Consumer):
    """A pool of workers.

    Args:
        plan: What each worker is to do.
        workers: How many.
        worker_type: ``process`` or ``thread``.
    """

    def __init__(self, parts: Parts, plan: WorkerPlan, workers: int, worker_type: str) -> None:
        self._parts, self._plan = parts, plan
        self._flags: list[Any] = []
        self.worker_threads: list[tuple[JobWorker, Any]]
        self.scheduler: Any
        self._next_beat = 0.0
        self._interrupted = False
        super().__init__(
            parts.engine.huey,
            workers=workers,
            worker_type=worker_type,
            periodic=False,
            health_check_interval=0.2,
            shutdown_timeout=parts.settings.shutdown_timeout,
            graceful_signal="TERM",
        )
        # A Ctrl-C is answered like TERM; the second one interrupts.
        self._signal_actions[signal.SIGINT] = (False, True)
        # The supervisor's own questions go through connections that close at once.
        self._database = parts.database.without_pool()
        self._undertaker = Undertaker(parts, self._database)

    @property
    def exit_code(self) -> int:
        """0, or 130 after a second Ctrl-C."""
        return 130 if self._interrupted else 0

    def get_environment(self, worker_type: str) -> Any:
        """Ours."""
        kinds = {"process": JobProcessEnvironment, "thread": JobThreadEnvironment}
        return kinds[worker_type](self._graceful_sig, self._interrupt_sig)

    def _flag(self) -> Any:
        flag = self.environment.get_stop_flag()
        self._flags.append(flag)
        return flag

    def _create_worker(self) -> JobWorker:
        return JobWorker(self._parts, self._plan, self._flag())

    def _create_scheduler(self) -> MaintenanceProcess:
        return MaintenanceProcess(self._parts, self._flag(), self._parts.settings.sweep)

    def _create_process(self, process: Any, name: str) -> Any:
        forks = self.environment.forks

        def live() -> None:
            code = 0
            try:
                self.environment.init_child(process)
                _live(process)
            except WorkerLost:
                logger.warning("%s was given up while it was away; another takes its place", name)
                code = GIVEN_UP
            except BaseException:
                logger.exception("%s died", name)
                code = CRASHED
            if forks:
                _leave(code)
            process.planned_end = code == 0

        return self.environment.create_process(live, name)

    def start(self) -> None:
        """Start the children and take over the signals."""
        if self.worker_type == "thread":
            logger.warning("worker threads have no hard timeout: a job that never returns keeps its thread")
        if self.environment.forks:
            self.huey.storage.close()
        self._set_signal_handlers()
        self.scheduler.start()
        for _, process in self.worker_threads:
            process.start()
        logger.info(
            "supervisor %s runs %d %s worker(s)", self._plan.supervisor, self.workers, self.worker_type
        )

    def run(self) -> None:
        """Until all workers have ended as planned, or a signal ends them."""
        self.start()
        checked = time.monotonic()
        try:
            while True:
                checked = self.loop(checked)
                self._beat()
                self._end_stuck_workers()
                self._undertaker.pay()
        except ConsumerStopped:
            pass
        self._bury()
        if self._restart:
            logger.info("starting anew")
            os.execv(sys.executable, [sys.executable, "-m", "jobman_cli", *sys.argv[1:]])  # noqa: S606

    def stop(self, graceful: bool = False) -> None:
        """Tell every child, then wait as Huey does."""
        logger.info("stopping: %s", "running jobs may finish" if graceful else "at once")
        for flag in self._flags:
            flag.set()
        super().stop(graceful)

    def _join_workers(self) -> bool:
        """Wait for the children to end. Their leases are renewed all the while, and stuck ones are killed."""
        deadline = time.monotonic() + self.shutdown_timeout
        processes = [*(process for _, process in self.worker_threads), self.scheduler]
        while living := [process for process in processes if self.environment.is_alive(process)]:
            if time.monotonic() >= deadline:
                return False
            living[0].join(0.1)
            self._beat()
            if self.environment.forks:
                self._end_stuck_workers()
            self._undertaker.pay()
        return True

    def check_worker_health(self) -> bool:
        """Replace workers that died; let those go that ended as planned, and end when all have."""
        kept = []
        for number, (worker, process) in enumerate(self.worker_threads, 1):
            if self.environment.is_alive(process):
                kept.append((worker, process))
            elif not _ended_as_planned(worker, process):
                logger.warning("worker %d died (%s); starting another", number, _how(process))
                if worker.stuck is None:
                    self._undertaker.died(worker.uuid, _how(process), worker.page.read())
                kept.append(self._replace(number))
        self.worker_threads = kept
        if not kept:
            logger.info("all workers have ended as planned")
            self.stop(graceful=True)
            raise ConsumerStopped
        if not self.environment.is_alive(self.scheduler):
            logger.warning("maintenance died; starting it again")
            self.scheduler = self._create_process(self._create_scheduler(), "Maintenance")
            self.scheduler.start()
        return True

    def _end_stuck_workers(self) -> None:
        """Kill a worker whose job is past its timeout and the grace after it: the exception was swallowed."""
        now = time.monotonic()
        for worker, process in self.worker_threads:
            running = worker.page.read()
            if running is None or not running.active or now < running.deadline + self._parts.settings.grace:
                continue
            if worker.stuck is not None:
                continue
            worker.stuck = running
            self._undertaker.stuck(worker.uuid, running)
            if self.environment.forks:
                logger.warning("job %d ran past its timeout; its worker is killed", running.job_id)
                self.environment.kill(process)
            else:
                logger.warning(
                    "job %d ran past its timeout; this process ends and starts anew", running.job_id
                )
                self._restart = True
                self.stop(graceful=True)
                raise ConsumerStopped

    def _replace(self, number: int) -> tuple[JobWorker, Any]:
        worker = self._create_worker()
        process = self._create_process(worker, f"Worker-{number}")
        process.start()
        return worker, process

    def _interrupt_workers(self) -> None:
        processes = [process for _, process in self.worker_threads]
        if self.environment.forks:
            processes.append(self.scheduler)
        self.environment.interrupt_workers(processes)

    def _bury(self) -> None:
        """Release what still runs under the names of workers that were killed here."""
        for worker, process in self.worker_threads:
            if _ended_as_planned(worker, process):
                continue
            with suppress(JobmanError, Overdue), guarded(ANSWER):
                rows = self._database.run(_take_back, worker.uuid)
                if rows:
                    push(self._parts, rows)

    def _beat(self) -> None:
        """Renew the workers' leases, when it is time."""
        now = time.monotonic()
        if now < self._next_beat:
            return
        try:
            with guarded(ANSWER):
                lost = self._database.run(heartbeat, self._plan.supervisor)
        except (JobmanError, Overdue) as error:
            logger.warning("no heartbeat: %s", error)
            self._next_beat = time.monotonic() + 1.0
            return
        self._next_beat = now + self._parts.settings.heartbeat
        self._end_lost_workers(lost)

    def _end_lost_workers(self, lost: set[str]) -> None:
        """Workers that others gave up hold nothing any more: their jobs run elsewhere."""
        for worker, process in self.worker_threads:
            if worker.uuid in lost and self.environment.forks and self.environment.is_alive(process):
                logger.warning("worker %s was given up while this host was away; it is ended", worker.uuid)
                self.environment.kill(process)

    def _handle_signal(self, signum: int, frame: Any) -> None:
        super()._handle_signal(signum, frame)
        if signum == signal.SIGINT:
            signal.signal(signal.SIGINT, self._second_interrupt)

    def _second_interrupt(self, _signum: int, _frame: Any) -> None:
        self._interrupted = True
        raise KeyboardInterrupt


def _take_back(connection: Any, dialect: Dialect, worker: str) -> list[InLine]:
    rows = release_all(connection, dialect, worker)
    stop(connection, dialect, worker)
    return rows


def _live(process: Any) -> None:
    """A child's life: until its flag is set or it ends as planned."""
    try:
        process.initialize()
        while not process.stop_flag.is_set():
            process.loop()
    except (PlannedEnd, KeyboardInterrupt):
        pass
    finally:
        process.shutdown()


def _leave(code: int) -> None:
    """End a child without running what the parent registered for its own exit."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _ended_as_planned(worker: Any, process: Any) -> bool:
    code = getattr(process, "exitcode", None)
    return code == 0 if code is not None else bool(worker.planned_end)


def _how(process: Any) -> str:
    code = getattr(process, "exitcode", None)
    if code is None:
        return "an error"
    return f"signal {-code}" if code < 0 else f"exit {code}"
