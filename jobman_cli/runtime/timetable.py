"""The sweep that fires due schedules.

Between two due times it asks nothing: it knows the database's clock from its last answer and how much time
has passed here since, and asks again once in ``SYNC`` seconds, or when a time seems to have come. Then the
database decides: by its clock, under a lock on the entry, once (``operations.schedule``).

Operations run in a thread of this process, one at a time. They work in transactions of some hundredths of a
second and wait for the database in between, so sweeps go on beside them; a process of its own would cost an
interpreter, a connection and a supervisor's care for what is seldom more than a nightly prune. The loop
renews the lease of the operation's row. When this process dies, the lease runs out, and whoever looks next
begins the operation anew; all of them can be begun anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from jobman_cli.errors import JobmanError
from jobman_cli.operations.alerts import note_settled
from jobman_cli.operations.housekeeping import Housekeeper
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.schedule import Clock, Entry, adopt, check_entry, entries_of, fire_due
from jobman_cli.store.lifecycle.insert import Ready
from jobman_cli.store.queries import database_now

logger = logging.getLogger("jobman.schedule")

#: Seconds after which the database's clock is asked again: it may have been set.
SYNC = 30.0
#: Seconds that one round may take; the rest of what is due comes in the next.
ROUND = 0.5
_NEVER = datetime.max.replace(tzinfo=UTC)


def boot_clock() -> float:
    """Seconds since the host's boot, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Timetable:
    """Fires the entries of the schedule that this process can fire.

    Args:
        clock: Reads the database's clock.
        steady: Seconds that pass here.
    """

    def __init__(
        self, parts: Parts, clock: Clock = database_now, steady: Callable[[], float] = boot_clock
    ) -> None:
        self._parts, self._clock, self._steady = parts, clock, steady
        self._known = entries_of(parts.settings)
        self._entries: dict[str, Entry] = {}
        self._jobs: dict[str, Ready | None] = {}
        self._next: dict[str, datetime] = {}
        self._begun = False
        self._read, self._read_at = datetime.min.replace(tzinfo=UTC), float("-inf")
        for name, entry in self._known.items():
            try:
                self._jobs[name] = check_entry(parts.settings, parts.registry, entry)
            except JobmanError as error:
                logger.error("schedule %s cannot be fired: %s", name, error)
            else:
                self._entries[name] = entry
        operations = {name: entry for name, entry in self._entries.items() if entry.operation}
        self.housekeeper = Housekeeper(parts, operations)

    def run_once(self) -> None:
        """One round.

        Raises:
            StoreUnavailable: when the database is away; what is due is fired when it is back.
        """
        if not self._known:
            return
        eager = self._fire_round()
        self.housekeeper.run_once(eager)

    def _fire_round(self) -> bool:
        """Fire what is due; True when an operation was among it."""
        if not self._begun:
            self._begin()
        now = self._now()
        due = [name for name, moment in self._next.items() if moment <= now]
        until = self._steady() + ROUND
        eager = False
        for name in sorted(due, key=lambda each: self._next[each]):
            entry = self._entries[name]
            settled = fire_due(self._parts, entry, self._jobs[name], self._clock)
            if settled is not None:
                self._next[name] = _first(entry, settled.until)
                eager = eager or entry.operation is not None
                note_settled(self._parts, entry, settled)
            if self._steady() > until:
                break
        return eager

    def _begin(self) -> None:
        """Learn how far the entries have come."""
        marks = adopt(
            self._parts, self._known
        )  # those that cannot be fired here as well: somebody may miss them
        now = self._ask()
        self._next = {
            name: _first(entry, min(marks[name].settled_until, now)) for name, entry in self._entries.items()
        }
        self._begun = True

    def _now(self) -> datetime:
        """The database's clock, as far as it is known here."""
        passed = self._steady() - self._read_at
        if passed < SYNC:
            return self._read + timedelta(seconds=passed)
        guess = self._read + timedelta(seconds=passed)
        now = self._ask()
        if guess - now > timedelta(seconds=1):  # it was put back: times may come again that were not fired
            self._next = dict.fromkeys(self._next, now)
        return now

    def _ask(self) -> datetime:
        self._read = self._parts.database.read(self._clock)
        self._read_at = self._steady()
        return self._read


def _first(entry: Entry, moment: datetime) -> datetime:
    return next(entry.times.after(moment), _NEVER)
