"""When an entry of the schedule fires: cron's times in a time zone, or an even pace. Only here is cronsim.

cronsim walks over plain wall-clock times here; what such a time means in the zone is decided below, so the
rule is ours and the same for every expression. A time that does not exist, because the clock was put
forward, is the first instant that does. A time that comes twice, because it was put back, is its first
occurrence. Several wall-clock times may so become one instant, and it fires once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
#: From where an expression is tried; any moment would do.
_SOMEWHEN = datetime(2024, 1, 1)


class Times(Protocol):
    """A series of moments, in UTC."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Those after ``moment``, the earliest first; it may end."""
        ...

    def back_from(self, moment: datetime) -> Iterator[datetime]:
        """Those up to and with ``moment``, the latest first; it may end."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Multiples of ``seconds`` since 1970, UTC: whoever counts comes to the same moments."""

    seconds: float

    def after(self, moment: datetime) -> Iterator[datetime]:
        """As ``Times``."""
        step = round(self.seconds * 1_000_000)
        count = (moment - _EPOCH) // _MICROSECOND // step
        while True:
            count += 1
            yield _EPOCH + count * step * _MICROSECOND

    def back_from(self, moment: datetime) -> Iterator[datetime]:
        """As ``Times``."""
        step = round(self.seconds * 1_000_000)
        count = (moment - _EPOCH) // _MICROSECOND // step
        while True:
            yield _EPOCH + count * step * _MICROSECOND
            count -= 1


@dataclass(frozen=True, slots=True)
class Cron:
    """Five cron fields by the clock of a zone.

    Attributes:
        expression: As ``check_cron`` accepts it.
    """

    expression: str
    zone: tzinfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """As ``Times``."""
        wall = moment.astimezone(self.zone).replace(tzinfo=None, fold=0)
        last = moment
        for local in CronSim(self.expression, wall):
            instant = first_instant(local, self.zone)
            if instant > last:
                last = instant
                yield instant

    def back_from(self, moment: datetime) -> Iterator[datetime]:
        """As ``Times``."""
        there = moment.astimezone(self.zone)
        # In the second pass of a repeated hour all wall-clock times of the first have been: count as if
        # the clock had not been put back.
        offset = there.replace(fold=0).utcoffset() or timedelta()
        wall = (moment.astimezone(UTC) + offset).replace(tzinfo=None)
        last: datetime | None = None
        for local in CronSim(self.expression, wall.replace(microsecond=0) + _SECOND, reverse=True):
            instant = first_instant(local, self.zone)
            if instant <= moment and (last is None or instant < last):
                last = instant
                yield instant


def find_zone(name: str) -> tzinfo:
    """A time zone by its IANA name; ``UTC`` is there without a database of zones.

    Raises:
        ValueError: when there is none.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # a directory of zones is an OSError
        raise ValueError(f"{name!r} is not a time zone") from error


def check_cron(expression: str) -> str:
    """The expression as it is.

    Raises:
        ValueError: when cronsim cannot read it, or it names no day that ever comes.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"cron takes five fields, not {len(fields)}")
    try:
        there = next(CronSim(expression, _SOMEWHEN), None)
    except CronSimError as error:
        reason = str(error).lower().removeprefix("bad ")
        raise ValueError(f"cron cannot read the {reason} of {expression!r}") from None
    except (ValueError, TypeError, AssertionError, IndexError):
        raise ValueError(f"cron cannot read {expression!r}") from None
    if there is None:
        raise ValueError(f"the times of {expression!r} never come")
    return expression


def first_instant(local: datetime, zone: tzinfo) -> datetime:
    """The first moment, in UTC, at which a zone's clocks show ``local`` or, if they jump over it, more."""
    earlier = local.replace(tzinfo=zone, fold=0)
    instant = earlier.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    # Not shown at all. Read by the old offset it lies behind the jump, by the new one before it.
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
    new = after.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle <= before:
            break
        if middle.astimezone(zone).utcoffset() == new:
            after = middle
        else:
            before = middle
    return after
