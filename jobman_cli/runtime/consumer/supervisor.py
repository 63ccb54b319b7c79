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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from huey.consumer import Consumer, ConsumerStopped

from jobman_cli.errors import JobmanError
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.metrics import queue_states
from jobman_cli.operations.parts import Parts, Records
from jobman_cli.runtime import notify
from jobman_cli.runtime.consumer.balancer import Balancer, Pool
from jobman_cli.runtime.consumer.children import MaintenanceProcess, ended_as_planned, how, life
from jobman_cli.runtime.consumer.crew import Crew, Member, is_busy
from jobman_cli.runtime.consumer.environment import JobProcessEnvironment, JobThreadEnvironment
from jobman_cli.runtime.consumer.reporter import Reporter
from jobman_cli.runtime.consumer.undertaker import ANSWER, Undertaker
from jobman_cli.runtime.consumer.worker import JobWorker, WorkerPlan
from jobman_cli.runtime.guard import Overdue, guarded
from jobman_cli.runtime.identity import resident_bytes
from jobman_cli.runtime.switchboard import Switchboard
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.release import release_all
from jobman_cli.store.lifecycle.supervisors import Charge
from jobman_cli.store.lifecycle.workers import heartbeat, stop

logger = logging.getLogger("jobman.supervisor")

#: Seconds until a heartbeat that failed is tried again: a database that comes and goes must not be there for
#: the judges and never for the judged.
BEAT_AGAIN = 0.2
#: Workers whose memory one heartbeat tells.
WEIGHED = 500


