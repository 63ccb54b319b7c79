"""Before a command destroys or moves many: how many, which ones, and a question."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from jobman_cli.cli import output, talk
from jobman_cli.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from jobman_cli.operations.selection import Found


def need_yes(yes: bool, what: str) -> None:
    """Refuse where nobody can be asked.

    Raises:
        UsageError: without a terminal, unless ``--yes`` was given.
    """
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            f"{what} asks first, and there is no terminal to ask on; nothing was changed",
            hint="Look with --dry-run, then say --yes.",
        )


def ask(yes: bool, question: str) -> None:
    """Ask, unless ``--yes`` was given; anything but a yes ends the command with 1."""
    if yes:
        return
    talk.ask(f"{question} [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        talk.say("nothing was changed")
        raise typer.Exit(EXIT_FAILED)


def show_dry_run(found: Found, one: str, many: str, as_json: bool, **more: Any) -> None:
    """What would be touched: the number and the first ids."""
    if as_json:
        output.write_json({"dry_run": True, "count": found.number, "first_ids": found.first, **more})
        return
    output.write(f"{counted(found.number, one, many)} would be touched{first_ids(found)}")


def first_ids(found: Found) -> str:
    """``: ids 1, 2, 3 …``; empty for none."""
    if not found.first:
        return ""
    more = " …" if found.number > len(found.first) else ""
    return f": {'ids' if found.number > 1 else 'id'} {', '.join(map(str, found.first))}{more}"


def counted(number: int, one: str, many: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number:,} {one if number == 1 else many}"


def names(values: Any) -> str:
    """Some ids or names, the first twenty of them."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:20]) + (f" and {len(texts) - 20} more" if len(texts) > 20 else "")
