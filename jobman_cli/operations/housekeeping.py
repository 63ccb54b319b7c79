"""Run the schedule's operations: each under a lease on its row, so that a crash leaves it to others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from jobman_cli.errors import JobmanError, StoreUnavailable, UsageError
from jobman_cli.operations.chores import run_chore
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.progress import Progress
from jobman_cli.operations.schedule import Entry, check_entry
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.schedules import (
    FireOutcome,
    HeldFire,
    claim_fire,
    finish_fire,
    is_open,
    record_fire,
    release_fire,
    renew_fire,
    tidy_fires,
)
from jobman_cli.store.queries import database_now

logger = logging.getLogger("jobman.schedule")

#: How often an operation is begun; a process died under each but the last.
BEGINNINGS = 4
#: Seconds for which a fire's row is kept; the last of each entry stays.
KEEP_FIRES = 30 * 86400.0


class Stopped(Exception):
    """The operation is to end now and to be begun again by somebody."""


class TakenOver(Exception):
    """The lease had run out, and somebody else has the operation now."""


def claim(parts: Parts, names: Sequence[str]) -> HeldFire | None:
    """Take an operation that waits, or that was left behind; one that killed too many processes is failed.

    Args:
        names: The entries whose operations may be taken.

    Raises:
        StoreUnavailable: when the database is away.
    """
    while True:
        fire = parts.database.run(claim_fire, list(names), str(uuid4()), parts.settings.lease)
        if fire is None or fire.claims <= BEGINNINGS:
            return fire
        said = f"its process died {BEGINNINGS} times"
        parts.database.run(finish_fire, fire, FireOutcome.FAILED, said)
        logger.error("schedule %s: given up: %s", fire.name, said)


def renew(parts: Parts, fire: HeldFire) -> bool:
    """Renew the lease; False when somebody else has the operation now."""
    return parts.database.run(renew_fire, fire, parts.settings.lease)


def perform(parts: Parts, entry: Entry, fire: HeldFire, progress: Progress) -> tuple[FireOutcome, str] | None:
    """Run an operation and record how it ended.

    Args:
        progress: May raise ``Stopped`` or ``TakenOver``.

    Returns:
        The outcome and a few words; None when it is left to somebody else.

    Raises:
        StoreUnavailable: when the database is away: the row's lease runs out, and it is begun again.
    """
    try:
        said = run_chore(parts, entry.what, entry.options, progress)
        outcome = FireOutcome.COMPLETED
    except Stopped:
        parts.database.run(release_fire, fire)
        return None
    except TakenOver:
        logger.warning("schedule %s: somebody else has taken %s over", fire.name, entry.what)
        return None
    except StoreUnavailable:
        raise
    except JobmanError as error:
        outcome, said = FireOutcome.FAILED, error.message
    except Exception as error:
        logger.exception("schedule %s: %s failed", fire.name, entry.what)
        outcome, said = FireOutcome.FAILED, f"{type(error).__name__}: {error}"
    parts.database.run(finish_fire, fire, outcome, said)
    return outcome, said


def perform_now(parts: Parts, entry: Entry) -> tuple[FireOutcome, str]:
    """Run an entry's operation now, in this very process, whatever its times; it is recorded like any other.

    Raises:
        UsageError: when one of its times waits or runs.
        JobmanError: when it cannot be run, or the database is away.
    """
    check_entry(parts.settings, parts.registry, entry)
    fire = parts.database.run(_begin_now, entry, parts.settings.lease)
    if fire is None:
        raise UsageError(
            f"{entry.name}: a time of it waits or runs already", hint="Wait for it: `jobman schedule list`."
        )
    lost = threading.Event()
    with _Renewal(parts, fire, lost):

        def watch(_number: int) -> None:
            if lost.is_set():
                raise TakenOver

        try:
            done = perform(parts, entry, fire, watch)
        except KeyboardInterrupt:
            parts.database.run(finish_fire, fire, FireOutcome.FAILED, "interrupted")
            raise
    return done or (FireOutcome.FAILED, "somebody else has taken it over")


def tidy(parts: Parts) -> int:
    """Delete old fires.

    Returns:
        How many.
    """
    deleted = 0
    while number := parts.database.run(tidy_fires, KEEP_FIRES):
        deleted += number
    return deleted


class _Renewal:
    """Renews a lease from a thread while its block runs."""

    def __init__(self, parts: Parts, fire: HeldFire, lost: threading.Event) -> None:
        self._parts, self._fire, self._lost = parts, fire, lost
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._parts.settings.lease / 3):
            try:
                if not renew(self._parts, self._fire):
                    self._lost.set()
            except StoreUnavailable:
                continue  # the operation itself will say so


def _begin_now(connection: Any, dialect: Dialect, entry: Entry, lease: float) -> HeldFire | None:
    if is_open(connection, dialect, entry.name):
        return None
    at: datetime = database_now(connection, dialect)
    while not record_fire(connection, dialect, entry.name, at, FireOutcome.WAITING):
        at += timedelta(microseconds=1)
    return claim_fire(connection, dialect, [entry.name], str(uuid4()), lease, at)


class Housekeeper:
    """Runs operations one after another in a thread of this process.

    Args:
        entries: Those whose operations may be run here.
    """

    #: Seconds between two looks for operations that others left behind.
    OFTEN = 10.0

    def __init__(self, parts: Parts, entries: dict[str, Entry], clock: Callable[[], float] = time.monotonic):
        self._parts, self._entries, self._clock = parts, entries, clock
        self._thread: threading.Thread | None = None
        self._fire: HeldFire | None = None
        self._stop, self._lost = threading.Event(), threading.Event()
        self._next_look = self._next_renewal = 0.0

    @property
    def busy(self) -> bool:
        """True while an operation runs."""
        return self._thread is not None and self._thread.is_alive()

    def run_once(self, eager: bool = False) -> None:
        """Renew the lease of what runs, or begin what waits.

        Args:
            eager: Something is known to wait.

        Raises:
            StoreUnavailable: when the database is away.
        """
        now = self._clock()
        if self.busy:
            if now >= self._next_renewal and self._fire is not None:
                self._next_renewal = now + self._parts.settings.lease / 3
                if not renew(self._parts, self._fire):
                    self._lost.set()
            return
        if (
            not self._entries
            or self._stop.is_set()
            or (now < self._next_look and not eager and not self._fire)
        ):
            return
        self._next_look = now + self.OFTEN
        self._fire = claim(self._parts, list(self._entries))
        if self._fire is None:
            return
        self._next_renewal = now + self._parts.settings.lease / 3
        self._lost.clear()
        self._thread = threading.Thread(target=self._run, args=(self._fire,), name="housekeeper", daemon=True)
        self._thread.start()

    def close(self, patience: float = 2.0) -> None:
        """Stop what runs, between two of its transactions, and give it back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self, fire: HeldFire) -> None:
        entry = self._entries[fire.name]
        logger.info("schedule %s: %s begins", fire.name, entry.what)
        try:
            done = perform(self._parts, entry, fire, self._watch)
        except JobmanError as error:
            logger.warning("schedule %s: %s was broken off: %s", fire.name, entry.what, error)
        else:
            if done is not None:
                logger.info("schedule %s: %s %s: %s", fire.name, entry.what, *done)

    def _watch(self, _number: int) -> None:
        if self._stop.is_set():
            raise Stopped
        if self._lost.is_set():
            raise TakenOver
