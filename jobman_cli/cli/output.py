"""Data on stdout: JSON for programs, a table for people; the only place that knows how either looks.

On a terminal a table is coloured and made to fit its width; anywhere else it is plain and nothing is cut.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jobman_cli.cli.talk import colour_on, harmless, painted
from jobman_cli.operations.objects import plain

#: ANSI codes of the states.
STATE_COLOURS = {
    "pending": "33",
    "queued": "36",
    "scheduled": "34",
    "running": "1;34",
    "completed": "32",
    "failed": "31",
    "cancelled": "35",
    "loaded": "32",
    "broken": "31",
    "missing": "31",
    "available": "2",
}


class OutputClosed(Exception):
    """Who reads stdout has gone, as ``head`` does: there is nothing more to do."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: Its heading.
        value: From a row to the cell's text.
        colour: From a cell's text to an ANSI code; None for no colour.
        rank: Where room is short, columns of the highest rank are left out first; 0 always stays.
        right: Aligned to the right, for numbers.
    """

    title: str
    value: Callable[[Any], str]
    colour: Callable[[str], str] | None = None
    rank: int = 0
    right: bool = False


def on_terminal() -> bool:
    """True when stdout is read by a person."""
    return sys.stdout.isatty()


def write(text: str) -> None:
    """Lines of data.

    Raises:
        OutputClosed: when nobody reads them.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def write_json(value: Any) -> None:
    """JSON, indented. What could move a terminal's cursor is written as an escape, which JSON reads back."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=plain)
    if not text.isascii():
        text = "".join(char if char == "\n" or char.isprintable() else _json_escape(char) for char in text)
    write(text.replace("\x7f", "\\u007f"))


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1]


def write_table(rows: Sequence[Any], columns: Sequence[Column]) -> None:
    """A table with headings."""
    terminal = on_terminal()
    chosen = list(columns)
    cells = [[harmless(column.value(row)) for column in chosen] for row in rows]
    widths = _widths(cells, chosen)
    if terminal:
        room = shutil.get_terminal_size().columns
        chosen, cells, widths = _fit(cells, chosen, widths, room)
    heading = [
        _padded(column.title, width, column.right) for column, width in zip(chosen, widths, strict=True)
    ]
    lines = [painted("  ".join(heading).rstrip(), "1", sys.stdout)]
    for line in cells:
        parts = []
        for text, column, width in zip(line, chosen, widths, strict=True):
            padded = _padded(text, width, column.right)
            code = column.colour(text) if column.colour else ""
            parts.append(painted(padded, code, sys.stdout))
        joined = "  ".join(parts)
        lines.append(joined if colour_on(sys.stdout) else joined.rstrip())
    write("\n".join(lines))


def _widths(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[int]:
    from rich.cells import cell_len

    return [
        max([cell_len(column.title), *(cell_len(line[at]) for line in cells)])
        for at, column in enumerate(columns)
    ]


def _fit(
    cells: list[list[str]], columns: list[Column], widths: list[int], room: int
) -> tuple[list[Column], list[list[str]], list[int]]:
    """Leave columns out, then cut the widest, until a line fits."""

    def total() -> int:
        return sum(widths) + 2 * (len(widths) - 1)

    def narrowest() -> int:  # what the line needs when the widest column is cut as far as is readable
        return total() - max(max(widths) - 12, 0)

    while narrowest() > room and (rank := max(column.rank for column in columns)) > 0:
        at = max(index for index, column in enumerate(columns) if column.rank == rank)
        columns, widths = columns[:at] + columns[at + 1 :], widths[:at] + widths[at + 1 :]
        cells = [line[:at] + line[at + 1 :] for line in cells]
    while total() > room and max(widths) > 3:
        at = widths.index(max(widths))
        widths[at] -= min(total() - room, max(widths[at] - 3, 1))
    return columns, cells, widths


def _padded(text: str, width: int, right: bool) -> str:
    from rich.cells import cell_len, set_cell_size

    size = cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    return " " * (width - size) + text if right else text + " " * (width - size)


def write_fields(fields: Sequence[tuple[str, str]], colours: Callable[[str, str], str] | None = None) -> None:
    """One thing as ``name  value`` lines; text of several lines stands indented below its name."""
    width = max((len(name) for name, _ in fields), default=0)
    lines = []
    for name, value in fields:
        text = harmless(value, lines=True).rstrip("\n")
        label = painted(name.ljust(width), "2", sys.stdout)
        if "\n" in text:
            lines.append(label.rstrip() if not colour_on(sys.stdout) else label)
            lines += [f"  {line}".rstrip() for line in text.split("\n")]
        else:
            lines.append(f"{label}  {painted(text, colours(name, text) if colours else '', sys.stdout)}")
    write("\n".join(lines))
