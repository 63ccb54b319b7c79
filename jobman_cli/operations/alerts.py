"""Alerts: each trouble is announced once when it begins and once when it is over, whoever notices it.

A trouble is noticed by any process, as often as it looks (``raise_alert``), and noted in its row. The sweep
tells what is untold through the hook ``jobman_alert``: it takes the telling upon itself by a compare-and-set
first, so of any number of processes one announces, and one that is killed in between announces nothing. No
kind is told more than ``MOST`` times in a minute; what waits is told later, if it still goes on.

Failed jobs and dead workers are events: they have no end. What happened since the last time is told in one
alert, at most one a minute.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from jobman_cli.core.alerts import AlertKind
from jobman_cli.operations.metrics import queue_states
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.operations.reconcile import Rebuilt
from jobman_cli.operations.schedule import LATE, Entry, Settled, entries_of
from jobman_cli.operations.supervision import overview
from jobman_cli.store.lifecycle.alerts import (
    AlertState,
    clear_expired,
    clear_one,
    failures_between,
    find_mark,
    lost_between,
    raise_one,
    take_events,
    take_to_tell,
    told_lately,
    untold,
)
from jobman_cli.store.lifecycle.schedules import Mark
from jobman_cli.store.queries import database_now
from jobman_cli.store.queries_metrics import open_alerts
from jobman_cli.store.queries_schedule import entry_marks
from jobman_cli.store.tables import Alert

logger = logging.getLogger("jobman.alerts")

#: Seconds between two rounds, and for which a trouble goes on after it was last noticed.
EVERY, LASTS = 15.0, 60.0
#: Alerts of one kind that are told in a minute, and events of which one tells.
MOST, SEEN = 6, 1000
MINUTE = 60.0
#: Seconds for which a queue may be without a live worker.
UNSERVED = 60.0
#: Rows that a round may push again before it is called a drift.
DRIFT = 100
#: What is younger may not have been committed yet by everybody who commits, in seconds.
SETTLED = 2.0


def raise_alert(
    parts: Parts,
    kind: str,
    key: str,
    message: str,
    details: Mapping[str, Any] | None = None,
    *,
    lasts: float | None = LASTS,
) -> None:
    """Note that a trouble is there; the next round tells of it, once, however often this is called.

    Args:
        kind: A value of ``AlertKind``; nothing is noted of a kind that the settings switch off.
        key: Names the trouble, such as ``long-wait:default``; at most 190 characters count.
        message: One line for people.
        details: JSON for programs: ``queue``, ``value``, ``threshold`` …
        lasts: Seconds after which it counts as over unless it is raised again; None: until
            ``clear_alert``.

    Raises:
        StoreUnavailable: when the database is away.
    """
    if kind not in parts.settings.alerts["off"]:
        parts.database.run(raise_one, kind, key[:190], message, dict(details or {}), lasts)


def clear_alert(parts: Parts, key: str) -> bool:
    """Note that a trouble is over.

    Returns:
        False when it was not there.

    Raises:
        StoreUnavailable: when the database is away.
    """
    return parts.database.run(clear_one, key[:190])


def alerts(records: Parts | Lines | Records) -> list[Alert]:
    """The troubles that go on, the oldest first."""
    return records.database.read(open_alerts)


def watch_over(parts: Parts) -> int:
    """One round: look at the queues and at what happened, end what is over, tell what is untold.

    Returns:
        How many alerts this process told.

    Raises:
        StoreUnavailable: when the database is away.
    """
    _look_at_queues(parts)
    _look_at_supervisors(parts)
    _look_at_schedule(parts)
    told = _tell_events(parts, AlertKind.JOB_FAILED, _describe_failures)
    told += _tell_events(parts, AlertKind.WORKER_DIED, _describe_deaths)
    parts.database.run(clear_expired)
    return told + tell(parts)


def tell(parts: Parts) -> int:
    """Announce what is untold, oldest first, within each kind's limit.

    Returns:
        How many this process announced.
    """
    told = 0
    left: dict[str, int] = {}
    for alert in parts.database.read(untold, SEEN):
        if alert.kind not in left:
            left[alert.kind] = MOST - parts.database.read(told_lately, alert.kind, MINUTE)
        if left[alert.kind] > 0 and parts.database.run(take_to_tell, alert.key, alert.state):
            announce(parts, alert, "over" if alert.state == AlertState.OVER else "begun")
            left[alert.kind] -= 1
            told += 1
    return told


def announce(parts: Parts, alert: Alert, state: str) -> None:
    """Pass an alert to the log and the plugins.

    Args:
        state: ``begun``, ``over`` or ``event``.
    """
    message = f"over: {alert.message}" if state == "over" else alert.message
    logger.log(logging.INFO if state == "over" else logging.WARNING, "alert %s: %s", alert.kind, message)
    details = dict(alert.details or {})
    parts.registry.alert(
        {
            "kind": alert.kind,
            "key": alert.key,
            "state": state,
            "message": message,
            "queue": details.get("queue"),
            "value": details.get("value"),
            "threshold": details.get("threshold"),
            "count": alert.count,
            "raised_at": alert.raised_at,
            "application": parts.settings.name,
            "details": details,
        }
    )


def note_overtaken(parts: Parts, pushed: int) -> None:
    """Raise an alert when a round of reconcile had to push many rows."""
    if pushed >= DRIFT:
        message = f"{pushed:,} queued rows were not in their queue and were pushed again"
        details = {"value": pushed, "threshold": DRIFT}
        raise_alert(parts, AlertKind.QUEUE_DRIFT, AlertKind.QUEUE_DRIFT, message, details)


def note_rebuilt(parts: Parts, rebuilt: Rebuilt | None) -> None:
    """Raise an alert when a queue had to be filled with many rows; a new one has few, and is not lost."""
    if rebuilt is not None and rebuilt.pushed >= DRIFT:
        message = f"the queue was lost or replaced; {rebuilt.pushed:,} queued rows were pushed again"
        details = {"value": rebuilt.pushed, "threshold": DRIFT}
        raise_alert(parts, AlertKind.QUEUE_DRIFT, AlertKind.QUEUE_DRIFT, message, details)


def note_settled(parts: Parts, entry: Entry, settled: Settled) -> None:
    """Raise an alert when an entry's time was left out, and end it when one is fired."""
    key = f"{AlertKind.SCHEDULE_MISSED}:{entry.name}"
    if settled.left_out is not None:
        time = settled.left_out.isoformat(timespec="seconds")
        message = f"schedule {entry.name!r}: the time {time} was missed and is left out"
        details = {"schedule": entry.name, "runs": entry.what, "time": time}
        raise_alert(parts, AlertKind.SCHEDULE_MISSED, key, message, details, lasts=None)
    elif settled.fired:
        clear_alert(parts, key)


