"""Run workers until they end: what `jobman run-worker` does, and `jobman supervise` for each supervisor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from jobman_cli.errors import PluginError, UsageError
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.schedule import check_schedule
from jobman_cli.runtime.consumer.balancer import Balancer, Pool
from jobman_cli.runtime.consumer.supervisor import Supervisor
from jobman_cli.runtime.consumer.worker import WorkerPlan
from jobman_cli.runtime.identity import end_with_parent, new_uuid
from jobman_cli.settings.blocks import Block
from jobman_cli.store.lifecycle.supervisors import Charge

WORKER_TYPES = ("process", "thread", "async")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `run-worker` takes; limits count for each worker.

    Attributes:
        queues: In the order in which they are served.
        concurrency: How many workers; with ``async``, how many jobs the one worker runs at once.
        worker_type: ``process``, ``thread`` or ``async``.
        once: Run one job, if there is one, and end.
        stop_when_empty: End when nothing can be claimed now.
        max_time: Seconds.
        memory: MiB.
        skip_broken_plugins: Start although something listed could not be loaded.
    """

    queues: tuple[str, ...] = ("default",)
    concurrency: int = 1
    worker_type: str = "process"
    once: bool = False
    stop_when_empty: bool = False
    max_jobs: int | None = None
    max_time: float | None = None
    memory: float | None = None
    skip_broken_plugins: bool = False


def run_worker(parts: Parts, options: RunOptions) -> int:
    """Run a supervisor and its workers in this process, until they have ended.

    Returns:
        The exit code: 0, or 130 after a second Ctrl-C.

    Raises:
        PluginError: when something listed could not be loaded.
        UsageError: when an option is out of its bounds.
    """
    _refuse_broken(parts, options.skip_broken_plugins)
    if options.concurrency < 1:
        raise UsageError("--concurrency must be 1 or more")
    if options.worker_type not in WORKER_TYPES:
        raise UsageError(
            f"--worker-type {options.worker_type!r} is not known", hint=f"Use {', '.join(WORKER_TYPES)}."
        )
    beside = options.worker_type == "async"
    plan = WorkerPlan(
        queues=options.queues,
        supervisor=new_uuid(),
        concurrency=options.concurrency if beside else None,
        once=options.once,
        stop_when_empty=options.stop_when_empty,
        max_jobs=options.max_jobs,
        max_time=options.max_time,
        memory=options.memory,
    )
    pools = {options.queues: 1 if beside else options.concurrency}
    return _run(parts, plan, pools, options.worker_type, Charge("supervisor", "run-worker"), None)


def run_block(
    parts: Parts,
    block: Block,
    master: str | None,
    environment: str | None,
    *,
    parent: int | None = None,
    paused: bool = False,
    skip_broken_plugins: bool = False,
) -> int:
    """Run one supervisor of the configuration in this process, until it is told to end.

    Args:
        master: The uuid of the master that started it.
        parent: The master's pid: when it dies, this supervisor ends gracefully.
        paused: Begin paused.

    Returns:
        The exit code.

    Raises:
        PluginError: when something listed could not be loaded.
    """
    if parent is not None and not end_with_parent(parent):
        return 0
    _refuse_broken(parts, skip_broken_plugins)
    if block.nice:
        with suppress(PermissionError):
            os.nice(block.nice)
    balancer = Balancer(block)
    plan = WorkerPlan(
        queues=block.queues,
        supervisor=new_uuid(),
        concurrency=block.concurrency if block.worker_type == "async" else None,
        max_jobs=block.max_jobs or None,
        max_time=block.max_time or None,
        memory=block.memory or None,
    )
    state = "paused" if paused else "running"
    charge = Charge("supervisor", block.name, block.balance, master, environment, state)
    return _run(parts, plan, balancer.begin(), block.worker_type, charge, balancer)


def _refuse_broken(parts: Parts, skip: bool) -> None:
    broken = parts.registry.broken
    if broken and not skip:
        names = "; ".join(f"{info.name}: {info.error}" for info in broken)
        raise PluginError(
            f"{len(broken)} of the listed plugins and modules cannot be used: {names}",
            hint="Repair them (see `jobman plugins`), or start with --skip-broken-plugins.",
        )
    if not skip:
        check_schedule(parts)


def _run(
    parts: Parts,
    plan: WorkerPlan,
    pools: Mapping[Pool, int],
    worker_type: str,
    charge: Charge,
    balancer: Balancer | None,
) -> int:
    for job_type in parts.registry.types.values():
        job_type.check()  # the children inherit what is built here
    parts.database.close()
    supervisor = Supervisor(parts, plan, pools, worker_type, charge, balancer)
    supervisor.run()
    return supervisor.exit_code
