"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from jobman_cli.cli import completion
from jobman_cli.core.states import Status
from jobman_cli.core.values import MAX_ID, read_queues, read_text

JobId = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=MAX_ID, help="A job's id.", show_default=False)
]
JobIds = Annotated[
    list[int], typer.Argument(metavar="ID…", min=1, max=MAX_ID, help="Jobs' ids.", show_default=False)
]
SomeJobIds = Annotated[
    list[int] | None,
    typer.Argument(metavar="[ID…]", min=1, max=MAX_ID, help="Jobs' ids.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Counts = Annotated[bool, typer.Option("--json", help="Print a JSON object with the counts.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; print the number and the first ids.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed without a terminal.")]

Statuses = Annotated[
    list[Status] | None,
    typer.Option("--status", show_default=False, help="Only jobs in this state; may be repeated."),
]
Type = Annotated[
    str | None,
    typer.Option(
        "--type", metavar="TYPE", help="Only jobs of this type.", autocompletion=completion.job_types
    ),
]
Queue = Annotated[
    str | None,
    typer.Option(
        "--queue", metavar="NAME", help="Only jobs of this queue.", autocompletion=completion.queues
    ),
]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TEXT", help="Only jobs with this tag.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Made at or after: a date, a time, or 2h, 3d … ago."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Made before, in the same forms.")]
ErrorText = Annotated[
    str | None,
    typer.Option("--error", metavar="TEXT", help="The last error holds this text, in any case of letters."),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many.")]
Before = Annotated[
    int | None,
    typer.Option("--before", metavar="ID", min=1, max=MAX_ID, help="Only ids below this one: the next page."),
]


def checked(*, type: str | None = None, queue: str | None = None, **texts: str | None) -> None:
    """Refuse names and texts that no row can hold.

    Raises:
        InvalidOption: naming the option.
    """
    read_text(type, "--type")
    if queue is not None:
        read_queues([queue])
    for name, text in texts.items():
        read_text(text, f"--{name}")
