"""The doctor's checks of Redis, and of the lines against the rows."""

from __future__ import annotations

import time

from jobman_cli.engine.health import LEAST, SAMPLE
from jobman_cli.errors import EXIT_CONFIG
from jobman_cli.operations.doctor import Check, Finding, Installation, fail, ok, warn
from jobman_cli.operations.doctor_database import BASE, ROWS, SLOW, has_tables
from jobman_cli.operations.reconcile import UNDERWAY
from jobman_cli.store.health import sample_queued, without_row

#: Seconds after which a row that seemed lost is looked at again: a worker may just have taken its id.
AGAIN = 0.5
#: The part of its memory limit at which Redis is nearly full.
FULL = 0.8


def check_redis(installation: Installation) -> Finding:
    """It answers, soon, is new enough and takes writes."""
    facts = installation.engine().facts()
    if facts is None:
        return ok("the database is the queue")
    line = f"Redis {'.'.join(map(str, facts.version))}, answers in {facts.latency * 1000:.1f} ms"
    if not facts.supported:
        return fail(
            f"{line}; {'.'.join(map(str, LEAST))} is the least", "Upgrade the Redis server.", EXIT_CONFIG
        )
    if facts.role != "master":
        return fail(
            f"{line}; it is a replica, which takes no writes",
            "Name the master under `queue:`, or redis+sentinel://….",
            EXIT_CONFIG,
        )
    if facts.latency > SLOW:
        return warn(line, "Bring workers and Redis closer together.")
    return ok(line)


def check_eviction(installation: Installation) -> Finding:
    """Redis throws nothing away when its memory is full."""
    facts = installation.engine().facts()
    if facts is None:
        return ok("the database is the queue")
    remedy = (
        "Set `maxmemory-policy noeviction` in redis.conf and by CONFIG SET, or give Jobman its own Redis."
    )
    if facts.policy.startswith("allkeys"):
        return fail(f"maxmemory-policy is {facts.policy}: a full Redis throws whole lines away", remedy)
    if facts.policy != "noeviction":
        return warn(f"maxmemory-policy is {facts.policy or 'unknown'}; it ought to be noeviction", remedy)
    return ok("maxmemory-policy is noeviction")


def check_memory(installation: Installation) -> Finding:
    """Redis has room, and writes to its disk if it is to."""
    facts = installation.engine().facts()
    if facts is None:
        return ok("the database is the queue")
    if facts.disk_error:
        return fail(
            "Redis could not write to its disk the last time, and may refuse changes",
            "Look at its log; make room on its disk, then run BGSAVE.",
        )
    note = "writes to disk" if facts.persists else "keeps nothing on disk, and need not: rows fill it again"
    if facts.limit and facts.used > facts.limit * FULL:
        return warn(
            f"{_megabytes(facts.used)} of {_megabytes(facts.limit)} MB are used; full, it refuses pushes",
            "Raise maxmemory. A million waiting jobs take about 100 MB.",
        )
    limit = f"of {_megabytes(facts.limit)} MB" if facts.limit else "without a limit"
    return ok(f"{_megabytes(facts.used)} MB used {limit}; {note}")


def check_lines(installation: Installation) -> Finding:
    """Lines and rows agree, as far as a sample from both ends can tell."""
    engine, database = installation.engine(), installation.database()
    facts = engine.facts()
    if facts is None:
        return ok("the table is the line")
    if not has_tables(installation):
        return ok("no jobs yet")
    lost, looked = _lost_rows(installation)
    remedy = "Start a worker, which repairs it, or run `jobman requeue --unqueued`."
    if lost and not facts.whole:
        return warn(f"Redis was emptied or replaced, and {lost:,} of {looked:,} rows are not in it", remedy)
    if lost:
        return warn(f"{lost:,} of {looked:,} queued rows are not in their line", remedy)
    samples = engine.sample()
    rubbish, orphans = sum(each.rubbish for each in samples), 0
    for each in samples:
        for at in range(0, len(each.ids), SAMPLE):
            orphans += len(database.read(without_row, each.ids[at : at + SAMPLE]))
    if rubbish or orphans:
        return warn(
            f"{orphans:,} member(s) without a row, {rubbish:,} that are no ids",
            "Nothing to do: workers drop them. If they come again, another program uses the same `name:`.",
        )
    total = sum(each.size for each in samples)
    return ok(f"{total:,} in {len(samples)} line(s); {looked:,} rows and both ends of the lines agree")


def _lost_rows(installation: Installation) -> tuple[int, int]:
    """Queued rows that their lines do not hold, at two looks, and how many rows were looked at."""
    engine, database = installation.engine(), installation.database()
    rows = database.read(sample_queued, UNDERWAY, SAMPLE)
    absent = engine.missing(rows)
    if absent:
        time.sleep(AGAIN)
        still = {row.id for row in database.read(sample_queued, UNDERWAY, SAMPLE)}
        absent = engine.missing([row for row in absent if row.id in still])
    return len(absent), len(rows)


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.0f}"


#: All of them, in their order.
CHECKS = (
    *BASE,
    Check("redis", check_redis),
    Check("redis eviction", check_eviction, needs=("redis",)),
    Check("redis memory", check_memory, needs=("redis",)),
    Check("lines", check_lines, needs=("tables", "redis")),
    *ROWS,
)
