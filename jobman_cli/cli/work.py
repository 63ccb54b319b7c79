"""``jobman run-worker``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from jobman_cli.cli import talk
from jobman_cli.cli.session import jobman_of, tell_about_plugins, verbosity
from jobman_cli.core.values import read_duration, read_queues
from jobman_cli.errors import InvalidOption


class WorkerType(StrEnum):
    """How workers live."""

    PROCESS = "process"
    THREAD = "thread"
    ASYNC = "async"


Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        metavar="NAME",
        help="A queue to serve; repeat it for more, in order. [default: those of `supervisors: default`]",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="N",
        min=1,
        max=1000,
        help="How many workers [default: 1]; with async, jobs at once in the one worker [default: 100].",
    ),
]
OfType = Annotated[
    WorkerType,
    typer.Option("--worker-type", help="Threads have no hard timeout; async is for `async def` jobs."),
]


def run_worker(
    ctx: typer.Context,
    queue: Queues = None,
    concurrency: Concurrency = None,
    worker_type: OfType = WorkerType.PROCESS,
    once: Annotated[bool, typer.Option("--once", help="Run one job, if there is one, and end.")] = False,
    stop_when_empty: Annotated[
        bool, typer.Option("--stop-when-empty", help="End when nothing can be claimed now.")
    ] = False,
    max_jobs: Annotated[
        int | None, typer.Option("--max-jobs", metavar="N", min=1, help="End after so many jobs.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option("--max-time", metavar="TIME", help="End after: 30s, 5m, 2h, 1d or seconds.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", metavar="MB", min=1, help="End when it uses so much memory.")
    ] = None,
    skip_broken_plugins: Annotated[
        bool, typer.Option("--skip-broken-plugins", help="Start although a plugin cannot be used.")
    ] = False,
) -> None:
    """Run workers until they are told to stop.

    SIGTERM or Ctrl-C lets the running jobs finish and leaves the others in their queues; a second Ctrl-C
    interrupts. Limits (--once, --max-jobs, --max-time, --memory) count for each worker; when all have ended
    as planned the exit code is 0.
    """
    queues = read_queues(queue or [])
    seconds = read_duration(max_time, "--max-time")
    if seconds == 0:
        raise InvalidOption("--max-time must be more than 0", hint="Leave it out for no limit.")
    jobman = jobman_of(ctx)
    talk.start_logging(worker=True, verbose=verbosity(ctx))
    from jobman_cli.runtime.run import RunOptions, run_worker

    if skip_broken_plugins:
        tell_about_plugins(jobman)
    supervisor = jobman.settings.supervisors.get("default", {})
    if concurrency is None:
        concurrency = supervisor.get("concurrency", 100) if worker_type is WorkerType.ASYNC else 1
    options = RunOptions(
        queues=queues or tuple(supervisor.get("queues", ("default",))),
        concurrency=concurrency,
        worker_type=worker_type.value,
        once=once,
        stop_when_empty=stop_when_empty,
        max_jobs=max_jobs,
        max_time=seconds,
        memory=memory,
        skip_broken_plugins=skip_broken_plugins,
    )
    raise typer.Exit(run_worker(jobman.parts, options))
