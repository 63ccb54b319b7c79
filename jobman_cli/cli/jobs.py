"""``jobman jobs``, ``show``, ``logs`` and ``wait``: what has become of jobs. No plugin is loaded for it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import options, output, rows, talk
from jobman_cli.cli.asking import names
from jobman_cli.cli.options import AsJson, JobId, JobIds
from jobman_cli.cli.session import jobman_of
from jobman_cli.core.states import FINAL, Status
from jobman_cli.core.values import read_duration
from jobman_cli.errors import EXIT_FAILED, JobNotFound, UsageError
from jobman_cli.operations.objects.jobs import job_object, logs_object, whole_object

if TYPE_CHECKING:
    from jobman_cli.app import Jobman
    from jobman_cli.store.tables import Job


def jobs(
    ctx: typer.Context,
    status: options.Statuses = None,
    type: options.Type = None,
    queue: options.Queue = None,
    tag: options.Tag = None,
    error: options.ErrorText = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: options.Limit = 20,
    before: options.Before = None,
    silenced: Annotated[bool, typer.Option("--silenced", help="Only silenced jobs, in any state.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Leave nothing out: also completed jobs that are silenced.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")] = False,
) -> None:
    """List jobs, the newest first.

    All that is asked for must hold; of several --status one. Pages go on with --before. Completed jobs that
    are silenced are left out, unless --type or --tag asks for them.
    """
    options.checked(type=type, queue=queue, tag=tag, error=error)
    if silenced and everything:
        raise UsageError("--silenced and --all do not go together", hint="Leave one out.")
    jobman = jobman_of(ctx)
    from jobman_cli.operations.filters import job_filter
    from jobman_cli.operations.look import jobs as look
    from jobman_cli.operations.silence import only_silenced, without_silenced

    asked = any((status, type, queue, tag, error, since, until, before, silenced))
    wanted = job_filter(
        jobman.records,
        mark="--",
        statuses=tuple(sorted({each.value for each in status or ()})),
        type=type,
        queue=queue,
        tag=tag,
        error=error,
        since=since,
        until=until,
        before=before,
    )
    if silenced:
        wanted = only_silenced(jobman.settings, wanted)
    elif not everything:
        wanted = without_silenced(jobman.settings, wanted)
    found = look(jobman.records, wanted, limit)
    if as_json:
        output.write_json([job_object(job, jobman.settings) for job in found])
    elif not found:
        talk.say("there are no such jobs" if asked or wanted.without else "there are no jobs yet")
        if wanted.without:
            talk.say("silenced ones that are completed are left out: add --all")
    else:
        rows.write_jobs(found)
        if len(found) == limit:
            talk.say(f"more: add --before {found[-1].id}")


def show(ctx: typer.Context, ids: JobIds, as_json: AsJson = False) -> None:
    """Show all that is known of jobs.

    With --json one object for one id and an array for several: the columns of the row, its `place` in the
    line, its `worker`, its `failed_job`, and `history`, its attempts that did not complete.
    """
    jobman = jobman_of(ctx)
    from jobman_cli.cli import timeline
    from jobman_cli.operations.look import whole as look

    wanted = list(dict.fromkeys(ids))
    found, missing = _find(jobman, wanted)
    objects: list[dict[str, Any]] = []
    for at, job in enumerate(found):
        whole = look(jobman.records, job)
        if as_json:
            objects.append(whole_object(whole, jobman.settings))
            continue
        if at:
            output.write("")
        rows.write_job(job, jobman.settings, timeline.fields(whole))
    if objects:
        output.write_json(objects if len(wanted) > 1 else objects[0])
    _complain_of(missing)


def logs(
    ctx: typer.Context,
    id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended, or Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object: id, status, logs.")] = False,
) -> None:
    """Print what a job has logged.

    Each line has the time, the attempt and the text. A running job's lines are stored as they come, within
    a second or so.
    """
    if follow and as_json:
        raise UsageError("--json prints once: it does not go with --follow", hint="Leave one out.")
    jobman = jobman_of(ctx)
    from jobman_cli.operations.look import show

    if as_json:
        job = show(jobman.records, id)
        output.write_json(logs_object(job))
        return
    printed = 0

    def tell(job: Job) -> None:
        nonlocal printed
        text = job.logs or ""
        for line in text[printed:].splitlines():
            output.write(talk.harmless(line))
        printed = len(text)

    if follow:
        job = jobman.wait(id, follow=tell)
        talk.say(rows.summary(job))
        return
    job = show(jobman.records, id)
    tell(job)
    if not job.logs:
        talk.say(f"job {id} ({job.status}) has logged nothing")


def wait(
    ctx: typer.Context,
    ids: JobIds,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help="Give up after: 30s, 5m, 2h, 1d or seconds."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the row as JSON; an array for several ids.")
    ] = False,
) -> None:
    """Wait until jobs have ended.

    The exit code is 0 when all are completed; 1 when one is failed or cancelled, or when the time was up.
    """
    jobman = jobman_of(ctx)
    seconds = read_duration(timeout, "--timeout")
    wanted = list(dict.fromkeys(ids))
    _complain_of(_find(jobman, wanted)[1])
    until = None if seconds is None else time.monotonic() + seconds
    ended = []
    for each in wanted:
        left = None if until is None else max(until - time.monotonic(), 0)
        ended.append(jobman.wait(each, left))
        if not as_json:
            output.write(talk.harmless(rows.summary(ended[-1])))
    if as_json:
        objects = [job_object(job, jobman.settings) for job in ended]
        output.write_json(objects if len(wanted) > 1 else objects[0])
    late = [job.id for job in ended if job.status not in FINAL]
    if late:
        have = "has" if len(late) == 1 else "have"
        jobs_ = "job" if len(late) == 1 else "jobs"
        talk.complain(
            f"{jobs_} {names(late)} {have} not ended within {seconds:g} s", f"See `jobman show {late[0]}`."
        )
    if any(job.status != Status.COMPLETED for job in ended):
        raise typer.Exit(EXIT_FAILED)


def _find(jobman: Jobman, wanted: list[int]) -> tuple[list[Job], list[int]]:
    """The rows in the order asked for, and the ids that have none."""
    from jobman_cli.operations.look import show_many

    by_id = {job.id: job for job in show_many(jobman.records, wanted)}
    return [by_id[each] for each in wanted if each in by_id], [each for each in wanted if each not in by_id]


def _complain_of(missing: Iterable[int]) -> None:
    ids = list(missing)
    if ids:
        raise JobNotFound(f"there {'is no job' if len(ids) == 1 else 'are no jobs'} {names(ids)}")