class Supervisor(Consumer):
    """Pools of workers.

    Args:
        plan: What each worker is to do.
        pools: How many workers serve which queues, to begin with.
        worker_type: ``process``, ``thread``, or ``async``: processes with an event loop each.
        charge: What its row says of it.
        balancer: Decides about the pools' sizes; None keeps them until all workers have ended.
    """

    def __init__(
        self,
        parts: Parts,
        plan: WorkerPlan,
        pools: Mapping[Pool, int],
        worker_type: str,
        charge: Charge,
        balancer: Balancer | None = None,
    ) -> None:
        self._parts, self._plan = parts, plan
        self._balancer = balancer
        queues = [queue for pool in pools for queue in pool]
        self._switchboard = Switchboard(queues)
        self._flags: list[Any] = []
        self.worker_threads: list[tuple[JobWorker, Any]]
        self.scheduler: Any
        self._next_beat = 0.0
        self._unheard = False
        self._interrupted = False
        super().__init__(
            parts.engine.huey,
            workers=0,
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
        self._reporter = Reporter(self._database, plan.supervisor, charge, queues, self._switchboard)
        self._crew = Crew(pools, self._hire)
        self.worker_threads = self._crew.members

    @property
    def exit_code(self) -> int:
        """0, or 130 after a second Ctrl-C."""
        return 130 if self._interrupted else 0

    def get_environment(self, worker_type: str) -> Any:
        """Ours."""
        kind = JobThreadEnvironment if worker_type == "thread" else JobProcessEnvironment
        return kind(self._graceful_sig, self._interrupt_sig)

    def _flag(self) -> Any:
        flag = self.environment.get_stop_flag()
        self._flags.append(flag)
        return flag

    def _hire(self, pool: Pool) -> Member:
        worker = JobWorker(self._parts, replace(self._plan, queues=pool), self._flag(), self._switchboard)
        return worker, self._create_process(worker, f"worker {worker.uuid[:8]} of {','.join(pool)}")

    def _create_scheduler(self) -> MaintenanceProcess:
        return MaintenanceProcess(self._parts, self._flag(), self._parts.settings.sweep)

    def _create_process(self, process: Any, name: str) -> Any:
        environment = self.environment
        return environment.create_process(
            life(process, name, environment.init_child, environment.forks), name
        )

    def start(self) -> None:
        """Start the children and take over the signals."""
        if self.worker_type == "thread":
            logger.warning("worker threads have no hard timeout: a job that never returns keeps its thread")
        if self.environment.forks:
            self.huey.storage.close()
        self._set_signal_handlers()
        self._reporter.register()
        self.scheduler.start()
        self._crew.start()
        notify.ready()
        logger.info(
            "supervisor %s runs %d %s worker(s)",
            self._plan.supervisor,
            len(self.worker_threads),
            self.worker_type,
        )

    def run(self) -> None:
        """Until all workers have ended as planned, or a signal ends them."""
        self.start()
        checked = time.monotonic()
        try:
            while True:
                checked = self.loop(checked)
                self._beat()
                self._report()
                self._balance()
                self._end_stuck_workers()
                self._undertaker.pay()
        except ConsumerStopped:
            pass
        self._bury()
        self._reporter.stop()
        if self._restart:
            logger.info("starting anew")
            os.execv(sys.executable, [sys.executable, "-m", "jobman_cli", *sys.argv[1:]])  # noqa: S606

    def stop(self, graceful: bool = False) -> None:
        """Tell every child, then wait as Huey does."""
        notify.stopping()
        logger.info("stopping: %s", "running jobs may finish" if graceful else "at once")
        self._reporter.stopping()
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
            self._reporter.report(self._sizes())
            if self.environment.forks:
                self._end_stuck_workers()
            self._undertaker.pay()
        return True

    def check_worker_health(self) -> bool:
        """Replace workers that died; let those go that ended as planned, and end when all have."""
        for member in list(self.worker_threads):
            worker, process = member
            if self.environment.is_alive(process):
                continue
            self.worker_threads.remove(member)
            self._flags.remove(worker.stop_flag)
            if not ended_as_planned(worker, process):
                logger.warning("worker %s died (%s)", worker.uuid, how(process))
                if not worker.stuck:
                    self._undertaker.died(worker.uuid, how(process), worker.page.read())
                if not worker.retiring:
                    self._crew.begin(worker.plan.queues)
        if self._balancer is not None:
            self._crew.fill()
        elif not self.worker_threads:
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
            stuck = worker.page.overdue(now, self._parts.settings.grace)
            if not stuck or worker.stuck:
                continue
            worker.stuck = stuck
            self._undertaker.stuck(worker.uuid, stuck)
            jobs = ", ".join(f"job {each.job_id}" for each in stuck)
            if self.environment.forks:
                logger.warning("%s ran past the timeout; the worker is killed", jobs)
                self.environment.kill(process)
            else:
                logger.warning("%s ran past the timeout; this process ends and starts anew", jobs)
                self._restart = True
                self.stop(graceful=True)
                raise ConsumerStopped

    def _balance(self) -> None:
        balancer = self._balancer
        if balancer is None or self._reporter.paused or not balancer.is_due:
            return
        try:
            with guarded(ANSWER):
                found = queue_states(Records(self._parts.settings, self._database))
        except (JobmanError, Overdue) as error:
            logger.debug("no balance: %s", error)
            return
        states = {state.queue: state for state in found}
        paused = {name for name, state in states.items() if state.paused}
        for pool, wanted in balancer.decide(states, self._crew.counts(), paused).items():
            if wanted != self._crew.wanted(pool):
                logger.info("pool %s: %d worker(s)", ",".join(pool), wanted)
            self._crew.scale(pool, wanted)

    def _sizes(self) -> dict[str, int]:
        return {",".join(pool): number for pool, number in self._crew.counts().items()}

    def _report(self) -> None:
        if self._reporter.report(self._sizes()):
            self.stop(graceful=True)
            raise ConsumerStopped

    def _interrupt_workers(self) -> None:
        processes = [process for _, process in self.worker_threads]
        if self.environment.forks:
            processes.append(self.scheduler)
        self.environment.interrupt_workers(processes)

    def _bury(self) -> None:
        """Release what still runs under the names of workers that were killed here."""
        for worker, process in self.worker_threads:
            if ended_as_planned(worker, process):
                continue
            with suppress(JobmanError, Overdue), guarded(ANSWER):
                rows = self._database.run(_take_back, worker.uuid)
                if rows:
                    push(self._parts, rows)

    def _beat(self) -> None:
        """Renew the workers' leases, when it is time; tell systemd that this loop goes round."""
        notify.watchdog()
        now = time.monotonic()
        if now < self._next_beat:
            return
        try:
            with guarded(ANSWER):
                busy = [worker.uuid for worker, _ in self.worker_threads if is_busy(worker)]
                lost = self._database.run(heartbeat, self._plan.supervisor, self._memory(), busy)
        except (JobmanError, Overdue) as error:
            if not self._unheard:
                logger.warning("no heartbeat: %s; tried again until there is one", error)
            self._unheard = True
            self._next_beat = time.monotonic() + BEAT_AGAIN
            return
        self._unheard = False
        self._next_beat = now + self._parts.settings.heartbeat
        self._end_lost_workers(lost)

    def _memory(self) -> dict[str, int]:
        """Bytes that each worker's process takes; of so many as one statement may name."""
        if not self.environment.forks:
            return {}
        found = {
            worker.uuid: resident_bytes(process.pid or 0) for worker, process in self.worker_threads[:WEIGHED]
        }
        return {uuid: size for uuid, size in found.items() if size is not None}

    def _end_lost_workers(self, lost: set[str]) -> None:
        """Workers that others gave up hold nothing any more: their jobs run elsewhere."""
        for worker, process in self.worker_threads:
            if worker.uuid in lost and self.environment.forks and self.environment.is_alive(process):
                logger.warning("worker %s was given up while this host was away; it is ended", worker.uuid)
                self.environment.kill(process)

    def _handle_signal(self, signum: int, frame: Any) -> None:
        """As Huey's, but a second TERM changes nothing: a master and systemd may both send one."""
        super()._handle_signal(signum, frame)
        if self._graceful and not self._restart:
            signal.signal(signal.SIGTERM, _nothing)
            signal.signal(signal.SIGINT, self._second_interrupt)

    def _second_interrupt(self, _signum: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, _nothing)
        self._interrupted = True
        raise KeyboardInterrupt


def _nothing(_signum: int, _frame: Any) -> None:
    pass


def _take_back(connection: Any, dialect: Dialect, worker: str) -> list[InLine]:
    rows = release_all(connection, dialect, worker)
    stop(connection, dialect, worker)
    return rows
