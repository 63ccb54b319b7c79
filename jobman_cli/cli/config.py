"""``jobman config``."""

from __future__ import annotations

from typing import Annotated

import typer

from jobman_cli.cli import output
from jobman_cli.cli.session import jobman_of, tell_about_plugins
from jobman_cli.errors import EXIT_CONFIG

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False
)


@app.callback()
def config() -> None:
    """Look at the configuration."""


@app.command()
def check(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False
) -> None:
    """Check the configuration, and the plugins and modules it lists; say all that is wrong at once.

    No server is asked: see `jobman db check`. The exit code is 78 when something is wrong.
    """
    jobman = jobman_of(ctx)
    settings, registry = jobman.settings, jobman.registry
    valid = not registry.broken
    tell_about_plugins(jobman)
    if as_json:
        output.write_json(
            {
                "valid": valid,
                "path": None if settings.path is None else str(settings.path),
                "job_types": sorted(registry.types),
                "broken": [info.name for info in registry.broken],
                "warnings": list(registry.warnings),
            }
        )
    elif valid:
        where = settings.path or "no file, defaults only"
        count = len(registry.types)
        output.write(f"the configuration is valid ({where}); {count} job type{'' if count == 1 else 's'}")
    if not valid:
        raise typer.Exit(EXIT_CONFIG)
