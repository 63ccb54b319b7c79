"""``jobman failed``, ``retry``, ``forget`` and ``flush``: failed jobs, after the fix or without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import options, output, rows, talk
from jobman_cli.cli.asking import ask, counted, first_ids, names, need_yes, show_dry_run
from jobman_cli.cli.progress import watched
from jobman_cli.cli.session import jobman_of
from jobman_cli.cli.uniqueness import tell_conflicts
from jobman_cli.errors import EXIT_FAILED, InvalidOption, JobmanError, UsageError
from jobman_cli.operations.objects.conflicts import conflict_objects
from jobman_cli.operations.objects.jobs import failed_object

if TYPE_CHECKING:
    from jobman_cli.app import Jobman
    from jobman_cli.operations.selection import Found
    from jobman_cli.store.lifecycle.unique import Conflict
    from jobman_cli.store.queries_failed import FailedFilter
    from jobman_cli.store.tables import FailedJob

_ONE, _MANY = "failed job", "failed jobs"

FailedNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID…]", help="Ids or uuids of `jobman failed`.", show_default=False),
]


class NoSuchFailedJob(JobmanError):
    """There is no such failed job."""

    hint = "See `jobman failed`; these are not the jobs' ids. It may have been retried or forgotten already."


def failed(
    ctx: typer.Context,
    type: options.Type = None,
    queue: options.Queue = None,
    error: Annotated[
        str | None,
        typer.Option(
            "--error", metavar="TEXT", help="The exception holds this text, in any case of letters."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Failed at or after: a date, a time, or 2h, 3d … ago."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Failed before, in the same forms.")
    ] = None,
    limit: options.Limit = 20,
    before: options.Before = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")] = False,
) -> None:
    """List failed jobs, the newest first.

    Their ids are what `retry` and `forget` take. A job is here when its tries are used up, until it is
    retried, requeued or forgotten. `jobman jobs --status failed` also lists those that were forgotten.
    """
    options.checked(type=type, queue=queue, error=error)
    jobman = jobman_of(ctx)
    from jobman_cli.operations.failed import failed as look
    from jobman_cli.operations.filters import failed_filter

    wanted = failed_filter(
        jobman.records,
        mark="--",
        type=type,
        queue=queue,
        error=error,
        since=since,
        until=until,
        before=before,
    )
    found = look(jobman.records, wanted, limit)
    if as_json:
        output.write_json([failed_object(each, jobman.settings) for each in found])
    elif not found:
        asked = any((type, queue, error, since, until, before))
        talk.say("there are no such failed jobs" if asked else "there are no failed jobs")
    else:
        rows.write_failed(found)
        if len(found) == limit:
            talk.say(f"more: add --before {found[-1].id}")


def retry(
    ctx: typer.Context,
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…|all", help="Ids or uuids of `jobman failed`, or `all`.", show_default=False
        ),
    ],
    type: options.Type = None,
    queue: options.Queue = None,
    dry_run: options.DryRun = False,
    as_json: options.Counts = False,
) -> None:
    """Run failed jobs again, with fresh tries.

    Do it after the fix. One whose unique key another job has is left alone and named. The exit code is 1 when
    none was queued. To run jobs again that are completed or cancelled, or were forgotten, see `requeue`; to
    drop failed jobs without running them, see `forget` and `flush`.
    """
    options.checked(type=type, queue=queue)
    everything = ids == ["all"]
    if not everything and (type is not None or queue is not None):
        raise UsageError("--type and --queue go with `all` only", hint="Use `jobman retry all --type TYPE`.")
    if not everything:
        _check_names(ids)
    jobman = jobman_of(ctx)
    from jobman_cli.operations import failed as operation
    from jobman_cli.operations.filters import failed_filter
    from jobman_cli.operations.selection import look_failed

    if not everything:
        found, missing = operation.named(jobman.records, ids)
        if not dry_run:
            done = operation.retry(jobman.lines, found) if found else operation.Retried()
            _finish(done.queued, found, missing, "queued", as_json, done.conflicts)
            return
        _tell_missing(missing)
        show_dry_run(_as_found(found), _ONE, _MANY, as_json)
        return
    wanted = failed_filter(jobman.records, type=type, queue=queue)
    if dry_run:
        show_dry_run(look_failed(jobman.records, wanted), _ONE, _MANY, as_json)
        return
    with watched("retrying", lambda: look_failed(jobman.records, wanted).number) as progress:
        done = operation.retry_all(jobman.lines, wanted, progress)
    _say_done(done.queued, "queued", as_json, done.conflicts)
    if not done.queued and done.conflicts:
        raise typer.Exit(EXIT_FAILED)
    if not done.queued:
        raise NoSuchFailedJob("no failed job matches", hint="See `jobman failed`.")


def forget(
    ctx: typer.Context,
    ids: FailedNames = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them; asks first.")] = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    as_json: options.Counts = False,
) -> None:
    """Take failed jobs off the list, without running them.

    The jobs themselves stay, as `failed`: `requeue` can still run them. For old ones by age, see `flush`; to
    delete jobs, see `prune`. The exit code is 1 when none of the ids exists.
    """
    if bool(ids) == everything:
        raise UsageError("forget takes ids, or --all", hint="See `jobman failed` for the ids.")
    if everything:
        _drop_all(ctx, None, dry_run, yes, as_json, "forget --all")
        return
    given = list(ids or ())
    _check_names(given)
    jobman = jobman_of(ctx)
    from jobman_cli.operations import failed as operation

    found, missing = operation.named(jobman.records, given)
    if dry_run:
        _tell_missing(missing)
        show_dry_run(_as_found(found), _ONE, _MANY, as_json)
        return
    _finish(operation.forget(jobman.records, found), found, missing, "forgotten", as_json)


def flush(
    ctx: typer.Context,
    hours: Annotated[
        float | None,
        typer.Option("--hours", metavar="H", help="Only those that failed more than so many hours ago."),
    ] = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    as_json: options.Counts = False,
) -> None:
    """Take all failed jobs off the list, or old ones; asks first.

    The jobs themselves stay, as `failed`. For some by id, see `forget`; to delete old jobs, see `prune`.
    """
    _drop_all(ctx, hours, dry_run, yes, as_json, "flush")


def _drop_all(
    ctx: typer.Context, hours: float | None, dry_run: bool, yes: bool, as_json: bool, name: str
) -> None:
    if not dry_run:
        need_yes(yes, name)
    jobman = jobman_of(ctx)
    from jobman_cli.operations import failed as operation
    from jobman_cli.operations.filters import failed_filter
    from jobman_cli.operations.selection import look_failed

    wanted = failed_filter(jobman.records)
    if hours is not None:
        wanted = operation.older_than(jobman.records, wanted, hours)
    if dry_run:
        show_dry_run(look_failed(jobman.records, wanted), _ONE, _MANY, as_json)
        return
    if not yes:
        _ask(jobman, wanted)
    with watched("forgetting", lambda: look_failed(jobman.records, wanted).number) as progress:
        number = operation.flush(jobman.lines, wanted, progress)
    _say_done(number, "forgotten", as_json)


def _ask(jobman: Jobman, wanted: FailedFilter) -> None:
    from jobman_cli.operations.selection import look_failed

    found = look_failed(jobman.records, wanted)
    if found.number:
        ask(False, f"Forget {counted(found.number, _ONE, _MANY)}{first_ids(found)}?")


def _check_names(given: Sequence[str]) -> None:
    from jobman_cli.operations.failed import failed_key

    wrong = [name for name in given if failed_key(name) is None]
    if wrong:
        raise InvalidOption(
            f"{wrong[0]!r} is no id of a failed job", hint="Use an id or a uuid that `jobman failed` shows."
        )


def _as_found(found: Sequence[FailedJob]) -> Found:
    from jobman_cli.operations.selection import FIRST, Found

    return Found(len(found), [int(row.id or 0) for row in found[:FIRST]])


def _finish(
    number: int,
    found: Sequence[Any],
    missing: Sequence[str],
    done: str,
    as_json: bool,
    conflicts: Sequence[Conflict] | None = None,
) -> None:
    """Say what was done to named ones; exit with 1 when that is nothing."""
    elsewhere = len(found) - number - len(conflicts or ())
    if as_json:
        _write_counts({done: number, "missing": len(missing), "elsewhere": elsewhere}, conflicts)
    elif number:
        output.write(f"{counted(number, _ONE, _MANY)} {done}")
    if elsewhere:
        talk.say(f"{counted(elsewhere, _ONE, _MANY)} were taken by somebody else at the same time")
    tell_conflicts(conflicts or ())
    if number:
        _tell_missing(missing)
        return
    if missing:
        raise NoSuchFailedJob(f"there is no failed job {names(missing)}")
    raise typer.Exit(EXIT_FAILED)


def _tell_missing(missing: Sequence[str]) -> None:
    if missing:
        talk.warn(f"there is no failed job {names(missing)}")


def _say_done(number: int, done: str, as_json: bool, conflicts: Sequence[Conflict] | None = None) -> None:
    if as_json:
        _write_counts({done: number, "missing": 0, "elsewhere": 0}, conflicts)
    else:
        output.write(f"{counted(number, _ONE, _MANY)} {done}")
    tell_conflicts(conflicts or ())


def _write_counts(counts: dict[str, int], conflicts: Sequence[Conflict] | None) -> None:
    more = {} if conflicts is None else {"conflicts": conflict_objects(conflicts)}
    output.write_json({**counts, **more})