def _look_at_schedule(parts: Parts) -> None:
    entries = entries_of(parts.settings)
    if not entries:
        return
    latest = parts.database.read(database_now) - timedelta(seconds=LATE)
    for name, mark in parts.database.read(entry_marks, list(entries)).items():
        entry = entries[name]
        if entry.differs(mark):
            _raise_differing(parts, entry, mark)
        elif not (entry.paused or mark.paused):
            due = next(entry.times.after(mark.settled_until), None)
            if due is not None and due < latest:  # for ``LATE`` seconds nobody has fired it
                _raise_late(parts, entry, due)


def _raise_late(parts: Parts, entry: Entry, due: datetime) -> None:
    key, time = f"{AlertKind.SCHEDULE_MISSED}:{entry.name}", due.isoformat(timespec="seconds")
    message = f"schedule {entry.name!r} was due at {time} and no supervisor has fired it"
    details = {"schedule": entry.name, "runs": entry.what, "time": time}
    raise_alert(parts, AlertKind.SCHEDULE_MISSED, key, message, details)


def _raise_differing(parts: Parts, entry: Entry, mark: Mark) -> None:
    host = os.uname().nodename
    message = (
        f"schedule {entry.name!r}: {host} says {entry.clock!r} and does not fire it; "
        f"{mark.times!r} is in force, from a process that began later"
    )
    details = {"schedule": entry.name, "host": host, "times": entry.clock, "in_force": mark.times}
    key = f"{AlertKind.SCHEDULE_DIFFERS}:{entry.name}"
    raise_alert(parts, AlertKind.SCHEDULE_DIFFERS, key, message, details)


