"""``jobman schedule``: what runs by the clock."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Annotated

import typer

from jobman_cli.cli import output, rows, talk
from jobman_cli.cli.session import jobman_of, tell_about_plugins
from jobman_cli.errors import EXIT_FAILED
from jobman_cli.operations.objects.registered import entry_object

if TYPE_CHECKING:
    from jobman_cli.operations.schedule import Look

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="An entry's name.", show_default=False)]


@app.callback()
def schedule() -> None:
    """Look at what runs by the clock; run, pause and continue it."""


@app.command("list")
def list_(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False
) -> None:
    """List the entries with their next five times and what came of the last.

    An entry that cannot be fired, because its job type is not there or does not take its attribs, is named;
    the exit code is then 1.
    """
    jobman = jobman_of(ctx)
    from jobman_cli.operations.schedule import look

    tell_about_plugins(jobman)
    found = look(jobman.parts)
    if as_json:
        output.write_json([entry_object(each, jobman.settings) for each in found])
    elif not found:
        talk.say("nothing is scheduled; see `schedule:` in docs/reference/settings.md")
    else:
        _write(found)
    for each in filter(_differs, found):
        talk.warn(
            f"{each.entry.name}: the times in force are {each.in_force!r}, of a process with another "
            "configuration; those here count once a supervisor begins with them"
        )
    wrong = [each for each in found if each.fault is not None]
    for each in wrong:
        talk.complain(f"{each.entry.name} cannot be fired: {each.fault}", None)
    if wrong:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def run(ctx: typer.Context, name: Name) -> None:
    """Fire an entry now, also a paused one; it is recorded like any other time.

    A job is dispatched. An operation is run in this very process; the exit code is 1 when it fails.
    """
    jobman = jobman_of(ctx)
    from jobman_cli.operations.housekeeping import perform_now
    from jobman_cli.operations.schedule import find_entry, fire_job_now
    from jobman_cli.store.lifecycle.schedules import FireOutcome

    entry = find_entry(jobman.settings, name)
    if entry.job is not None:
        job = fire_job_now(jobman.parts, entry)
        output.write(f"job {job.id} ({job.type}): {job.status}")
        return
    outcome, said = perform_now(jobman.parts, entry)
    output.write(talk.harmless(f"{entry.what}: {outcome}: {said}"))
    if outcome is not FireOutcome.COMPLETED:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def pause(ctx: typer.Context, name: Name) -> None:
    """Let an entry's times pass until `continue`, on every host, also after a restart."""
    jobman = jobman_of(ctx)
    from jobman_cli.operations.schedule import find_entry
    from jobman_cli.operations.schedule import pause as stop

    entry = find_entry(jobman.settings, name)
    output.write(f"{name} is paused" if stop(jobman.records, entry) else f"{name} is paused already")


@app.command("continue")
def continue_(ctx: typer.Context, name: Name) -> None:
    """Fire an entry's times again, from now on; what passed meanwhile is not caught up."""
    jobman = jobman_of(ctx)
    from jobman_cli.operations.schedule import find_entry, resume

    entry = find_entry(jobman.settings, name)
    output.write(f"{name} goes on" if resume(jobman.records, entry) else f"{name} was not paused")
    if entry.paused:
        talk.warn(f"the configuration pauses {name} as well: take `paused: true` off there")


def _write(found: list[Look]) -> None:
    column = output.Column
    output.write_table(
        found,
        [
            column("name", lambda each: each.entry.name),
            column("runs", lambda each: each.entry.what),
            column("times", lambda each: each.entry.clock, rank=2),
            column("state", _state, rows.state_colour),
            column("last", _last, rank=1),
        ],
    )
    for each in found:
        output.write(f"\n{each.entry.name}, next:" if each.upcoming else f"\n{each.entry.name}: never again")
        for moment in each.upcoming:
            local = f"{moment.astimezone(each.entry.zone):%a %Y-%m-%d %H:%M:%S %z}"
            zone = "" if each.entry.zone is UTC else f"  ({moment:%H:%M:%S} UTC)"
            output.write(f"  {local} {each.entry.zone}{zone}")


def _differs(look: Look) -> bool:
    return look.in_force is not None and look.in_force != look.entry.clock


def _state(look: Look) -> str:
    if look.fault is not None:
        return "broken"
    if _differs(look):
        return "differs"
    return "paused" if look.paused else "on"


def _last(look: Look) -> str:
    if look.last is None:
        return "–"
    outcome = look.last.job_status or look.last.outcome
    job = f" job {look.last.jobman_id}" if look.last.jobman_id else ""
    message = f": {look.last.message}" if look.last.message else ""
    return f"{rows.moment_text(look.last.fire_at)} {outcome}{job}{message}"
