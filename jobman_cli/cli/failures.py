"""From an exception to two lines and an exit code: what was wrong, and what to do about it."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import typer

from jobman_cli.cli import talk
from jobman_cli.cli.output import OutputClosed
from jobman_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, JobmanError

#: Options that stand before the command, a common slip.
_GLOBAL = ("--config", "-c", "--database", "--queue-url", "--version", "-v", "--verbose")


def report(error: BaseException, verbose: int) -> int:
    """Tell a person about an error.

    Args:
        verbose: Not 0: show the traceback of what was not foreseen.

    Returns:
        What to exit with.
    """
    if isinstance(error, OutputClosed):
        return 0
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        talk.say("interrupted")
        return EXIT_INTERRUPTED
    if isinstance(error, JobmanError):
        talk.complain(error.message, error.hint)
        if verbose > 1:
            _trace(error)
        return error.exit_code
    if hasattr(error, "format_message"):  # Typer's own, whose classes it does not export
        return _report_usage(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        talk.complain(f"{where}{error.strerror}", "Check that it exists and that this user may use it.")
        return EXIT_FAILED
    if verbose:
        _trace(error)
    talk.complain(
        f"internal error: {talk.describe(error)}",
        "Please report it; run `jobman -v …` again for the traceback to send along.",
    )
    return EXIT_FAILED


def _report_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "jobman"
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(error.format_message() + "\n")
        return int(error.exit_code)
    message = str(error.format_message()).replace("\n\t", " ").replace("\n", " ").rstrip(".")
    if getattr(error, "option_name", None) in _GLOBAL:
        advice = f"`{error.option_name}` stands before the command: jobman {error.option_name} … COMMAND"
    elif path == "jobman try" and hasattr(error, "option_name"):
        advice = "Options follow the type: jobman try TYPE [OPTIONS]."
    else:
        advice = f"See `{path} --help`."
    talk.complain(message[:1].lower() + message[1:], advice)
    return int(getattr(error, "exit_code", EXIT_FAILED))


def _trace(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    for line in text.rstrip().splitlines():
        talk.say(line)
