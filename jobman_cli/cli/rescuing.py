"""``jobman rescue``."""

from __future__ import annotations

from typing import Annotated

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.session import jobman_of


def rescue(
    ctx: typer.Context,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave out workers of other hosts: judging them takes a lease.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object with the counts.")] = False,
) -> None:
    """Take jobs back from workers that are gone: one round by hand.

    It also promotes what is due and pushes what its queue lost.

    Every running `run-worker` does this all the time; the command is for when none runs. It waits for one
    `lease`, because only who has watched for so long can tell a lost host from a database that was away.
    """
    jobman = jobman_of(ctx)
    from dataclasses import asdict

    from jobman_cli.runtime.byhand import rescue_round

    if not no_wait and output.on_terminal():
        talk.say(f"watching the workers for {jobman.settings.lease:g} s")
    done = rescue_round(jobman.parts, silent=not no_wait)
    if as_json:
        output.write_json(asdict(done))
    else:
        output.write(
            f"rescued {done.rescued} ({done.failed} of them failed), released {done.released}, "
            f"pushed {done.pushed}"
        )
