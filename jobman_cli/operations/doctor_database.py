"""The doctor's checks of the configuration, the plugins, the database and its rows."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from jobman_cli.errors import EXIT_CONFIG
from jobman_cli.operations.doctor import Check, Finding, Installation, fail, ok, warn
from jobman_cli.operations.schedule import entries_of, faults
from jobman_cli.store.health import (
    LEAST,
    MANY,
    ask_server,
    count_deserted,
    count_finished_before,
    count_overdue,
    count_pending,
    look_at_file,
    ping,
)
from jobman_cli.store.queries import database_now, lines, live_workers
from jobman_cli.store.queries_schedule import entry_marks
from jobman_cli.store.schema import check_schema

#: Seconds: a slow round trip, a clock that is off, a job that ought to have moved long ago.
SLOW, OFF, LONG = 0.1, 2.0, 60.0
#: Bytes on a disk that is nearly full, and days after which finished jobs are old.
LITTLE, OLD = 100 * 2**20, 180


def check_configuration(installation: Installation) -> Finding:
    """It was read, or the doctor would not have begun."""
    path = installation.settings.path
    return ok("no file, defaults only" if path is None else str(path))


def check_plugins(installation: Installation) -> Finding:
    """Everything listed can be used."""
    registry = installation.registry()
    if registry.broken:
        said = "; ".join(f"{info.name}: {info.error}" for info in registry.broken)
        remedy = registry.broken[0].hint or "Repair it, or take it off the `plugins:` list."
        return fail(f"cannot be used: {said}", remedy, EXIT_CONFIG)
    if registry.warnings:
        return warn("; ".join(registry.warnings), "Correct the configuration.")
    loaded = [info.name for info in registry.plugins if info.state == "loaded"]
    unlisted = [info.name for info in registry.plugins if info.state == "available"]
    line = f"{_number(len(registry.types), 'job type')} from {', '.join(loaded) or 'nothing: none is listed'}"
    return ok(line + (f"; installed, not listed: {', '.join(unlisted)}" if unlisted else ""))


def check_file(installation: Installation) -> Finding:
    """A SQLite file can be written, by its owner only, on a local disk with room on it."""
    file = look_at_file(installation.database())
    if file is None:
        return ok("on a server")
    if file.network is not None:
        return fail(
            f"{file.path} lies on a network file system ({file.network}), where SQLite's locks do not hold",
            "Put the file on a local disk, or use PostgreSQL.",
            EXIT_CONFIG,
        )
    if not file.writable:
        return fail(
            f"{file.path} cannot be written by this user",
            "Make the database file and its directory writable for this user.",
        )
    if file.free < LITTLE:
        left = f"{file.free // 2**20} MB are left on the disk of {file.path}"
        return warn(left, "Make room; without it nothing can be dispatched.")
    if not file.exists:
        return ok(f"{file.path} is not there yet; it is made on first use")
    if file.mode & 0o077:
        return warn(
            f"others than its owner may use {file.path} (mode {file.mode:o})", f"chmod 600 {file.path}"
        )
    return ok(f"{file.path}, {file.free // 2**20} MB left on its disk")


def check_database(installation: Installation) -> Finding:
    """It answers, soon, and is new enough."""
    database = installation.database()
    if (file := look_at_file(database)) is not None and not file.exists:
        return ok("SQLite, made on first use")
    server = database.read(ask_server)
    times = []
    with database.reading() as connection:
        for _ in range(3):
            began = time.perf_counter()
            ping(connection, database.dialect)
            times.append(time.perf_counter() - began)
    line = f"{server}, answers in {min(times) * 1000:.1f} ms"
    if not server.supported:
        least = ".".join(map(str, LEAST[server.product]))
        return fail(
            f"{line}; {server.product} {least} is the least", "Upgrade the database server.", EXIT_CONFIG
        )
    if min(times) > SLOW:
        return warn(line, "Bring workers and database closer together: each turn waits for it.")
    return ok(line)


def check_tables(installation: Installation) -> Finding:
    """The tables are there and fit."""
    database = installation.database()
    if (file := look_at_file(database)) is not None and not file.exists:
        return ok("made on first use")
    state = check_schema(database)
    if state.fits:
        return ok(f"revision {state.head}")
    if state.newer:
        return fail(
            f"revision {state.current} is newer than this Jobman, which knows {state.head}",
            "Upgrade jobman-cli on this host.",
            EXIT_CONFIG,
        )
    found = "there are no tables yet" if state.current is None else f"they are at revision {state.current}"
    if state.current is None and database.dialect.name == "sqlite":
        return ok(f"{found}; they are made on first use")
    return fail(f"{found}, {state.head} is needed", "Run `jobman db upgrade`.", EXIT_CONFIG)


def check_clock(installation: Installation) -> Finding:
    """This host and the database agree on the time."""
    database = installation.database()
    if database.dialect.name == "sqlite":
        return ok("the database's clock is this host's")
    began = datetime.now(UTC)
    theirs = database.read(database_now)
    ended = datetime.now(UTC)
    nearest = min(max(theirs, began), ended)  # between the question and the answer any time is right
    off = abs((theirs - nearest) / timedelta(seconds=1))
    if off > OFF:
        return warn(
            f"this host's clock and the database's differ by {off:.1f} s",
            "Set both by NTP. Jobs go by the database's clock, but times from workers look wrong.",
        )
    return ok("this host and the database agree")


def check_rows(installation: Installation) -> Finding:
    """No job is stuck: running without a worker, waiting for a push, or long overdue."""
    database, lease = installation.database(), installation.settings.lease
    if not has_tables(installation):
        return ok("no jobs yet")
    found = (
        (database.read(count_deserted, lease), "running without a live worker"),
        (database.read(count_pending, LONG), f"pending for more than {LONG:g} s"),
        (database.read(count_overdue, LONG), f"scheduled and overdue by more than {LONG:g} s"),
    )
    stale = [f"{_number(number, 'job')} {what}" for number, what in found if number]
    if not stale:
        return ok("no job is stuck")
    return warn(
        "; ".join(stale),
        "Start a worker (`jobman run-worker`): it rescues, pushes and wakes jobs. If one runs, see its log.",
    )


def check_workers(installation: Installation) -> Finding:
    """Somebody serves each line in which jobs wait."""
    if not has_tables(installation):
        return ok("no jobs, no workers")
    database = installation.database()
    workers = database.read(live_workers, installation.settings.lease)
    served = {queue for worker in workers for queue in worker.queues}
    unserved = [queue for queue in database.read(lines) if queue not in served]
    alive = f"{_number(len(workers), 'live worker')}" if workers else "no live worker"
    if unserved:
        flags = " ".join(f"--queue {queue}" for queue in unserved[:10])
        return warn(
            f"{alive}; jobs wait and nobody serves: {', '.join(unserved[:10])}",
            f"Start one: jobman run-worker {flags}",
        )
    return ok(alive + ("; no job waits" if not workers else f" on {', '.join(sorted(served))}"))


def check_age(installation: Installation) -> Finding:
    """Finished jobs are pruned some day."""
    old = installation.database().read(count_finished_before, OLD) if has_tables(installation) else 0
    if not old:
        return ok(f"no finished job is older than {OLD} days")
    return warn(
        f"{_number(old, 'finished job')} {'is' if old == 1 else 'are'} older than {OLD} days",
        f"Run `jobman prune --days {OLD}`, best by cron.",
    )


def check_schedule(installation: Installation) -> Finding:
    """Each entry can be fired, at the times that this configuration says."""
    entries = entries_of(installation.settings)
    if not entries:
        return ok("nothing is scheduled")
    if wrong := faults(installation.settings, installation.registry()):
        said = "; ".join(f"{name} cannot be fired: {why}" for name, why in wrong.items())
        return fail(said, "Correct the entry; no worker starts until then.", EXIT_CONFIG)
    known = installation.database().read(entry_marks, list(entries)) if has_tables(installation) else {}
    others = [
        f"{name} is {entry.clock!r} here, and {known[name].times!r} is in force"
        for name, entry in entries.items()
        if entry.differs(known.get(name))
    ]
    if others:
        return warn(
            "; ".join(others),
            "Give every host the same schedule, then start what runs anew: `jobman terminate`.",
        )
    return ok(f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}")


def has_tables(installation: Installation) -> bool:
    """False while there are no tables to ask: those of a SQLite file that is made on first use."""
    database = installation.database()
    file = look_at_file(database)
    return (file is None or file.exists) and check_schema(database).current is not None


def _number(number: int, what: str) -> str:
    if number > MANY:
        return f"more than {MANY:,} {what}s"
    return f"{number:,} {what}{'' if number == 1 else 's'}"


BASE = (
    Check("configuration", check_configuration),
    Check("plugins", check_plugins),
    Check("database file", check_file),
    Check("database", check_database, needs=("database file",)),
    Check("tables", check_tables, needs=("database",)),
)
ROWS = (
    Check("clock", check_clock, needs=("database",)),
    Check("stuck jobs", check_rows, needs=("tables",)),
    Check("workers", check_workers, needs=("tables",)),
    Check("old jobs", check_age, needs=("tables",)),
    Check("schedule", check_schedule, needs=("plugins", "tables")),
)
