"""``jobman cancel``, ``requeue``, ``clear`` and ``prune``: put it right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import completion, options, output, talk
from jobman_cli.cli.asking import ask, counted, first_ids, names, need_yes, show_dry_run
from jobman_cli.cli.progress import watched
from jobman_cli.cli.session import jobman_of
from jobman_cli.cli.uniqueness import tell_conflicts
from jobman_cli.core.states import FINAL, Status
from jobman_cli.core.values import read_queues
from jobman_cli.errors import EXIT_FAILED, InvalidOption, JobNotFound, UsageError
from jobman_cli.operations.objects import iso
from jobman_cli.operations.objects.conflicts import conflict_objects

if TYPE_CHECKING:
    from jobman_cli.app import Jobman
    from jobman_cli.operations.prune import Old
    from jobman_cli.operations.selection import Found
    from jobman_cli.store.lifecycle.unique import Conflict

_ONE, _MANY = "job", "jobs"


def cancel(ctx: typer.Context, ids: options.JobIds, as_json: options.Counts = False) -> None:
    """Keep waiting jobs from running, and ask running ones to stop.

    A running job sees `ctx.cancelled`; one that does not look goes on to its end. The exit code is 1 when no
    job was touched. For a queue's whole line, see `clear`.
    """
    jobman = jobman_of(ctx)
    from jobman_cli.operations.cancel import cancel as operation
    from jobman_cli.operations.look import states

    wanted = sorted(set(ids))
    touched = operation(jobman.lines, wanted)
    gone = [each.id for each in touched if each.status == Status.CANCELLED]
    asked = [each.id for each in touched if each.status == Status.RUNNING]
    rest = sorted(set(wanted) - set(gone) - set(asked))
    found = states(jobman.records, rest) if rest else {}
    missing = [each for each in rest if each not in found]
    if as_json:
        output.write_json(
            {"cancelled": len(gone), "asked": len(asked), "finished": len(found), "missing": len(missing)}
        )
    else:
        for each in gone:
            output.write(f"job {each}: cancelled")
        for each in asked:
            output.write(f"job {each}: asked to stop; it is running, and stops when it looks")
    for each, state in sorted(found.items()):
        talk.say(f"job {each} is {state} already")
    _end(bool(touched), missing)


def requeue(
    ctx: typer.Context,
    ids: options.SomeJobIds = None,
    unqueued: Annotated[
        bool, typer.Option("--unqueued", help="Push the waiting rows that their queue does not hold.")
    ] = False,
    status: options.Statuses = None,
    type: options.Type = None,
    queue: options.Queue = None,
    dry_run: options.DryRun = False,
    as_json: options.Counts = False,
) -> None:
    """Push what is not in its queue, or run finished jobs again.

    --unqueued changes nothing that is in order, so it may run beside workers and from cron. Finished jobs are
    named by id, or by --status with --type and --queue. One whose unique key another job has is left alone,
    and named; the exit code is 1 when no job was queued. For failed jobs after a fix, see `retry`.
    """
    filters = status is not None or type is not None or queue is not None
    if [bool(ids), unqueued, filters].count(True) != 1:
        raise UsageError(
            "requeue takes one of: ids; --unqueued; --status, with --type and --queue",
            hint="See `jobman requeue --help`.",
        )
    options.checked(type=type, queue=queue)
    states = _final(status or []) if filters else ()
    jobman = jobman_of(ctx)
    if unqueued:
        _requeue_unqueued(jobman, dry_run, as_json)
    elif ids:
        _requeue_ids(jobman, sorted(set(ids)), dry_run, as_json)
    else:
        _requeue_matching(jobman, {"statuses": states, "type": type, "queue": queue}, dry_run, as_json)


def _final(status: list[Status]) -> tuple[str, ...]:
    if not status:
        raise UsageError("which ones? --type and --queue need --status", hint="Such as --status failed.")
    wrong = [each.value for each in status if each not in FINAL]
    if wrong:
        raise InvalidOption(
            f"--status {wrong[0]}: only finished jobs can run again",
            hint="Use completed, failed or cancelled; for rows that wait outside their queue, --unqueued.",
        )
    return tuple(sorted({each.value for each in status}))


def _requeue_unqueued(jobman: Jobman, dry_run: bool, as_json: bool) -> None:
    from jobman_cli.operations.filters import job_filter
    from jobman_cli.operations.requeue import look_unqueued, requeue_unqueued
    from jobman_cli.operations.selection import look_jobs

    if dry_run:
        show_dry_run(look_unqueued(jobman.lines), _ONE, _MANY, as_json)
        return
    waiting = job_filter(jobman.records, statuses=(Status.PENDING.value, Status.QUEUED.value))
    with watched("comparing", lambda: look_jobs(jobman.records, waiting).number) as progress:
        done = requeue_unqueued(jobman.lines, progress)
    if as_json:
        output.write_json({"pending": done.pending, "missing": done.missing, "checked": done.checked})
        return
    output.write(f"{counted(done.pending + done.missing, _ONE, _MANY)} pushed")
    if jobman.lines.engine.has_lines:
        talk.say(f"{done.pending:,} were pending; {done.missing:,} of {done.checked:,} queued were missing")


def _requeue_ids(jobman: Jobman, wanted: list[int], dry_run: bool, as_json: bool) -> None:
    from jobman_cli.operations.look import states
    from jobman_cli.operations.requeue import requeue as operation
    from jobman_cli.operations.selection import FIRST, Found

    if dry_run:
        finished = [each for each, state in sorted(states(jobman.records, wanted).items()) if state in FINAL]
        show_dry_run(Found(len(finished), finished[:FIRST]), _ONE, _MANY, as_json)
        return
    done = operation(jobman.lines, wanted)
    rest = sorted(set(wanted) - set(done.ids) - {each.id for each in done.conflicts})
    found = states(jobman.records, rest) if rest else {}
    missing = [each for each in rest if each not in found]
    if as_json:
        _write_requeued(len(done.ids), len(found), len(missing), done.conflicts)
    elif done.ids:
        output.write(f"{counted(len(done.ids), _ONE, _MANY)} queued")
    for each, state in sorted(found.items()):
        talk.say(f"job {each} is {state}: left alone")
    tell_conflicts(done.conflicts)
    _end(bool(done.ids), missing)


def _requeue_matching(jobman: Jobman, fields: dict[str, Any], dry_run: bool, as_json: bool) -> None:
    from jobman_cli.operations.filters import job_filter
    from jobman_cli.operations.requeue import requeue_matching
    from jobman_cli.operations.selection import look_jobs

    wanted = job_filter(jobman.records, **fields)
    if dry_run:
        show_dry_run(look_jobs(jobman.records, wanted), _ONE, _MANY, as_json)
        return
    with watched("queueing", lambda: look_jobs(jobman.records, wanted).number) as progress:
        number, conflicts = requeue_matching(jobman.lines, wanted, progress)
    if as_json:
        _write_requeued(number, 0, 0, conflicts)
    else:
        output.write(f"{counted(number, _ONE, _MANY)} queued")
    tell_conflicts(conflicts)
    if conflicts and not number:
        raise typer.Exit(EXIT_FAILED)


def _write_requeued(queued: int, unfinished: int, missing: int, conflicts: Sequence[Conflict]) -> None:
    counts = {"queued": queued, "unfinished": unfinished, "missing": missing}
    output.write_json({**counts, "conflicts": conflict_objects(conflicts)})


def clear(
    ctx: typer.Context,
    queue: Annotated[
        str,
        typer.Option(
            "--queue", metavar="NAME", help="The queue.", show_default=False, autocompletion=completion.queues
        ),
    ],
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    as_json: options.Counts = False,
) -> None:
    """Cancel all jobs that wait in a queue; asks first.

    Scheduled ones too. Their rows stay, as `cancelled`: `requeue --status cancelled` runs them again. Running
    jobs go on. For single jobs, see `cancel`; to delete rows, see `prune`.
    """
    read_queues([queue])
    if not dry_run:
        need_yes(yes, "clear")
    jobman = jobman_of(ctx)
    from jobman_cli.operations.cancel import clear as operation
    from jobman_cli.operations.cancel import waiting_in
    from jobman_cli.operations.selection import look_jobs

    def look() -> Found:
        return look_jobs(jobman.records, waiting_in(queue))

    if dry_run:
        show_dry_run(look(), _ONE, _MANY, as_json)
        return
    if not yes and (found := look()).number:
        ask(False, f"Cancel {counted(found.number, _ONE, _MANY)} of {queue!r}{first_ids(found)}?")
    with watched("cancelling", lambda: look().number) as progress:
        number = operation(jobman.lines, queue, progress)
    if as_json:
        output.write_json({"cancelled": number})
    else:
        output.write(f"{counted(number, _ONE, _MANY)} cancelled")


def prune(
    ctx: typer.Context,
    days: Annotated[
        float,
        typer.Option(
            "--days", metavar="D", help="Older than so many days, by `created_at`.", show_default=False
        ),
    ],
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="FILE", help="Write what goes to a new .jsonl.gz file first."),
    ] = None,
    include_unfinished: Annotated[
        bool,
        typer.Option("--include-unfinished", help="Also jobs that wait, never running ones; needs --yes."),
    ] = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    as_json: options.Counts = False,
) -> None:
    """Delete old finished jobs, in short transactions.

    Their attempts and failed jobs go too. It is the only command that deletes jobs, and does not ask, so that
    cron can run it. Unfinished jobs are kept, and counted. To keep jobs from running, see `clear`; to empty
    the list of failed jobs only, see `flush`; to end stray processes, see `purge`.
    """
    if include_unfinished and not (yes or dry_run):
        raise UsageError("--include-unfinished needs --yes", hint="Look with --dry-run first.")
    jobman = jobman_of(ctx)
    from jobman_cli.operations import prune as operation

    before = operation.cutoff(jobman.records, days)

    def look() -> Old:
        return operation.look_old(jobman.records, before, include_unfinished)

    if dry_run:
        _show_old(look(), days, as_json)
        return
    with watched("pruning", lambda: look().going) as progress:
        number = operation.prune(
            jobman.records, before, unfinished=include_unfinished, archive=archive, progress=progress
        )
    kept = look().kept
    if as_json:
        path = None if archive is None else str(archive)
        output.write_json({"deleted": number, "kept": kept, "before": before, "archive": path})
    else:
        output.write(f"{counted(number, _ONE, _MANY)} deleted")
    _tell_kept(kept, before)


def _show_old(old: Old, days: float, as_json: bool) -> None:
    from jobman_cli.operations.selection import Found

    show_dry_run(Found(old.going, old.first), _ONE, _MANY, as_json, kept=old.kept, before=old.before)
    _tell_kept(old.kept, old.before)


def _tell_kept(kept: int, before: datetime) -> None:
    if kept:
        states = " ".join(f"--status {each}" for each in Status if each not in FINAL)
        talk.say(f"kept {counted(kept, 'old job that is', 'old jobs that are')} not finished")
        talk.hint(f"See them: jobman jobs --until {iso(before)} {states}")


def _end(touched: bool, missing: list[int]) -> None:
    """Name the ids that do not exist; exit with 1 when nothing was touched."""
    if missing:
        text = f"there {'is no job' if len(missing) == 1 else 'are no jobs'} {names(missing)}"
        if not touched:
            raise JobNotFound(text)
        talk.warn(text)
    if not touched:
        raise typer.Exit(EXIT_FAILED)
