"""Cron once more, as slow and plain as can be: every minute is looked at, and nothing is computed ahead.

A minute of the world is a minute on the wall in some zone. A field matches a wall-clock time by its number
alone. A wall-clock minute that is skipped is found by looking at the walls of two minutes that follow each
other; one that comes twice by having seen it before.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_NAMES = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}


def fires_between(expression: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    """The times in (begin, end], in UTC; both within some days of full minutes' walk."""
    matches = [_field(text) for text in expression.split()]
    day_stars = any(field.startswith("*") for field in (expression.split()[2], expression.split()[4]))
    minutes, hours = matches[0] or frozenset(range(60)), matches[1] or frozenset(range(24))
    fired: list[datetime] = []
    for moment, wall in _walk(zone, begin, end):
        if wall.minute not in minutes or wall.hour not in hours or not begin < moment <= end:
            continue
        if _on_that_day(wall, matches, day_stars) and moment not in fired[-1:]:
            fired.append(moment)
    return fired


@cache
def _walk(zone: str, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Each minute with each wall-clock minute that it brings: one, none (a repetition) or many."""
    there = ZoneInfo(zone)
    moment = (begin - timedelta(hours=3)).replace(second=0, microsecond=0)
    highest = moment.astimezone(there).replace(tzinfo=None) - _MINUTE
    walk = []
    while moment <= end:
        wall = moment.astimezone(there).replace(tzinfo=None)
        while highest < wall:
            highest += _MINUTE
            walk.append((moment, highest))
        moment += _MINUTE
    assert moment.tzinfo is UTC
    return walk


def _on_that_day(wall: datetime, matches: list[frozenset[int] | None], day_stars: bool) -> bool:
    day, month, weekday = matches[2:]
    if month is not None and wall.month not in month:
        return False
    of_month = day is None or wall.day in day
    of_week = weekday is None or wall.isoweekday() % 7 in weekday
    return (of_month and of_week) if day_stars else (of_month or of_week)


def _field(text: str) -> frozenset[int] | None:
    if text == "*":
        return None
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            found.update(range(0, 60, int(step)))
            continue
        low, _, high = span.partition("-")
        first = _NAMES.get(low) if low in _NAMES else int(low)
        last = first if not high else _NAMES.get(high) if high in _NAMES else int(high)
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)
