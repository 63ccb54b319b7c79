"""What is wrong with the configuration, collected so that it can be said all at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import ConfigurationError
from jobman_cli.settings.urls import mask_url

LISTED = 50


class Where(NamedTuple):
    """Where a value stands: a file and its line, or (line 0) a variable or a flag."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


class Problems:
    """The faults found so far."""

    def __init__(self) -> None:
        self._found: list[tuple[Where, str, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, where: Where, setting: str, text: str) -> None:
        """Note that ``setting`` (dotted; empty for the file as a whole) is wrong, and how."""
        self._found.append((where, setting, text))

    def unknown(self, where: Where, setting: str, name: str, known: Iterable[str], what: str) -> None:
        """Note a name that does not exist, with the nearest that does."""
        near = did_you_mean(name, known) if len(self._found) < LISTED else ""
        self.add(where, setting, f"unknown {what}{near}")

    def give_up(self) -> NoReturn:
        """Raise all of it: the file's faults in the order of its lines, then the others.

        Raises:
            ConfigurationError: Always; one line for each fault.
        """
        ordered = sorted(self._found, key=lambda found: (found[0].line == 0, found[0].line))
        lines = [_printable(": ".join(filter(None, (str(at), *rest)))) for at, *rest in ordered[:LISTED]]
        if len(ordered) > LISTED:
            lines.append(f"… and {len(ordered) - LISTED} more")
        raise ConfigurationError("\n".join(lines))


def _printable(line: str) -> str:
    """Escape what could move a terminal's cursor; names come from anywhere."""
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def shown(value: Any) -> str:
    """Say what was found, without passwords and in a few words, for the end of a message."""
    if isinstance(value, str):
        return repr(mask_url(value)) if len(value) <= 80 else f"a text of {len(value)} characters"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if abs(value) < 10**30 else "a huge number"
    return "a list" if isinstance(value, list) else "a mapping"


def quoted(name: str) -> str:
    """Return a name as it may stand in a message: short, and without control characters."""
    short = name if len(name) <= 100 else name[:99] + "…"
    return short if short.isprintable() and short else repr(short)
