"""The schedule: what runs by the clock, fired once however many processes look at the same clock.

A time is taken by a row with UNIQUE(name, fire_at), and the job's row is written in the same transaction:
either both are there or none. The push comes after the commit, as for any dispatch. How far an entry has come
(``settled_until``) stands beside it, so that times that passed while nobody looked are found again.

The clock is the database's. When it jumps back, times that were fired have their rows, and are not fired
again; times that were left out by the jump before are fired when they come.

Where configurations differ about an entry's times, those of the process that began last are in force, and who
has others lets it alone: fired by both, a nightly job would run twice in the night of a deploy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from itertools import islice, takewhile
from typing import Any

from jobman_cli.core.cron import Cron, Every, Times, find_zone
from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import ConfigurationError, JobmanError, UsageError
from jobman_cli.hooks.registry import Registry
from jobman_cli.operations.chores import check_chore
from jobman_cli.operations.dispatch import push
from jobman_cli.operations.parts import Parts, Records
from jobman_cli.operations.request import Options, encode, key_of, new_job
from jobman_cli.settings import Settings
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine, Ready, insert_job
from jobman_cli.store.lifecycle.schedules import (
    FireOutcome,
    Mark,
    adopt_entries,
    continue_entry,
    is_open,
    lock_entry,
    name_job,
    pause_entry,
    record_fire,
    settle,
)
from jobman_cli.store.queries import database_now
from jobman_cli.store.queries_schedule import LastFire, entry_marks, last_fires
from jobman_cli.store.tables import Job

logger = logging.getLogger("jobman.schedule")

#: Missed times that ``catch_up: all`` fires at the most, the latest ones.
MOST = 100
#: Seconds after which a time is missed for ``catch_up: none``: a busy host is late, not down.
LATE = 60.0

#: Reads the clock inside a transaction.
Clock = Callable[[Any, Dialect], datetime]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the schedule.

    Attributes:
        clock: Its times as this configuration says them; other times begin anew.
        paused: By the configuration.
        options: Of the operation.
    """

    name: str
    times: Times
    clock: str
    zone: tzinfo
    catch_up: str = "latest"
    paused: bool = False
    job: str | None = None
    attribs: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None
    priority: int | None = None
    operation: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """The job type or the operation."""
        return str(self.job or self.operation)

    def differs(self, mark: Mark | None) -> bool:
        """True when other times than this configuration's are in force."""
        return mark is not None and mark.times != self.clock


