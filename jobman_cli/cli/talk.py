"""What a command says to people: on stderr, one line each, with nothing in it that moves a terminal.

Data goes to stdout, by ``output``.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Any, TextIO

#: Others' loggers, and the level from which they are heard. Huey repeats what we said, with tracebacks.
_OTHERS = {"huey": logging.CRITICAL + 1, "alembic": logging.WARNING, "sqlalchemy": logging.WARNING}


def colour_on(stream: TextIO) -> bool:
    """True when a stream is a terminal and nobody asked for plain text (``NO_COLOR``, ``TERM=dumb``)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, code: str, stream: TextIO) -> str:
    """The text in a colour, by its ANSI code such as ``32``; plain where colours are off."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and colour_on(stream) else text


def harmless(text: str, *, lines: bool = False) -> str:
    """Text with every character that a terminal would act on written out as an escape.

    Args:
        lines: Keep the ends of lines, for text that has several.
    """
    if lines:
        return "\n".join(harmless(line.replace("\t", "    ")) for line in text.split("\n"))
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def say(text: str) -> None:
    """A line for people."""
    _write(harmless(text))


def ask(text: str) -> None:
    """A question: the answer is typed behind it."""
    _write(harmless(text), end="")


def warn(text: str) -> None:
    """Something is not as it should be, but the command goes on."""
    _write(painted("warning:", "33", sys.stderr) + " " + harmless(text))


def hint(text: str) -> None:
    """What to do next."""
    _write(painted("hint:", "36", sys.stderr) + " " + harmless(text))


def complain(message: str, advice: str | None) -> None:
    """An error and what to do about it; a message of several lines stays aligned."""
    first, *rest = message.split("\n") or [""]
    _write(painted("error:", "31", sys.stderr) + " " + harmless(first))
    for line in rest:
        _write("       " + harmless(line))
    if advice:
        hint(advice)


def _write(line: str, end: str = "\n") -> None:
    try:
        sys.stderr.write(line + end)
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody listens: not worth failing for
        pass


class OneLine(logging.Formatter):
    """A record on one line; an exception is named at its end, in full only when asked for.

    Args:
        worker: Give time, level and process; else only ``warning:`` or ``error:``.
        verbose: Print tracebacks.
    """

    def __init__(self, *, worker: bool, verbose: bool) -> None:
        layout = "%(asctime)s %(levelname)-7s [%(process)d] %(message)s" if worker else "%(message)s"
        super().__init__(layout, "%Y-%m-%dT%H:%M:%S%z")
        self._worker, self._verbose = worker, verbose

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        info, text = record.exc_info, record.exc_text
        if not self._verbose:
            record.exc_info = record.exc_text = None
        try:
            line = super().format(record)
        finally:
            record.exc_info, record.exc_text = info, text
        if self._verbose:
            return harmless(line, lines=True)
        if isinstance(info, tuple) and info[1] is not None:
            line += f": {describe(info[1])}"
        line = harmless(" ".join(line.splitlines()))
        return line if self._worker else f"{record.levelname.lower()}: {line}"


def describe(error: BaseException) -> str:
    """An exception on one line, with the place it came from."""
    text = " ".join("".join(traceback.format_exception_only(error)[-1:]).split())
    frames = traceback.extract_tb(error.__traceback__)
    return text + (f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else "")


def start_logging(*, worker: bool, verbose: int) -> None:
    """Send log records to stderr: all of a worker's life, otherwise only what went wrong."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(worker=worker, verbose=bool(verbose)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    usual = logging.INFO if worker else logging.WARNING
    logging.getLogger("jobman").setLevel(logging.DEBUG if verbose else usual)
    for name, level in _OTHERS.items():
        logging.getLogger(name).setLevel(level)
    logging.raiseExceptions = False  # a log line that cannot be written is not worth a traceback


def quiet_streams() -> None:
    """Let no text fail to be printed: what an encoding lacks is escaped."""
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
