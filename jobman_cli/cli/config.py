"""``jobman config``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.session import jobman_of, tell_about_plugins
from jobman_cli.errors import EXIT_CONFIG

if TYPE_CHECKING:
    from jobman_cli.hooks.registry import Registry
    from jobman_cli.settings import Settings

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
    tell_about_plugins(jobman)
    wrong = _schedule_faults(settings, registry)
    for name, fault in wrong.items():
        talk.complain(f"schedule: {name} cannot be fired: {fault}", None)
    valid = not registry.broken and not wrong
    if as_json:
        output.write_json(
            {
                "valid": valid,
                "path": None if settings.path is None else str(settings.path),
                "job_types": sorted(registry.types),
                "broken": [info.name for info in registry.broken],
                "warnings": list(registry.warnings),
                "schedule": wrong,
            }
        )
    elif valid:
        where = settings.path or "no file, defaults only"
        count = len(registry.types)
        output.write(f"the configuration is valid ({where}); {count} job type{'' if count == 1 else 's'}")
    if not valid:
        raise typer.Exit(EXIT_CONFIG)


@app.command()
def show(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False
) -> None:
    """Show every setting with its value and where that came from; passwords are masked."""
    settings = jobman_of(ctx).settings
    shown = _listed(settings)
    if as_json:
        path = None if settings.path is None else str(settings.path)
        output.write_json({"path": path, "root": str(settings.root), "settings": shown})
        return
    column = output.Column
    output.write_table(
        shown,
        [
            column("setting", lambda each: each["setting"]),
            column("value", lambda each: _text(each["value"])),
            column("origin", lambda each: each["origin"]),
        ],
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, with which an editor completes and checks it.

    Write it beside the file, and name it in the file's first line: see docs/reference/settings.md.
    """
    from jobman_cli.settings import settings_schema

    output.write_json(settings_schema())


def _schedule_faults(settings: Settings, registry: Registry) -> dict[str, str]:
    if not settings.schedule:
        return {}
    from jobman_cli.operations.schedule import faults

    return faults(settings, registry)


def _listed(settings: Settings) -> list[dict[str, Any]]:
    from jobman_cli.operations.redact import redact
    from jobman_cli.settings import list_settings

    shown = []
    for each in list_settings(settings):
        value = redact(each.value, settings.redact) if each.setting == "schedule" else each.value
        shown.append({"setting": each.setting, "value": value, "origin": each.origin})
    return shown


def _text(value: Any) -> str:
    """A value as the file would say it, on one line."""
    if value is None:
        return "null"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