@dataclass(frozen=True, slots=True)
class Look:
    """What ``schedule list`` shows of an entry.

    Attributes:
        upcoming: Its next times, in UTC.
        paused: By the configuration or by command.
        in_force: Its times as the processes know them that fire it; None when none has begun yet.
        fault: Why it cannot be fired; None when it can.
    """

    entry: Entry
    upcoming: Sequence[datetime]
    paused: bool
    in_force: str | None
    last: LastFire | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What a look at one entry's times came to.

    Attributes:
        until: Every time up to this moment is settled.
        fired: How many times were fired.
        left_out: The latest time that was missed and is not caught up.
    """

    until: datetime
    fired: int = 0
    left_out: datetime | None = None


def entries_of(settings: Settings) -> dict[str, Entry]:
    """The entries by name, in the order of the configuration."""
    return {given["name"]: _entry(given) for given in settings.schedule}


def find_entry(settings: Settings, name: str) -> Entry:
    """The entry of that name.

    Raises:
        UsageError: when there is none.
    """
    entries = entries_of(settings)
    if name not in entries:
        near = did_you_mean(name, entries)
        raise UsageError(
            f"there is no entry {name!r} in the schedule{near}", hint="See `jobman schedule list`."
        )
    return entries[name]


def check_entry(settings: Settings, registry: Registry, entry: Entry) -> Ready | None:
    """Make sure that an entry can be fired.

    Returns:
        What its job's row will say, its attribs as JSON, its unique key; None for an operation.

    Raises:
        JobmanError: when the job type or operation is not there, or does not take what it is given.
    """
    if entry.job is None:
        check_chore(entry.what, entry.options)
        return None
    job_type = registry.find(entry.job)
    tags = [*job_type.options.tags, f"schedule:{entry.name}"]
    new = new_job(job_type, Options(entry.queue, entry.priority, tags=tags))
    text = encode(settings, job_type, entry.attribs)
    return new, text, key_of(job_type, text)


def faults(settings: Settings, registry: Registry) -> dict[str, str]:
    """Entries that cannot be fired, and why."""
    found = {}
    for name, entry in entries_of(settings).items():
        try:
            check_entry(settings, registry, entry)
        except JobmanError as error:
            found[name] = error.message
    return found


def check_schedule(parts: Parts) -> None:
    """Make sure that every entry can be fired.

    Raises:
        ConfigurationError: a line for each that cannot.
    """
    where = parts.settings.origins.get("schedule", "schedule")
    if found := faults(parts.settings, parts.registry):
        raise ConfigurationError(
            "\n".join(f"{where}: schedule: {name}: {why}" for name, why in found.items())
        )


def adopt(parts: Parts | Records, entries: Mapping[str, Entry]) -> dict[str, Mark]:
    """Make sure that entries are known, and return how far each has come; see ``adopt_entries``."""
    return parts.database.run(adopt_entries, {name: entry.clock for name, entry in entries.items()})


def fire_due(parts: Parts, entry: Entry, new: Ready | None, clock: Clock = database_now) -> Settled | None:
    """Fire what is due of one entry.

    Args:
        new: What ``check_entry`` returned.

    Returns:
        None when somebody else is at it.

    Raises:
        StoreUnavailable: when the database is away; nothing was fired, or all of it.
    """
    settled, rows = parts.database.run(_fire_due, entry, new, clock)
    if rows:
        push(parts, rows)
    return settled


def fire_job_now(parts: Parts, entry: Entry) -> Job:
    """Dispatch an entry's job now, whatever its times; the time is recorded like any other.

    Raises:
        JobmanError: when it cannot be fired.
    """
    new = check_entry(parts.settings, parts.registry, entry)
    assert new is not None  # noqa: S101 - an operation is run by `perform`
    job, rows = parts.database.run(_fire_job_now, entry, new)
    if rows:
        push(parts, rows)
    return job


def pause(parts: Parts | Records, entry: Entry) -> bool:
    """Let an entry's times pass, until ``resume``.

    Returns:
        False when it is paused already.
    """
    parts.database.run(adopt_entries, {entry.name: entry.clock}, False)
    return parts.database.run(pause_entry, entry.name)


def resume(parts: Parts | Records, entry: Entry) -> bool:
    """Fire an entry's times again, from now on.

    Returns:
        False when it is not paused.
    """
    return parts.database.run(continue_entry, entry.name)


def look(parts: Parts, number: int = 5) -> list[Look]:
    """Every entry, in the order of the configuration.

    Args:
        number: How many of the next times.
    """
    entries = entries_of(parts.settings)
    wrong = faults(parts.settings, parts.registry)
    now = parts.database.read(database_now)
    marks = parts.database.read(entry_marks, list(entries))
    last = parts.database.read(last_fires, list(entries))
    return [
        Look(
            entry,
            list(islice(entry.times.after(now), number)),
            entry.paused or (name in marks and marks[name].paused),
            marks[name].times if name in marks else None,
            last.get(name),
            wrong.get(name),
        )
        for name, entry in entries.items()
    ]


def _entry(given: Mapping[str, Any]) -> Entry:
    zone = find_zone(given["timezone"])
    cron = given.get("cron")
    times: Times = Every(given["every"]) if cron is None else Cron(cron, zone)
    clock = f"every {given['every']:g}" if cron is None else f"{' '.join(cron.split())} {given['timezone']}"
    rest = {key: given[key] for key in given if key not in ("cron", "every", "timezone")}
    return Entry(times=times, clock=clock, zone=zone, **rest)


def _fire_due(
    connection: Any, dialect: Dialect, entry: Entry, new: Ready | None, clock: Clock
) -> tuple[Settled | None, list[InLine]]:
    mark = lock_entry(connection, dialect, entry.name)
    if mark is None:
        return None, []
    now = clock(connection, dialect)
    if entry.differs(mark):
        return Settled(now), []
    since = _since(mark.settled_until, now)
    missed = takewhile(lambda time: time > since, entry.times.back_from(now))
    due = list(islice(missed, MOST if entry.catch_up == "all" else 2))
    if not due:
        if mark.settled_until > now:  # the clock was put back
            settle(connection, dialect, entry.name, now)
        return Settled(now), []
    rows = []
    paused = entry.paused or mark.paused
    chosen = [] if paused else _chosen(entry, due, now)
    for time in chosen:
        rows += _fire(connection, dialect, entry, new, time)
    settle(connection, dialect, entry.name, due[0])
    return Settled(now, len(chosen), None if chosen or paused else due[0]), rows


def _since(settled_until: datetime, now: datetime) -> datetime:
    """After which moment times may be due."""
    if settled_until - now > timedelta(seconds=LATE):
        # The clock was put back a long way, and some time may have passed until somebody saw it.
        return now - timedelta(seconds=LATE)
    return min(settled_until, now)


def _chosen(entry: Entry, due: Sequence[datetime], now: datetime) -> Sequence[datetime]:
    """Which of the times that have come are fired, the earliest first; ``due`` has the latest first."""
    if entry.catch_up == "all":
        return due[::-1]
    if entry.catch_up == "none" and now - due[0] > timedelta(seconds=LATE):
        logger.warning("schedule %s: the time %s was missed and is left out", entry.name, due[0].isoformat())
        return []
    if len(due) > 1:
        logger.warning("schedule %s: times were missed; the latest is caught up", entry.name)
    return due[:1]


def _fire(connection: Any, dialect: Dialect, entry: Entry, new: Ready | None, time: datetime) -> list[InLine]:
    if new is None:
        if is_open(connection, dialect, entry.name):
            said = "the time before it has not ended"
            record_fire(connection, dialect, entry.name, time, FireOutcome.SKIPPED, said)
        else:
            record_fire(connection, dialect, entry.name, time, FireOutcome.WAITING)
        return []
    if not record_fire(connection, dialect, entry.name, time, FireOutcome.DISPATCHED):
        return []
    job, place = insert_job(connection, dialect, *new)
    name_job(connection, dialect, entry.name, time, int(job.id or 0))
    return [place] if place else []


def _fire_job_now(connection: Any, dialect: Dialect, entry: Entry, new: Ready) -> tuple[Job, list[InLine]]:
    time = database_now(connection, dialect)
    while not record_fire(connection, dialect, entry.name, time, FireOutcome.DISPATCHED):
        time += timedelta(microseconds=1)  # a time of its own, or another run's
    job, place = insert_job(connection, dialect, *new)
    name_job(connection, dialect, entry.name, time, int(job.id or 0))
    return job, [place] if place else []
