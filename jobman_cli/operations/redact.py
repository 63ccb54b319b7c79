"""Mask attribs whose names the setting ``redact`` covers, wherever rows are shown."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

MASK = "***"


def redact(attribs: Any, patterns: Sequence[str]) -> Any:
    """A copy in which the values of matching names are masked, at every depth.

    >>> redact({"user": "ada", "db": {"Password": "x"}}, ["*password*"])
    {'user': 'ada', 'db': {'Password': '***'}}
    """
    lowered = tuple(pattern.lower() for pattern in patterns)
    if not lowered:
        return attribs
    return _masked(attribs, lowered)


def _masked(value: Any, patterns: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK
            if any(fnmatchcase(str(key).lower(), each) for each in patterns)
            else _masked(item, patterns)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, patterns) for item in value]
    return value
