"""``jobman alerts``: the troubles that go on. No plugin is loaded for it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.output import Column
from jobman_cli.cli.rows import moment_text
from jobman_cli.cli.session import jobman_of
from jobman_cli.operations.objects.measures import alert_object


def alerts(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False
) -> None:
    """List the troubles that go on, the oldest first.

    Failed jobs and dead workers are events that do not go on: see `jobman failed`, and the log.
    """
    found = jobman_of(ctx).alerts()
    if as_json:
        output.write_json([alert_object(alert) for alert in found])
    elif not found:
        talk.say("there is no trouble")
    else:
        columns = [
            Column("since", lambda alert: moment_text(alert.raised_at)),
            Column("kind", lambda alert: alert.kind, lambda _: "33"),
            Column("message", _message),
        ]
        output.write_table(found, columns)


def _message(alert: Any) -> str:
    return str(alert.message)
