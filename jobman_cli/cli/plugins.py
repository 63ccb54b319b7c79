"""``jobman plugins``."""

from __future__ import annotations

from typing import Annotated

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.rows import state_colour
from jobman_cli.cli.session import jobman_of
from jobman_cli.operations.objects.registered import plugin_object


def plugins(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False
) -> None:
    """List plugins and modules: loaded, broken, available, missing.

    Only what the configuration lists is imported. `available` is installed and not listed.
    """
    registry = jobman_of(ctx).registry
    if as_json:
        output.write_json([plugin_object(info) for info in registry.plugins])
    elif not registry.plugins:
        talk.say("no plugins are installed, and the configuration lists no modules")
        talk.hint("A plugin is a package such as jobman-hello; then list it under `plugins:`.")
    else:
        column = output.Column
        output.write_table(
            registry.plugins,
            [
                column("name", lambda info: info.name),
                column("state", lambda info: info.state, state_colour),
                column("distribution", lambda info: info.distribution or "", rank=2),
                column("version", lambda info: info.version or "", rank=3),
                column("job types", lambda info: ", ".join(info.job_types), rank=1),
            ],
        )
    for warning in registry.warnings:
        talk.warn(warning)
    for info in registry.broken:
        talk.warn(f"{info.name}: {info.error}")
        talk.hint(info.hint or "Repair it, or take it off the list.")
