"""Run one job here and now, in the calling process: what ``jobman try --sync`` does.

The row is written and claimed in one transaction, under a worker row of this process's own, so no worker
can take it. From there it is an attempt like any other: the same runner, the same fence, the same record.
"""

from __future__ import annotations

import datetime
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from jobman_cli.core.jobtype import JobType
from jobman_cli.core.outcome import COMPLETED
from jobman_cli.core.states import FINAL
from jobman_cli.engine.instance import RunJob
from jobman_cli.errors import JobmanError, UniqueKeyTaken, WorkerLost
from jobman_cli.operations.look import show
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.request import Options, encode, key_of, new_job
from jobman_cli.runtime.completing import Completing
from jobman_cli.runtime.consumer.environment import Alarm
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.identity import identify, new_uuid
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.recorder import Recorder
from jobman_cli.runtime.runner import Attempt, Gate, Runner
from jobman_cli.runtime.watch import Watch
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim, claim_ids
from jobman_cli.store.lifecycle.finish import Finish
from jobman_cli.store.lifecycle.insert import insert_job
from jobman_cli.store.lifecycle.workers import heartbeat, register, stop
from jobman_cli.store.tables import Job

_NOW = datetime.datetime(2000, 1, 1)  # for Huey, which compares it with an eta that a claimed job has not


def run_inline(
    parts: Parts, name: str, attribs: Mapping[str, Any] | None = None, options: Options | None = None
) -> Job:
    """Dispatch a job and run its first attempt in this process. Main thread only, for the timeout.

    Returns:
        The row after the attempt: ``scheduled`` when tries are left, ``queued`` when it was interrupted.

    Raises:
        UnknownJobType, InvalidAttribs, InvalidOption, UniqueKeyTaken: nothing was written.
        StoreUnavailable: the database is away; the job may be there, and is then rescued.
        KeyboardInterrupt: after Ctrl-C, when the job has been given back to its queue.
    """
    job_type = parts.registry.find(name)
    worker = new_uuid()
    claim = _write_and_claim(
        parts, worker, job_type, encode(parts.settings, job_type, attribs or {}), options or Options()
    )
    gate, hand = Gate(), Hand()

    def execute(function: Any, attempt: Attempt) -> object:
        timeout = None if attempt.is_async else attempt.claim.timeout  # the loop has its own
        task = RunJob(args=(function, attempt), id=str(attempt.claim.id), timeout=timeout)
        return parts.engine.huey.execute(task, _NOW)

    runner = Runner(
        parts.registry,
        gate,
        execute,
        lambda attempt, code: completing.open(attempt, code),
        parts.settings.max_attribs_bytes,
    )
    completing = Completing(parts.database, worker, gate, runner.encode)
    meter = Meter()
    watch = Watch(parts, worker, hand, meter)
    watch.start()
    try:
        with _beating(parts, worker), _alarms(parts, gate):
            attempt = runner.begin(claim)
            hand.start(claim, attempt.context, time.monotonic())
            finish = runner.run(attempt)
            hand.finish(claim, None)
            if finish is not None:
                Recorder(parts, worker, parts.database.link(), meter).record([finish])
            elif attempt.recorded:
                meter.count([Finish(claim, COMPLETED, attempt.started, time.time())])
    finally:
        runner.close()
        watch.stop()
        watch.join(2.0)
        with suppress(JobmanError):
            parts.database.run(stop, worker)
    job = show(parts, claim.id)
    if gate.interrupted and job.status not in FINAL:
        raise KeyboardInterrupt
    return job


def _write_and_claim(parts: Parts, worker: str, job_type: JobType, text: str, options: Options) -> Claim:
    new, key = new_job(job_type, options), key_of(job_type, text, options)
    identity = identify(worker, worker, ())  # it is its own supervisor, and serves no queue

    def write(connection: Any, dialect: Dialect) -> Claim:
        register(connection, dialect, identity)
        job, place = insert_job(connection, dialect, new, text, key)
        if place is None:
            raise UniqueKeyTaken(f"job {job.id} has this unique key and is {job.status}: nothing was run")
        claims = claim_ids(connection, dialect, worker, [int(job.id or 0)])
        if not claims:
            raise WorkerLost
        return claims[0]

    return parts.database.run(write)


@contextmanager
def _beating(parts: Parts, worker: str) -> Iterator[None]:
    """Renew the worker's lease while the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(parts.settings.heartbeat):
            with suppress(JobmanError):
                parts.database.run(heartbeat, worker)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(2.0)


@contextmanager
def _alarms(parts: Parts, gate: Gate) -> Iterator[None]:
    """The job's timeout, and an interrupt that only the job's own function feels."""

    def interrupt(_signum: int, _frame: object) -> None:
        gate.interrupted = True
        if gate.is_open:
            raise KeyboardInterrupt

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    alarm = Alarm(gate)
    alarm.install()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    huey, handler = parts.engine.huey, parts.engine.huey._timeout_handler
    huey._timeout_handler = alarm
    try:
        yield
    finally:
        huey._timeout_handler = handler
        for each, old in before.items():
            signal.signal(each, old)
