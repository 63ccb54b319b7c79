"""A model, not a measurement: what 10 million to 1 billion jobs a day need, and what breaks first.

    python -m benchmarks.scale_model [--days 7 30 180] [--set name=value]... [--costs FILE]

It multiplies what a job was measured to cost (`benchmarks.job_costs` and `benchmarks.shards`, with --note) by
a day's jobs, and sets that against what one of each part is assumed to bear. Every input is printed with its
source; change one with --set and see what moves. It knows no interference: whether a primary with 16 cores
does eight times the work of two is assumed, not known.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.costs import FILE
from benchmarks.queueing import day, rates, simulated, wait
from benchmarks.scale_inputs import Input, inputs

DAYS = {"10 M": 10_000_000, "100 M": 100_000_000, "1 B": 1_000_000_000}
SECONDS = 86_400
#: Way of working → seconds of a job, and of its own processor; None is as assumed.
WAYS = {"each": None, "together": 0.0001}
TITLES = {
    "each": "Jobs of {ms:.0f} ms, dispatched and run one by one",
    "together": "Jobs of 0.1 ms, dispatched a thousand a call and run many a turn",
}


class Values:
    """The inputs' values, with a way's own before those for all."""

    def __init__(self, known: Mapping[str, Input], way: str) -> None:
        self._known, self._way = known, way

    def __getattr__(self, name: str) -> float:
        found = self._known.get(f"{self._way}.{name}") or self._known[name]
        return found.value


@dataclass(frozen=True, slots=True)
class Need:
    """What a number of jobs a day needs of one part.

    Attributes:
        amount: In ``unit``.
        one: What one bears; 0 where nothing bounds it.
    """

    part: str
    unit: str
    amount: float
    one: float = 0.0

    @property
    def times(self) -> float:
        """How many of them it takes."""
        return self.amount / self.one if self.one else 0.0


def busy_seconds(value: Values, way: str) -> float:
    """How long a job keeps its worker: its own time, the worker's, and PostgreSQL's, for which it waits."""
    own = WAYS[way]
    return (value.job_seconds if own is None else own) + (value.worker_us + value.run_postgresql_us) / 1e6


def workers(value: Values, way: str, jobs: float) -> int:
    """Worker processes for the peak."""
    return math.ceil(jobs / SECONDS * value.peak * busy_seconds(value, way) / value.worker_busy)


def needs(value: Values, way: str, jobs: float, days: Sequence[int]) -> list[Need]:
    """Everything, in the order of a table."""
    mean = jobs / SECONDS
    peak, crew = mean * value.peak, workers(value, way, jobs)
    cpu = value.job_cpu_seconds if WAYS[way] is None else WAYS[way] or 0.0
    cores = peak * (cpu + value.worker_us / 1e6)
    memory = crew * value.worker_mb / 1024
    hosts = max(cores / value.host_cores, memory / value.host_gb) / value.host_busy
    postgresql_us = value.dispatch_postgresql_us + value.run_postgresql_us
    wal = (value.dispatch_wal_bytes + value.run_wal_bytes) * value.wal_more
    xids = value.dispatch_xids + value.run_xids
    row = (value.row_bytes * value.bloat + value.failed * 4096) / 1e12
    cpu_of_database = peak * postgresql_us / 1e6 * value.database_more
    disk, moved = value.database_tb, peak * value.postgresql_network_bytes / 1e6
    ids = mean * 3600 * value.outage_hours
    return [
        Need("jobs, mean", "/s", mean),
        Need("jobs, peak", "/s", peak),
        Need("worker processes", "", crew),
        Need("hosts for workers", "", hosts),
        Need("PostgreSQL: processor", "cores", cpu_of_database, value.database_cores * value.database_busy),
        Need("PostgreSQL: commits", "/s", peak * xids, value.commits),
        Need("PostgreSQL: WAL, peak", "MB/s", peak * wal / 1e6, value.wal_mb),
        Need("PostgreSQL: WAL to archive", "TB/day", jobs * wal / 1e12),
        Need("PostgreSQL: transactions", "M/day", jobs * xids / 1e6, value.xids / 1e6),
        Need("PostgreSQL: connections", "", crew * value.connections, value.database_connections),
        *(Need(f"PostgreSQL: disk, {each} days", "TB", jobs * each * row, disk) for each in days),
        Need("PostgreSQL: network, peak", "MB/s", moved, value.network_mb),
        Need("Redis: processor", "cores", peak * value.redis_us / 1e6, value.redis_busy),
        Need("Redis: ids of an outage", "GB", ids * value.redis_waiting_bytes / 1e9, value.redis_gb),
    ]


def primaries(found: Sequence[Need], days: int) -> int:
    """Primaries that bear all of it with so many days of rows."""
    parts = [each for each in found if each.part.startswith("PostgreSQL") and each.one]
    counted = [each for each in parts if "disk" not in each.part or each.part.endswith(f" {days} days")]
    return max(1, math.ceil(max(each.times for each in counted)))


def redises(found: Sequence[Need]) -> int:
    return max(1, math.ceil(max(each.times for each in found if each.part.startswith("Redis"))))


def broken(found: Sequence[Need]) -> str:
    """What one of each does not bear, the worst first."""
    over = sorted((each for each in found if each.times > 1), key=lambda each: -each.times)
    return "; ".join(f"{each.part} {each.times:.1f} ×" for each in over) or "nothing"


def number(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:,.1f}" if amount >= 1 else f"{amount:,.3f}"


def demand(known: Mapping[str, Input], way: str, days: Sequence[int]) -> str:
    """The table of one way of working."""
    value = Values(known, way)
    all_needs = [needs(value, way, jobs, days) for jobs in DAYS.values()]
    lines = [f"## {TITLES[way].format(ms=value.job_seconds * 1000)}", ""]
    lines += [f"| | {' | '.join(f'{name} a day' for name in DAYS)} | one bears |", "|---|---|---|---|---|"]
    for row in zip(*all_needs, strict=True):
        cells = [f"{number(each.amount)} {each.unit}".strip() for each in row]
        bound = f"{number(row[0].one)} {row[0].unit}".strip() if row[0].one else ""
        lines.append(f"| {row[0].part} | {' | '.join(cells)} | {bound} |")
    for each in days:
        numbers = [str(primaries(found, each)) for found in all_needs]
        lines.append(f"| **primaries, {each} days of rows** | {' | '.join(numbers)} | |")
    lines.append(f"| **Redis** | {' | '.join(str(redises(found)) for found in all_needs)} | |")
    lines.append(f"| **one of each breaks at** | {' | '.join(broken(found) for found in all_needs)} | |")
    return "\n".join(lines)


def partitions(known: Mapping[str, Input], days: Sequence[int]) -> str:
    """What lies in the table of each primary, and in how many parts."""
    value = Values(known, "each")
    lines = [
        "## Partitions",
        "",
        "| jobs a day | rows kept | primaries | rows of each | of a month | partitions |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, jobs in DAYS.items():
        for each in days:
            shards = primaries(needs(value, "each", jobs, days), each)
            daily = jobs / shards
            parts = math.ceil(daily * each / value.partition_rows) + 2
            rows = f"{daily * each / 1e6:,.0f} M | {daily * 30 / 1e6:,.0f} M"
            lines.append(f"| {name} | {each} days | {shards} | {rows} | {parts} |")
    return "\n".join(lines)


def delays(known: Mapping[str, Input]) -> str:
    """Waits for a free worker at the peak, by how busy they are, and the formula beside the simulation."""
    value = Values(known, "each")
    seconds = busy_seconds(value, "each")
    lines = ["## Wait for a free worker", "", "| jobs a day | at the peak | workers | mean | 1 in 100 over |"]
    lines.append("|---|---|---|---|---|")
    for name, jobs in DAYS.items():
        rate = jobs / SECONDS * value.peak
        for busy in (0.8, 0.9, 0.95, 0.99):
            crew = math.ceil(rate * seconds / busy)
            found = wait(rate, seconds, crew, value.unevenness)
            share = rate * seconds / crew
            times = f"{found.mean * 1000:,.2f} ms | {found.late * 1000:,.2f} ms"
            lines.append(f"| {name} | {share:.1%} busy | {crew:,} | {times} |")
    rate = DAYS["10 M"] / SECONDS * value.peak
    crew = math.ceil(rate * seconds / 0.9)
    for unevenness in (1.0, value.unevenness):
        seen = simulated(rate, seconds, crew, 200_000, unevenness) * 1000
        said = wait(rate, seconds, crew, unevenness).mean * 1000
        lines.append(
            f"\nSimulated, {crew} workers, 200,000 jobs, unevenness {unevenness:g}: {seen:.2f} ms; "
            f"by the formula {said:.2f} ms"
        )
    return "\n".join(lines)


def peaks(known: Mapping[str, Input]) -> str:
    """A day with fewer workers than the peak needs: what piles up, and how long it waits."""
    value = Values(known, "each")
    lines = [
        "## A day with its peak",
        "",
        f"| workers for | longest wait | some wait for | {' | '.join(DAYS)} |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for times in (1.25, 2.0, 3.0, value.peak / value.worker_busy):
        cells = []
        for jobs in DAYS.values():
            mean = jobs / SECONDS
            worst = day(rates(mean, value.peak, value.peak_hours), mean * times)
            memory = worst.backlog * value.redis_waiting_bytes / 1e9
            cells.append(f"{worst.backlog / 1e6:,.1f} M, {memory:,.1f} GB")
        waits = f"{worst.longest / 60:,.0f} min | {worst.over:.1f} h"
        lines.append(f"| {times:g} × the mean | {waits} | {' | '.join(cells)} |")
    lines.append("\nIn the last columns the jobs that wait at the most, and the memory of their ids.")
    return "\n".join(lines)


def sources(known: Mapping[str, Input]) -> str:
    lines = ["## Inputs", "", "| input | value | | source |", "|---|---|---|---|"]
    for name, each in sorted(known.items(), key=lambda item: (not item[1].measured, item[0])):
        kind = "measured" if each.measured else "**assumed**"
        lines.append(f"| {name} | {number(each.value)} | {kind} | {each.source} |")
    return "\n".join(lines)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, nargs="+", default=[7, 30, 180], help="how long rows are kept")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--costs", type=Path, default=FILE, help="what the measuring benchmarks noted")
    options = parser.parse_args()
    known = inputs(options.costs)
    given = dict(each.split("=", 1) for each in options.set)
    if unknown := sorted(set(given) - set(known)):
        parser.error(f"no such input: {', '.join(unknown)}")
    known = inputs(options.costs, {name: float(text) for name, text in given.items()})
    print("# A model of Jobman past one machine\n\nNot a measurement: see the inputs at the end.\n")
    tables = [demand(known, way, options.days) for way in WAYS]
    tables += [partitions(known, options.days), delays(known), peaks(known), sources(known)]
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
