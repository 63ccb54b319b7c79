"""What people write, read: durations, times, names, JSON; for options of commands and for addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from jobman_cli.errors import InvalidAttribs, InvalidOption

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
#: Characters of a text to look for.
_LONGEST = 1000
_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

#: The widest id a row can have.
MAX_ID = 2**63 - 1


def read_duration(text: str | None, option: str) -> float | None:
    """Seconds, from ``30``, ``30s``, ``5m``, ``2h`` or ``1d``.

    Raises:
        InvalidOption: for anything else.
    """
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidOption(
            f"{option}: {text!r} is no duration",
            hint="Use seconds, or a number with a unit: 30s, 5m, 2h, 1d.",
        )
    return float(match[1]) * _UNITS[match[2] or "s"]


def read_moment(text: str | None, option: str) -> datetime | timedelta | None:
    """A point in time: ISO 8601, in UTC if it names no zone; or how long ago, from ``2h`` or ``3d``.

    Raises:
        InvalidOption: for anything else.
    """
    if text is None:
        return None
    try:
        if _DURATION.fullmatch(text.strip()):
            return timedelta(seconds=read_duration(text, option) or 0)
        point = datetime.fromisoformat(text.strip())
        return (point if point.tzinfo else point.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidOption(
            f"{option}: {text!r} is no time",
            hint="Use a date or time such as 2030-01-31 or 2030-01-31T12:00+08:00, or 2h, 3d … for ago.",
        ) from None


def read_text(text: str | None, option: str) -> str | None:
    """A text to look for.

    Raises:
        InvalidOption: when no row can hold it: control characters, half characters.
    """
    if text is not None and not (text.isprintable() and 0 < len(text) <= _LONGEST):
        raise InvalidOption(
            f"{option}: {text[:40]!r} is in no row", hint=f"Use printable text of 1 to {_LONGEST} characters."
        )
    return text


def read_queues(names: Sequence[str], option: str = "--queue") -> tuple[str, ...]:
    """Names of queues, each once.

    Raises:
        InvalidOption: for a name that no queue can have.
    """
    for name in names:
        if not _QUEUE.fullmatch(name):
            raise InvalidOption(
                f"{option}: {name!r} is no queue name",
                hint="Use 1 to 64 letters, digits, and the characters _ . : -",
            )
    return tuple(dict.fromkeys(names))


def read_object(text: str, where: str) -> dict[str, Any]:
    """One JSON object.

    Raises:
        InvalidAttribs: when it is something else.
    """
    value = _parse(text, where)
    if not isinstance(value, dict):
        raise InvalidAttribs(
            f"{where}: an object is needed, not {_kind(value)}", hint='Write attribs such as {"name": "Ada"}.'
        )
    return value


def read_objects(lines: Iterable[str], where: str) -> Iterable[dict[str, Any]]:
    """JSON lines: an object a line, empty lines left out; read as they are needed.

    Raises:
        InvalidAttribs: naming the line.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield read_object(line, f"{where}, line {number}")


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise InvalidAttribs(
            f"{where}: this is no JSON: {error.msg} ({place})",
            hint="""Quote it for the shell: jobman dispatch hello '{"name": "Ada"}'""",
        ) from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidAttribs(
            f"{where}: this JSON cannot be used: {reason}", hint="Use plain JSON values."
        ) from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
