"""Cron's times against an oracle that walks over every minute and knows nothing of cronsim."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cron_oracle import fires_between

from jobman_cli.core.cron import Cron, Every, check_cron, find_zone, first_instant

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Asia/Taipei",
)
EXPRESSIONS = (
    "*/15 * * * *",
    "30 2 * * *",
    "0 1-3 * * *",
    "10,50 */2 * * *",
    "0 3 * * *",
    "0 9 * * 1-5",
    "0 0 1 * *",
    "15 2 29 2 *",
    "0 12 13 * FRI",
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def local(moments: Iterator[datetime] | list[datetime], zone: str) -> list[str]:
    return [f"{each.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for each in moments]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_time_of_400_days(zone: str, expression: str) -> None:
    begin = utc(2025, 9, 20, 10, 7)
    end = begin + timedelta(days=400)
    expected = fires_between(expression, zone, begin, end)
    cron = Cron(expression, find_zone(zone))
    found = list(itertools.takewhile(lambda each: each <= end, cron.after(begin)))
    assert found == expected
    back = list(itertools.takewhile(lambda each: each > begin, cron.back_from(end)))
    assert back[::-1] == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 1-3 * * *", "* * * * *"])
def test_from_each_minute_around_a_change(zone: str, expression: str) -> None:
    """Wherever the walk begins it goes on rightly: also within the hour that comes twice."""
    cron = Cron(expression, find_zone(zone))
    for month in range(1, 13):
        first, last = utc(2026, month, 1), utc(2026, month, 28, 12)
        offset = [each.astimezone(ZoneInfo(zone)).utcoffset() for each in (first, last)]
        if offset[0] == offset[1]:
            continue
        while last - first > timedelta(hours=1):
            middle = first + (last - first) // 2
            changed = middle.astimezone(ZoneInfo(zone)).utcoffset() != offset[0]
            first, last = (first, middle) if changed else (middle, last)
        at = first.replace(minute=0, second=0, microsecond=0)
        expected = fires_between(expression, zone, at - timedelta(hours=30), at + timedelta(hours=30))
        for minute in range(-150, 210, 7):
            begin = at + timedelta(minutes=minute, seconds=minute % 3)
            after = next(each for each in expected if each > begin)
            before = next(each for each in reversed(expected) if each <= begin)
            assert next(cron.after(begin)) == after
            assert next(cron.back_from(begin)) == before


def test_an_hour_that_is_left_out() -> None:
    berlin = Cron("*/30 2 * * *", find_zone("Europe/Berlin"))
    found = itertools.islice(berlin.after(utc(2026, 3, 28, 12)), 3)
    assert local(found, "Europe/Berlin") == ["29 03:00 +0200", "30 02:00 +0200", "30 02:30 +0200"]


def test_half_an_hour_that_is_left_out() -> None:
    howe = Cron("15 2 * * *", find_zone("Australia/Lord_Howe"))
    found = itertools.islice(howe.after(utc(2026, 10, 3, 12)), 2)
    assert local(found, "Australia/Lord_Howe") == ["04 02:30 +1100", "05 02:15 +1100"]


def test_an_hour_that_comes_twice() -> None:
    berlin = Cron("*/30 2 * * *", find_zone("Europe/Berlin"))
    found = itertools.islice(berlin.after(utc(2026, 10, 24, 12)), 3)
    assert local(found, "Europe/Berlin") == ["25 02:00 +0200", "25 02:30 +0200", "26 02:00 +0100"]


def test_a_day_that_is_left_out() -> None:
    apia = Cron("0 3 * * *", find_zone("Pacific/Apia"))
    found = itertools.islice(apia.after(utc(2011, 12, 29, 14)), 2)
    assert local(found, "Pacific/Apia") == ["31 00:00 +1400", "31 03:00 +1400"]
    assert first_instant(datetime(2011, 12, 30, 12), find_zone("Pacific/Apia")) == utc(2011, 12, 30, 10)


@pytest.mark.parametrize(
    "expression", ["* * * * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * 2 MON#5", "0 0 L 2 SUN-TUE"]
)
def test_what_cron_can_say(expression: str) -> None:
    assert check_cron(expression) == expression


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("61 * * * *", "the minute of"),
        ("* 24 * * *", "the hour of"),
        ("* * 0 * *", "the day-of-month of"),
        ("* * * 13 *", "the month of"),
        ("* * * * MOON", "the day-of-week of"),
        ("* * * *", "five fields, not 4"),
        ("0 * * * * *", "five fields, not 6"),
        ("*/0 * * * *", "the minute of"),
        ("5-1 * * * *", "the minute of"),
        ("* * 30 2 *", "the day-of-month of"),
        ("* * 31 4,6 *", "the day-of-month of"),
        ("9" * 5000 + " * * * *", "cron cannot read"),
    ],
)
def test_what_it_cannot(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_cron(expression)


def test_an_even_pace_counts_from_1970() -> None:
    assert list(itertools.islice(Every(900).after(utc(2026, 1, 1, 0, 7)), 2)) == [
        utc(2026, 1, 1, 0, 15),
        utc(2026, 1, 1, 0, 30),
    ]
    assert next(Every(900).after(utc(2026, 1, 1, 0, 15))) == utc(2026, 1, 1, 0, 30)
    assert next(Every(900).back_from(utc(2026, 1, 1, 0, 15))) == utc(2026, 1, 1, 0, 15)
    moments = list(itertools.islice(Every(1.1).after(utc(2026, 1, 1)), 1000))
    assert moments[-1] - moments[0] == timedelta(seconds=1.1) * 999


def test_zones() -> None:
    assert find_zone("UTC") is UTC
    for wrong in ("Mars/Base", "America", "../../etc/passwd", ""):
        with pytest.raises(ValueError, match="not a time zone"):
            find_zone(wrong)