def _look_at_queues(parts: Parts) -> None:
    waits = parts.settings.alerts["wait"]
    for state in queue_states(parts):
        if state.paused or state.oldest is None:
            continue
        limit = waits.get(state.queue, waits["default"])
        seconds = f"the first job of queue {state.queue!r} has waited {state.oldest:.0f} s"
        details = {"queue": state.queue, "value": state.oldest, "size": state.size, "workers": state.workers}
        if not state.workers and state.oldest > UNSERVED:
            message = f"no worker serves queue {state.queue!r}; {seconds}"
            key = f"{AlertKind.NO_WORKER}:{state.queue}"
            raise_alert(parts, AlertKind.NO_WORKER, key, message, {**details, "threshold": UNSERVED})
        elif limit and state.oldest > limit:
            message = f"{seconds}; the limit is {limit:g} s"
            key = f"{AlertKind.LONG_WAIT}:{state.queue}"
            raise_alert(parts, AlertKind.LONG_WAIT, key, message, {**details, "threshold": limit})


def _look_at_supervisors(parts: Parts) -> None:
    for row in overview(parts).silent:
        heard = row.heartbeat_at.isoformat(timespec="seconds") if row.heartbeat_at else "never"
        message = f"{row.kind} {row.name!r} on {row.host} (process {row.pid}) fell silent; last heard {heard}"
        key = f"{AlertKind.SUPERVISOR_MISSING}:{row.host}:{row.kind}:{row.name}"
        details = {"host": row.host, "name": row.name, "kind": row.kind, "uuid": row.uuid}
        raise_alert(parts, AlertKind.SUPERVISOR_MISSING, key, message, details)


def _tell_events(
    parts: Parts,
    kind: AlertKind,
    describe: Callable[[Parts, datetime, datetime], tuple[int, str, dict[str, Any]] | None],
) -> int:
    if kind in parts.settings.alerts["off"]:
        return 0
    mark = parts.database.run(find_mark, kind.value)
    upto = parts.database.read(database_now) - timedelta(seconds=SETTLED)
    found = None if mark is None or upto <= mark else describe(parts, mark, upto)
    if mark is None or found is None:
        return 0
    number, message, details = found
    taken = parts.database.run(take_events, kind.value, (mark, upto), MINUTE, number, message, details)
    if taken:
        event = Alert(key=kind, kind=kind, state="closed", message=message, details=details, count=number)
        event.raised_at = upto
        announce(parts, event, "event")
    return int(taken)


def _describe_failures(
    parts: Parts, mark: datetime, upto: datetime
) -> tuple[int, str, dict[str, Any]] | None:
    failures = parts.database.read(failures_between, mark, upto, SEEN)
    if not failures:
        return None
    number, (job_id, name, error) = len(failures), failures[0]
    last = f"job {job_id} ({name}) failed: {(error or '').partition(chr(10))[0]}"
    types = Counter(name for _, name, _ in failures)
    most = ", ".join(f"{count} {name}" for name, count in types.most_common(5))
    many = f"{_some(number)} jobs failed ({most}); the last: {last}"
    details = {"value": number, "jobs": [each[0] for each in failures[:20]], "types": dict(types)}
    return number, last if number == 1 else many, details


def _describe_deaths(parts: Parts, mark: datetime, upto: datetime) -> tuple[int, str, dict[str, Any]] | None:
    deaths = parts.database.read(lost_between, mark, upto, SEEN)
    if not deaths:
        return None
    number, (uuid, host, pid) = len(deaths), deaths[0]
    last = f"worker {uuid} (process {pid} on {host}) died; its jobs were taken back"
    details = {"value": number, "workers": [each[0] for each in deaths[:20]]}
    return number, last if number == 1 else f"{_some(number)} workers died; the last: {last}", details


def _some(number: int) -> str:
    return f"{number:,} or more" if number >= SEEN else f"{number}"
