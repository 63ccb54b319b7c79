"""``jobman``: the root of the commands, the global options, and the one place where errors become exit codes.

It must stay cheap to import: commands, and all that they need, are imported when they are asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NoReturn

import typer

from jobman_cli.cli import failures, talk
from jobman_cli.cli.commands import RootGroup
from jobman_cli.cli.session import jobman_of

app = typer.Typer(
    cls=RootGroup,
    name="jobman",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from jobman_cli import __version__

        typer.echo(f"jobman {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        str | None,
        typer.Option("--config", "-c", metavar="FILE", help="The configuration; see `jobman config check`."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="Another database than the configured one."),
    ] = None,
    queue_url: Annotated[
        str | None,
        typer.Option("--queue-url", metavar="URL", help="`database`, or the URL of another Redis."),
    ] = None,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, show_default=False, help="Say more; show tracebacks."),
    ] = 0,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Background jobs whose truth is a SQL row.

    A job is dispatched (`try`, `dispatch`), worked (`run-worker`) and looked at (`jobs`, `show`).
    """
    ctx.obj = partial(jobman_of, ctx)  # for the commands of plugins
    talk.start_logging(worker=False, verbose=verbose)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code; see ``errors`` for the codes."""
    talk.quiet_streams()
    code = run(sys.argv[1:] if arguments is None else list(arguments))
    try:
        (sys.__stdout__ or sys.stdout).flush()
    except BrokenPipeError:
        # Python would flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        What to exit with.
    """
    verbose = _count_verbose(arguments)
    try:
        command: Any = typer.main.get_command(app)
        result = command.main(args=list(arguments), prog_name="jobman", standalone_mode=False)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # Typer's answer, when its help is not read
            return 0
        return error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException as error:
        return failures.report(error, verbose)
    if isinstance(result, int) and result == 130 and not isinstance(result, bool):
        talk.say("interrupted")
    return result if isinstance(result, int) else 0


def _count_verbose(arguments: Sequence[str]) -> int:
    """How often ``-v`` stands before the command: errors while reading the options need it as well."""
    count = 0
    for argument in arguments:
        if argument == "--verbose":
            count += 1
        elif argument.startswith("-v") and set(argument[1:]) == {"v"}:
            count += len(argument) - 1
        elif not argument.startswith("-"):
            break
    return count
