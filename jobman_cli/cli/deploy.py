"""``jobman deploy``: files for systemd and supervisord, from the configuration."""

from __future__ import annotations

import os
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.session import jobman_of
from jobman_cli.errors import InvalidOption, UsageError

if TYPE_CHECKING:
    from jobman_cli.settings import Settings
    from jobman_cli.settings.blocks import Block


class Keeper(StrEnum):
    """Who keeps the process running."""

    SYSTEMD = "systemd"
    SUPERVISOR = "supervisor"


class Program(StrEnum):
    """What is kept running."""

    SUPERVISE = "supervise"
    RUN_WORKER = "run-worker"


_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def deploy(
    ctx: typer.Context,
    keeper: Annotated[Keeper, typer.Argument(metavar="systemd|supervisor", help="Who is to read the file.")],
    program: Annotated[
        Program, typer.Option("--command", help="What is to be kept running.")
    ] = Program.SUPERVISE,
    environment: Annotated[
        str | None, typer.Option("--environment", metavar="NAME", help="For `supervise`: of `environments:`.")
    ] = None,
    supervisor: Annotated[
        str | None,
        typer.Option("--supervisor", metavar="NAME", help="For `run-worker`: whose queues and numbers."),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Whose process it is to be.")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="DIR", help="Where the project is. [default: where it is here]"),
    ] = None,
    executable: Annotated[
        str | None,
        typer.Option("--executable", metavar="FILE", help="The `jobman` to run. [default: this one]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The program's. [default: jobman-`name:`]")
    ] = None,
) -> None:
    """Print a file for systemd or supervisord that keeps it running.

    Timeouts, queues and numbers are those of the configuration: print it anew when they change. Nothing is
    installed, and nothing secret is printed.
    """
    settings = jobman_of(ctx).settings
    from jobman_cli.core.deploy import FORMATS, CannotSay, Service

    directory = _absolute(path, "--path") or str(settings.root)
    service = Service(
        name=_matching(name, _NAME, "--name") or _default_name(settings),
        command=[
            *_jobman(_absolute(executable, "--executable")),
            *_arguments(settings, program, environment, supervisor),
        ],
        directory=directory,
        config=_config(settings, directory),
        user=_matching(user, _USER, "--user"),
        stop_seconds=settings.shutdown_timeout,
    )
    try:
        text = FORMATS[keeper.value](service)
    except CannotSay as error:
        raise InvalidOption(str(error), hint="Name another directory with --path or --executable.") from None
    output.write(text.rstrip("\n"))
    _say_more(keeper, service.name, service.user)


def _say_more(keeper: Keeper, name: str, user: str | None) -> None:
    if user is None:
        talk.say("no --user was given: it will run as whoever starts it, which is root as a rule")
    if settings := sorted(key for key in os.environ if key.startswith("JOBMAN_") and key != "JOBMAN_CONFIG"):
        where = f"/etc/jobman/{name}.env" if keeper is Keeper.SYSTEMD else "`environment=`"
        talk.say(f"variables of this shell are not in the file: {', '.join(settings)}; see {where}")


def _default_name(settings: Settings) -> str:
    return settings.name if settings.name.startswith("jobman") else f"jobman-{settings.name}"


def _jobman(executable: str | None) -> list[str]:
    if executable is not None:
        return [executable]
    beside = Path(sys.executable).with_name("jobman")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "jobman_cli"]


def _arguments(
    settings: Settings, program: Program, environment: str | None, supervisor: str | None
) -> list[str]:
    from jobman_cli.settings.blocks import blocks

    if program is Program.SUPERVISE:
        if supervisor is not None:
            raise UsageError("--supervisor is for --command run-worker", hint="`supervise` runs all of them.")
        blocks(settings, environment)  # an environment that is not there is said now
        return ["supervise", *(["--environment", environment] if environment is not None else [])]
    found = {block.name: block for block in blocks(settings, environment)}
    chosen = supervisor or ("default" if "default" in found else next(iter(found), None))
    if chosen is None or chosen not in found:
        raise UsageError(
            f"there is no supervisor {chosen!r}; the configuration has {', '.join(found) or 'none'}",
            hint="Name one of them with --supervisor.",
        )
    return ["run-worker", *_worker_options(found[chosen])]


def _worker_options(block: Block) -> list[str]:
    options = [word for queue in block.queues for word in ("--queue", queue)]
    beside = block.worker_type == "async"
    options += ["--concurrency", str(block.concurrency if beside else block.max_processes)]
    if block.worker_type != "process":
        options += ["--worker-type", block.worker_type]
    for option, limit in (("--memory", block.memory), ("--max-jobs", block.max_jobs)):
        options += [option, str(limit)] if limit else []
    return options + (["--max-time", f"{block.max_time:g}"] if block.max_time else [])


def _config(settings: Settings, directory: str) -> str | None:
    """The configuration file, where it will be when the project is elsewhere."""
    if settings.path is None:
        return None
    if settings.path.is_relative_to(settings.root):
        return str(Path(directory) / settings.path.relative_to(settings.root))
    return str(settings.path)


def _absolute(path: str | None, option: str) -> str | None:
    if path is None:
        return None
    if not path.startswith("/"):
        raise InvalidOption(f"{option}: {path!r} is not absolute", hint="Write it from / on.")
    return os.path.normpath(path)


def _matching(text: str | None, pattern: re.Pattern[str], option: str) -> str | None:
    if text is not None and not pattern.fullmatch(text):
        raise InvalidOption(f"{option}: {text!r} cannot be used", hint="Use letters, digits, and _ . -")
    return text
