"""What PostgreSQL's, MySQL's and SQLite's JSON can all hold.

Each of them refuses something else, or changes it silently: NUL characters and lone surrogates
(PostgreSQL), more than 31 levels (MariaDB; 100 in MySQL), NaN and integers beyond 64 bits (all, in their
own ways). So the narrowest rule holds everywhere, and is checked before a row is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

#: Objects and arrays inside one another; the attribs themselves are the first level. MariaDB's JSON_VALID,
#: which its JSON columns carry as a CHECK, refuses the 32nd.
MAX_DEPTH = 31

#: The largest integer, and without its sign the smallest.
MAX_INTEGER = 2**63 - 1

_SCALARS = frozenset({str, int, float, bool, type(None)})

# A place in the value, as a linked list from the inside out: building it costs nothing until it is shown.
_Place = tuple[Any, Any] | None


def find_unstorable(value: Any, *, converted: bool = True) -> str | None:
    """Look for the first thing that the databases' JSON cannot hold.

    Args:
        value: The object to look through. It is walked without recursion, at most ``MAX_DEPTH`` deep.
        converted: False for what pydantic is still to convert: then only keys, depth and NaN are
            judged, because those are lost in the conversion or break it.

    Returns:
        The place and what is wrong with it, on one line; ``None`` if all is well.
    """
    containers = (dict, list) if converted else (dict, list, tuple, Mapping)
    stack: list[tuple[Any, int, _Place]] = [(value, 1, None)]
    while stack:
        container, depth, place = stack.pop()
        if depth > MAX_DEPTH:
            return _say(place, f"is nested more than {MAX_DEPTH} levels deep", limit=3)
        if type(container) is dict or isinstance(container, Mapping):
            for key in container:
                complaint = _judge_key(key)
                if complaint:
                    return _say(place, complaint)
            items: Any = container.items()
        else:
            items = enumerate(container)
        for key, item in items:
            # The cheap question first: this runs for every value of every dispatch.
            if type(item) not in _SCALARS and isinstance(item, containers):
                stack.append((item, depth + 1, (place, key)))
                continue
            complaint = _judge(item, converted)
            if complaint:
                return _say((place, key), complaint)
    return None


def _judge(item: Any, converted: bool) -> str | None:
    if isinstance(item, float):
        return None if isfinite(item) else "is not a finite number, which JSON cannot hold"
    if not converted or item is None or isinstance(item, bool):
        return None
    if isinstance(item, str):
        return _judge_text(item)
    if isinstance(item, int):
        return None if -MAX_INTEGER <= item <= MAX_INTEGER else "is an integer beyond 64 bits"
    return f"is a {type(item).__name__}, which JSON cannot hold"


def _judge_key(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"has the key {_shown(key)}, and a key must be a string"
    complaint = _judge_text(key)
    return complaint and f"has the key {_shown(key)}, which {complaint}"


def _judge_text(text: str) -> str | None:
    if "\x00" in text:
        return "contains a NUL character"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "contains half a surrogate pair, which is not a character"
    return None


def _say(place: _Place, complaint: str, limit: int = 20) -> str:
    steps: list[Any] = []
    while place is not None:
        place, step = place
        steps.append(step)
    steps.reverse()
    name = show_place(steps[:limit]) + ("…" if len(steps) > limit else "")
    return f"{name}: {complaint}" if name else f"the object {complaint}"


def show_place(steps: Any) -> str:
    """A path into attribs as people write it: ``("items", 0, "name")`` is ``items[0].name``."""
    shown = ""
    for step in steps:
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            text = step if isinstance(step, str) and step.isprintable() and len(step) <= 100 else _shown(step)
            shown += f".{text}" if shown else text
    return shown


def _shown(key: Any) -> str:
    if not isinstance(key, (str, int, float, bytes, type(None))):
        return f"of type {type(key).__name__}"
    if isinstance(key, int) and abs(key) > MAX_INTEGER:
        return "of more than 64 bits"
    text = ascii(key) if isinstance(key, str) and not key.isprintable() else repr(key)
    return text if len(text) <= 100 else text[:99] + "…"
