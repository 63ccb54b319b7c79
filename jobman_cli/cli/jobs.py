"""``jobman jobs``, ``show`` and ``wait``: what has become of jobs. No plugin is loaded for it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobman_cli.cli import output, rows, talk
from jobman_cli.cli.session import jobman_of
from jobman_cli.cli.values import MAX_ID, read_duration, read_queues
from jobman_cli.core.states import FINAL, Status
from jobman_cli.errors import EXIT_FAILED, JobNotFound

JobId = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=MAX_ID, help="A job's id.", show_default=False)
]
JobIds = Annotated[
    list[int], typer.Argument(metavar="ID…", min=1, max=MAX_ID, help="Jobs' ids.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def jobs(
    ctx: typer.Context,
    status: Annotated[Status | None, typer.Option("--status", help="Only jobs in this state.")] = None,
    type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only jobs of this type.")
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="NAME", help="Only jobs of this queue.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many.")] = 20,
    before: Annotated[
        int | None,
        typer.Option(
            "--before", metavar="ID", min=1, max=MAX_ID, help="Only ids below this one: the next page."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")] = False,
) -> None:
    """List jobs, the newest first."""
    if queue is not None:
        read_queues([queue])
    jobman = jobman_of(ctx)
    from jobman_cli.operations.look import jobs as look
    from jobman_cli.store.queries import JobFilter

    wanted = JobFilter(
        statuses=() if status is None else (status.value,), type=type, queue=queue, before=before
    )
    found = look(jobman.records, wanted, limit)
    if as_json:
        output.write_json([rows.job_object(job, jobman.settings) for job in found])
    elif not found:
        talk.say("there are no such jobs" if status or type or queue or before else "there are no jobs yet")
    else:
        rows.write_jobs(found)
        if len(found) == limit:
            talk.say(f"more: add --before {found[-1].id}")


def show(ctx: typer.Context, ids: JobIds, as_json: AsJson = False) -> None:
    """Show all that is known of jobs.

    With --json one object for one id and an array for several: the columns of the row, and `history`, its
    attempts that did not complete.
    """
    jobman = jobman_of(ctx)
    from jobman_cli.operations import look

    wanted = list(dict.fromkeys(ids))
    by_id = {job.id: job for job in look.show_many(jobman.records, wanted)}
    found = [by_id[each] for each in wanted if each in by_id]
    objects: list[dict[str, Any]] = []
    for at, job in enumerate(found):
        history = look.attempts(jobman.records, int(job.id or 0))
        if as_json:
            shown = rows.job_object(job, jobman.settings)
            objects.append({**shown, "history": [rows.attempt_object(each) for each in history]})
            continue
        if at:
            output.write("")
        rows.write_job(job, jobman.settings, history)
    if objects:
        output.write_json(objects if len(wanted) > 1 else objects[0])
    missing = [str(each) for each in wanted if each not in by_id]
    if missing:
        are = "is no job" if len(missing) == 1 else "are no jobs"
        raise JobNotFound(f"there {are} {', '.join(missing)}")


def wait(
    ctx: typer.Context,
    id: JobId,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help="Give up after: 30s, 5m, 2h, 1d or seconds."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a job has ended.

    The exit code is 0 for completed, 1 for failed or cancelled, or when the time was up.
    """
    jobman = jobman_of(ctx)
    seconds = read_duration(timeout, "--timeout")
    job = jobman.wait(id, seconds)
    if as_json:
        output.write_json(rows.job_object(job, jobman.settings))
    else:
        output.write(talk.harmless(rows.summary(job)))
    if job.status not in FINAL:
        talk.complain(f"job {id} has not ended within {seconds:g} s", f"See `jobman show {id}`.")
        raise typer.Exit(EXIT_FAILED)
    if job.status != Status.COMPLETED:
        raise typer.Exit(EXIT_FAILED)
