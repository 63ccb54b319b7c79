"""One run of the command: the global options, and the application that they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from jobman_cli.cli import talk

if TYPE_CHECKING:
    from jobman_cli.app import Jobman

_KEY = "jobman_cli.jobman"


def jobman_of(ctx: typer.Context | Any) -> Jobman:
    """The application, made when a command first asks for it.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    meta = ctx.meta  # shared by all contexts of one run
    if _KEY not in meta:
        from jobman_cli.app import Jobman

        options = ctx.find_root().params
        meta[_KEY] = Jobman.from_config(
            options.get("config"), database=options.get("database"), queue=options.get("queue_url")
        )
        ctx.find_root().call_on_close(meta[_KEY].close)
    jobman: Jobman = meta[_KEY]
    return jobman


def verbosity(ctx: typer.Context | Any) -> int:
    """How often ``-v`` was given."""
    return int(ctx.find_root().params.get("verbose") or 0)


def tell_about_plugins(jobman: Jobman) -> None:
    """Say on stderr what of the listed plugins could not be used."""
    for warning in jobman.registry.warnings:
        talk.warn(warning)
    for info in jobman.registry.broken:
        talk.warn(f"{info.name} cannot be used: {info.error}")
        if info.hint:
            talk.hint(info.hint)
