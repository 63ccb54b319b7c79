"""``jobman db``."""

from __future__ import annotations

from typing import Annotated

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.session import jobman_of
from jobman_cli.errors import EXIT_CONFIG

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False
)


@app.callback()
def db() -> None:
    """Look after the database's tables."""


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Make the tables, or bring them to this version's form.

    A new SQLite file needs no such command; other databases change only by it.
    """
    from jobman_cli.store.schema import upgrade as bring

    before = bring(jobman_of(ctx).bare_database)
    if before.fits:
        output.write(f"the tables fit already (revision {before.head})")
    elif before.current is None:
        output.write(f"the tables were made (revision {before.head})")
    else:
        output.write(f"the tables were brought from revision {before.current} to {before.head}")


@app.command()
def check(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False
) -> None:
    """Say whether the database answers and its tables fit; the exit code is 78 when they do not."""
    from jobman_cli.store.schema import check_schema

    state = check_schema(jobman_of(ctx).bare_database)
    if as_json:
        output.write_json({"fits": state.fits, "current": state.current, "needed": state.head})
    elif state.fits:
        output.write(f"the tables fit (revision {state.head})")
    if not state.fits:
        found = "no tables were found" if state.current is None else f"they are at revision {state.current}"
        remedy = "Upgrade jobman-cli on this host." if state.newer else "Run `jobman db upgrade`."
        talk.complain(f"the tables do not fit: {found}, revision {state.head} is needed", remedy)
        raise typer.Exit(EXIT_CONFIG)
