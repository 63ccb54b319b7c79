"""What PostgreSQL itself says of a drain: how long it was busy with each kind of statement.

Logging every statement has its price, so this is a round of its own.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from benchmarks.systems import Ground, System

_LINE = re.compile(r"\[(\d+)\] LOG:  duration: ([\d.]+) ms  (parse|bind|execute|statement)[^:]*: *(\w+)")
#: A statement's first word → what it does in a drain.
_KINDS = {"WITH": "finish and claim", "UPDATE": "finish or claim", "BEGIN": "BEGIN", "COMMIT": "COMMIT"}


def timed_statements(ground: Ground, system: System, jobs: int) -> dict[str, float]:
    """Microseconds a job by kind of statement, of the worker's own connection; empty without PostgreSQL."""
    if system.database != "postgresql":
        return {}
    server = ground.server("postgresql")
    log = server.directory / "server.log"
    with ground.place(system) as place:
        place.ask("reset", f"fill:{jobs}")
        setting = place.describe()["workers"]["one"]
        server.execute("ALTER SYSTEM SET log_min_duration_statement = 0", "SELECT pg_reload_conf()")
        try:
            start = log.stat().st_size
            with place.workers(setting) as crew:
                place.wait(jobs, crew)
            with log.open(errors="replace") as file:
                file.seek(start)
                found = _by_backend(file.read())
        finally:
            server.execute("ALTER SYSTEM RESET log_min_duration_statement", "SELECT pg_reload_conf()")
    worker = max(found.values(), key=lambda times: times["finish and claim"])
    return {kind: seconds * 1e6 / jobs for kind, seconds in worker.items()}


def _by_backend(log: str) -> dict[str, Counter[str]]:
    """Seconds by kind, for each server process."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for pid, ms, step, word in _LINE.findall(log):
        kind = _KINDS.get(word, "other")
        if step in ("parse", "bind") and kind in ("finish and claim", "finish or claim"):
            kind = "parse, plan"
        found[pid][kind] += float(ms) / 1000
    return found
