"""``jobman try``: a command for each job type, with options built from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from jobman_cli.cli import output, rows, talk
from jobman_cli.cli.session import jobman_of, tell_about_plugins
from jobman_cli.cli.signature import AttribOption, attrib_options, description, read_attribs
from jobman_cli.cli.uniqueness import tell_there
from jobman_cli.core.values import read_duration
from jobman_cli.errors import EXIT_FAILED, InvalidJobType, UsageError
from jobman_cli.operations.objects.jobs import job_object

if TYPE_CHECKING:
    from jobman_cli.app import Jobman
    from jobman_cli.core.jobtype import JobType
    from jobman_cli.operations.request import Options

#: Options that stand in the way of a parameter of the same name, beside those of ``_own``.
_RESERVED = ("--help", "-h", "--attrib", "--config", "--database", "--verbose", "--version")


class TypeGroup(TyperGroup):
    """A command for each registered job type."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The job types."""
        return sorted(jobman_of(ctx).registry.types)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a job type; None if there is none."""
        job_type = jobman_of(ctx).registry.types.get(cmd_name)
        return None if job_type is None else try_command(job_type)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer's, but an unknown type names the nearest one."""
        if not ctx.resilient_parsing:
            jobman_of(ctx).registry.find(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The job types with their descriptions."""
        jobman = jobman_of(ctx)
        found = [(name, jobman.registry.types[name].options.description) for name in self.list_commands(ctx)]
        with formatter.section("Job types"):
            if found:
                formatter.write_dl(found)
            else:
                formatter.write_text("None: name a plugin or a module in the configuration.")
        tell_about_plugins(jobman)


app = typer.Typer(
    cls=TypeGroup,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    options_metavar="",
    subcommand_metavar="TYPE [OPTIONS]",
)


@app.callback()
def start() -> None:
    """Dispatch a job with options from its signature, and follow it.

    If a live worker serves the job's queue, its log and progress are shown until it has ended, and the exit
    code is 0 for completed, 1 for failed or cancelled. Otherwise it says how to start a worker.

    See `jobman try TYPE --help` for the options of one type.
    """


def _own(
    sync: Annotated[bool, typer.Option("--sync", help="Run it in this very process, one attempt.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Only dispatch it.")] = False,
    queue: Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Another queue.")] = None,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="TIME", help="Not before: 30s, 5m, 2h, 1d or seconds.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="N", help="-1000 to 1000; the greater goes first.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TEXT", help="To find it by; may be repeated.")
    ] = None,
    unique_key: Annotated[
        str | None,
        typer.Option("--unique-key", metavar="TEXT", help="Not while a job with this key is not finished."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the row as a JSON object.")] = False,
) -> None:
    """The options that every type's command has; only the signature is used."""


def try_command(job_type: JobType) -> Any:
    """The command of one job type.

    Raises:
        InvalidJobType: when no options can be made of its signature.
    """
    own = list(inspect.signature(_own, eval_str=True).parameters.values())
    # In an annotation, Typer takes the first declaration for the default, and moves it later.
    taken = [each.annotation.__metadata__[0].default for each in own]
    try:
        options = attrib_options(job_type, [*taken, *_RESERVED])
        callback = _callback(job_type, options)
        parameters = [option.as_parameter() for option in options]
        parameters += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        vars(callback)["__signature__"] = inspect.Signature([context, *parameters])
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(job_type.name, help=description(job_type))(callback)
        return typer.main.get_command(single)
    except InvalidJobType:
        raise
    except Exception as error:
        raise InvalidJobType(
            f"job type {job_type.name!r}: no options can be made of its signature: {error}",
            hint=f"Use `jobman dispatch {job_type.name} '{{…}}'` instead.",
        ) from error


def _callback(job_type: JobType, options: list[AttribOption]) -> Callable[..., None]:
    def run(ctx: typer.Context, **given: Any) -> None:
        from jobman_cli.operations.request import Options

        if given["sync"] and (given["no_wait"] or given["delay"] is not None):
            raise UsageError(
                "--sync runs the job now: it goes with neither --no-wait nor --delay", hint="Leave one out."
            )
        attribs = read_attribs(options, given)
        delay = read_duration(given["delay"], "--delay")
        chosen = Options(given["queue"], given["priority"], delay, given["tag"], given["unique_key"])
        jobman = jobman_of(ctx)
        if given["sync"]:
            _run_here(jobman, job_type, attribs, chosen, given["as_json"])
        else:
            _send(jobman, job_type, attribs, chosen, given["as_json"], wait=not given["no_wait"])

    return run


def _run_here(
    jobman: Jobman, job_type: JobType, attribs: dict[str, Any], options: Options, as_json: bool
) -> None:
    from jobman_cli.runtime.inline import run_inline

    job = run_inline(jobman.parts, job_type.name, attribs, options)
    for line in (job.logs or "").splitlines():
        talk.say(line)
    _finish(jobman, job, as_json)


def _send(
    jobman: Jobman, job_type: JobType, attribs: dict[str, Any], options: Options, as_json: bool, *, wait: bool
) -> None:
    from jobman_cli.cli.following import Follower, is_served
    from jobman_cli.operations.dispatch import dispatch_once

    job, written = dispatch_once(jobman.parts, job_type.name, attribs, options)
    if not written:
        tell_there(job)
    if not wait or job.status == "pending":
        if job.status == "pending":
            talk.hint("Nothing to do: it is pushed when the queue's server is back.")
        _show(jobman, job, as_json)
        return
    if not is_served(jobman, job.queue):
        talk.say(f"job {job.id} waits: no worker serves the queue {job.queue!r}")
        talk.hint(f"Start one: {start_worker(job.queue)}")
        _show(jobman, job, as_json)
        return
    talk.say(f"job {job.id}{' dispatched' if written else ''}; Ctrl-C stops watching it, not the job")
    follower = Follower(jobman)
    job = follower.follow(int(job.id or 0))
    if follower.deserted:
        talk.say(f"job {job.id} is {job.status}, and no worker serves the queue {job.queue!r} any more")
        talk.hint(f"Start one: {start_worker(job.queue)}")
        _show(jobman, job, as_json)
        return
    _finish(jobman, job, as_json)


def start_worker(queue: str) -> str:
    """The command that serves a queue."""
    return "jobman run-worker" + ("" if queue == "default" else f" --queue {queue}")


def _finish(jobman: Jobman, job: Any, as_json: bool) -> None:
    _show(jobman, job, as_json)
    if job.status != "completed":
        if not as_json:
            talk.hint(f"See `jobman show {job.id}`.")
        raise typer.Exit(EXIT_FAILED)


def _show(jobman: Jobman, job: Any, as_json: bool) -> None:
    if as_json:
        output.write_json(job_object(job, jobman.settings))
    else:
        output.write(talk.harmless(rows.summary(job)))
