"""``jobman dashboard``."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from jobman_cli.cli import talk
from jobman_cli.cli.session import jobman_of, verbosity
from jobman_cli.errors import ConfigurationError, UsageError

_PREFIX = re.compile(r"(?:/[A-Za-z0-9_.~-]+)*")


def dashboard(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Listen here. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", min=0, max=65_535, help="0 takes a free one. [default: 8787]"),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody can do more than look.")] = False,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="PATH", help="Begin at this path, such as /ops.")
    ] = None,
    parent: Annotated[int | None, typer.Option("--parent", metavar="PID", min=1, hidden=True)] = None,
) -> None:
    """Serve the dashboard until told to stop.

    On another address than this host's own it needs a credential: JOBMAN_DASHBOARD__TOKEN.
    """
    jobman = jobman_of(ctx)
    talk.start_logging(worker=False, verbose=verbosity(ctx))
    try:
        from jobman_cli.dashboard.serve import Place, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "jobman_cli":
            raise
        raise ConfigurationError(
            f"the dashboard needs {error.name}, which is not installed",
            hint="Install the extra: pip install 'jobman-cli[dashboard]'.",
        ) from error
    if parent is not None:
        from jobman_cli.runtime.identity import end_with_parent

        if not end_with_parent(parent):
            return  # the master is gone already
    options = jobman.settings.dashboard
    place = Place(
        host=host or options["host"],
        port=options["port"] if port is None else port,
        prefix=_prefix(options["prefix"] if prefix is None else prefix),
        read_only=read_only or None,
    )
    serve(jobman, place, lambda address: talk.say(f"the dashboard is at {address}"), browse=open_)


def _prefix(given: str) -> str:
    if given and not given.startswith("/"):
        raise UsageError(f"--prefix: {given!r} does not begin with a slash", hint="Write it as /ops.")
    if not _PREFIX.fullmatch(path := given.removesuffix("/")):
        raise UsageError(
            f"--prefix: {given!r} is no path",
            hint="Write it as /ops or /ops/jobs, of letters, digits and the characters _ . ~ -",
        )
    return path
