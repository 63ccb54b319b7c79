"""`jobmans` as one table and in partitions, by id and by created_at: what becomes of the statements.

    python -m benchmarks.partitions [--rows 300000] [--jobs 5000] [--rounds 3]

The tables stand side by side on a PostgreSQL of the run's own, filled with finished rows, a twelfth a
"month". Each round goes from one to the other. Rates are those of the product's own functions. Then the
oldest months end: by the product's `prune`, by DETACH and DROP, by DETACH CONCURRENTLY and DROP, while a
worker claims and completes one job a turn beside it. Prints medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from benchmarks.costs import circumstances, others, spread
from benchmarks.million_rows import OLDEST, STEP, fill, tidy
from benchmarks.partitioned import Bounded, name_partition, partition, ranges, refused
from benchmarks.systems import PostgresServer
from benchmarks.writes import LOG, NEW, spent
from jobman_cli.core.outcome import COMPLETED
from jobman_cli.operations.prune import prune
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import Claim, claim_ids, claim_line
from jobman_cli.store.lifecycle.finish import Finish, complete
from jobman_cli.store.lifecycle.insert import NewJob, insert_jobs
from jobman_cli.store.lifecycle.workers import WorkerIdentity, register
from jobman_cli.store.link import Link
from jobman_cli.store.queries import JobFilter, find_job, list_jobs
from jobman_cli.store.schema import upgrade

MONTHS, BULK, TURN, PAGE, LOOKS = 12, 1000, 50, 50, 5
#: Layout → the partitions' key. Two of them show what might help: lists of ids with their bounds, and
#: statements that name the partition themselves.
LAYOUTS = {
    "one table": "",
    "by created_at": "created_at",
    "by id": "id",
    "by id, bounded": "id",
    "by id, named": "id",
}
ENDS = ("prune", "DETACH, DROP", "DETACH CONCURRENTLY, DROP")
SCANS = """SELECT relname, coalesce(idx_scan, 0) + seq_scan AS scans FROM pg_stat_user_tables
    WHERE relname ~ '^jobmans(_[0-9]+)?$'"""
#: A queue that is not what the rows of the past were in.
LINE = NewJob("noop", "bench", 0, 1, 60.0)


class Layout:
    """One way to keep the rows, in a database of its own."""

    def __init__(self, server: PostgresServer, name: str, rows: int) -> None:
        self.name, self.key, self.server, self.rows = name, LAYOUTS[name], server, rows
        self.database = Database(server.database(f"bench_{list(LAYOUTS).index(name)}"))
        if name == "by id, bounded":
            self.database.dialect = Bounded()
        self.began = int(time.time()) - OLDEST
        upgrade(self.database)
        if self.key:
            with self.database.transaction() as connection:
                ends = ["MINVALUE", *map(self._end, range(1, MONTHS + 1)), "MAXVALUE"]
                primary = "id" if self.key == "id" else f"id, {self.key}"
                partition(connection, f"RANGE ({self.key})", ranges(ends), primary)
                self.no_index = refused(connection)
        seconds = fill(self.database, rows, mixed=True)
        with self.database.transaction() as connection:
            connection.exec_driver_sql("UPDATE jobmans SET status = 'completed' WHERE status = 'queued'")
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('jobmans', 'id'), {rows})")
        tidy(self.database)
        if name == "by id, named":
            name_partition(self.database.engine, f"jobmans_{MONTHS + 1}")
        self.database.run(register, WorkerIdentity("w", "s", "host", 1, "boot", "pid", 1, ("bench",)))
        self.gone = 0
        self.figures: dict[str, list[float]] = {"SQL insert, rows/s": [rows / seconds]}

    def _end(self, month: int) -> str:
        """The first value that is behind the month."""
        row = self.rows * month // MONTHS
        return str(row + 1) if self.key == "id" else f"to_timestamp({self.began + (row + 0.5) * STEP})"

    def add(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def round(self, jobs: int) -> None:
        """Rates, pages, and the end of the oldest months."""
        began = time.perf_counter()
        ids = insert(self.database, NEW, jobs)
        self.add("insert, jobs/s", jobs / (time.perf_counter() - began))
        scans, most = self.scans(), jobs // TURN
        took, cpu = self.turns(ids, TURN)
        touched = [name for name, number in self.scans().items() if number - scans.get(name, 0) >= most]
        self.add("turn by ids, jobs/s", jobs / took)
        self.add("turn by ids, PostgreSQL µs a job", cpu / jobs * 1e6)
        self.add("turn by ids, partitions it looks into", len(touched))
        few = jobs // 10
        _, cpu = self.turns(insert(self.database, NEW, few), 1)
        self.add("turn of one id, PostgreSQL µs", cpu / few * 1e6)
        insert(self.database, LINE, jobs)
        self.add("turn by the line, jobs/s", jobs / line_turns(self.database, jobs))
        for name, wanted in (
            ("first page, ms", JobFilter()),
            ("deep page, ms", JobFilter(before=self.rows * 7 // 8)),
            ("failed page, ms", JobFilter(statuses=("failed",))),
            ("rare type, ms", JobFilter(type="never")),
        ):
            self.add(name, looks(lambda wanted=wanted: self.database.read(list_jobs, wanted, PAGE)))
        self.add("one job, ms", looks(lambda: self.database.read(find_job, self.rows * 7 // 8)))
        for end in ENDS if self.key else ENDS[:1] * len(ENDS):
            self.end_month(end)

    def turns(self, ids: list[int], size: int) -> tuple[float, float]:
        """Seconds that one worker takes for jobs that a queue named, and those of PostgreSQL's processor."""
        link, done = self.database.link(), []
        link.run(_exchange, [], [])  # so that its server process is there
        before, began = spent(self.server, self.database)[1], time.perf_counter()
        for at in range(0, len(ids), size):
            done = turn(link, ids[at : at + size], done)
        link.run(_exchange, done, [])
        took, cpu = time.perf_counter() - began, spent(self.server, self.database)[1] - before
        link.drop()
        return took, cpu

    def scans(self) -> dict[str, int]:
        """How often each table that holds jobs was looked into."""
        time.sleep(0.1)  # a connection that was closed says so a moment later
        with self.database.reading() as connection:
            found = connection.exec_driver_sql(SCANS).all()
        return {row.relname: row.scans for row in found}

    def end_month(self, end: str) -> None:
        """Take the oldest month away; how long, what it wrote, and the longest turn of a worker meanwhile."""
        self.gone += 1
        action = {"prune": self.prune, ENDS[1]: self.detach, ENDS[2]: self.detach_concurrently}[end]
        with Neighbour(self.database, min(3000, self.rows)) as neighbour:
            before, began = written(self.database), time.perf_counter()
            action()
            took = time.perf_counter() - began
            wrote = written(self.database) - before - neighbour.turns * neighbour.bytes
        self.add(f"{end}: s", took)
        self.add(f"{end}: longest turn beside, ms", neighbour.longest * 1000)
        self.add(f"{end}: WAL, MB", max(wrote, 0) / 2**20)
        if self.key and end == "prune":
            self.detach()  # what is empty now

    def prune(self) -> None:
        """The product's operation, which needs of its parts only the database."""
        month = self.rows * self.gone // MONTHS
        before = f"SELECT max(created_at) FROM jobmans WHERE id <= {month}"
        with self.database.reading() as connection:
            last = connection.exec_driver_sql(before).scalar_one()
        pruned = prune(SimpleNamespace(database=self.database), last + timedelta(microseconds=1))
        if abs(pruned - self.rows / MONTHS) > 2:
            raise SystemExit(f"{self.name}: pruned {pruned} rows, a month has {self.rows // MONTHS}")

    def detach(self) -> None:
        with self.database.transaction() as connection:
            connection.exec_driver_sql(f"ALTER TABLE jobmans DETACH PARTITION jobmans_{self.gone}")
            connection.exec_driver_sql(f"DROP TABLE jobmans_{self.gone}")

    def detach_concurrently(self) -> None:
        engine = self.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            detach = f"ALTER TABLE jobmans DETACH PARTITION jobmans_{self.gone} CONCURRENTLY"
            connection.exec_driver_sql(detach)
            connection.exec_driver_sql(f"DROP TABLE jobmans_{self.gone}")


class Neighbour:
    """A worker that claims and completes one job a turn meanwhile, on a connection of its own."""

    def __init__(self, database: Database, jobs: int) -> None:
        self._database, self._ended = database, threading.Event()
        self._ids = insert(database, NEW, jobs)
        self._link = database.link()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.longest, self.turns = 0.0, 0

    def __enter__(self) -> Neighbour:
        for job_id in self._ids[:50]:  # what a first statement prepares is not measured
            turn(self._link, [job_id])
        before = written(self._database)
        for job_id in self._ids[50:100]:
            turn(self._link, [job_id])
        self.bytes = (written(self._database) - before) / 50
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._link.close()

    def _work(self) -> None:
        for job_id in self._ids[100:]:
            if self._ended.is_set():
                return
            began = time.perf_counter()
            turn(self._link, [job_id])
            self.longest = max(self.longest, time.perf_counter() - began)
            self.turns += 1
            time.sleep(0.001)


def written(database: Database) -> int:
    """Bytes of WAL up to now."""
    with database.reading() as connection:
        return int(connection.exec_driver_sql(LOG["postgresql"]).scalar_one())


def insert(database: Database, new: NewJob, jobs: int) -> list[int]:
    """So many jobs, a thousand a statement."""
    sizes = [min(BULK, jobs - at) for at in range(0, jobs, BULK)]
    return [row.id for size in sizes for row in database.run(insert_jobs, new, ['{"name":"x"}'] * size)]


def turn(link: Link, ids: list[int], before: list[Claim] | None = None) -> list[Claim]:
    """A worker's turn: what was done and what is next in one transaction, or each in its own."""
    claims: list[Claim] = link.run(_exchange, before or [], ids)
    if len(claims) != len(ids):
        raise SystemExit("somebody else works here")
    if before is None:
        link.run(_exchange, claims, [])
    return claims


def _exchange(connection: Any, dialect: Any, done: list[Claim], ids: list[int]) -> list[Claim]:
    finish(connection, dialect, done)
    return claim_ids(connection, dialect, "w", ids) if ids else []


def _exchange_line(connection: Any, dialect: Any, done: list[Claim], after: int | None) -> list[Claim]:
    finish(connection, dialect, done)
    return claim_line(connection, dialect, "w", LINE.queue, TURN, after)


def finish(connection: Any, dialect: Any, claims: list[Claim]) -> None:
    now = time.time()
    if claims and complete(connection, dialect, "w", [Finish(each, COMPLETED, now, now) for each in claims]):
        raise SystemExit("a completion was refused")


def line_turns(database: Database, jobs: int) -> float:
    """Seconds that one worker takes to claim and complete jobs from the table as the line."""
    link, done, taken, began = database.link(), [], 0, time.perf_counter()
    while taken < jobs:
        done = link.run(_exchange_line, done, done[-1].rank if done else None)
        taken += len(done)
        if not done:
            raise SystemExit(f"the line ended after {taken} of {jobs} jobs")
    link.run(_exchange, done, [])
    took = time.perf_counter() - began
    link.drop()
    return took


def looks(read: Callable[[], Any]) -> float:
    """Milliseconds of one read, the median of some."""
    times = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        read()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def table(layouts: list[Layout]) -> str:
    """A line for each figure, its median with the least and the most, a column for each layout."""
    names = list(dict.fromkeys(name for layout in reversed(layouts) for name in layout.figures))
    lines = [f"| | {' | '.join(layout.name for layout in layouts)} |", f"|{'---|' * (len(layouts) + 1)}"]
    for name in names:
        cells = [spread(layout.figures.get(name, [])) for layout in layouts]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Fill, go round, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, choices=(1, 2, 3), default=3, help="each ends three months")
    options = parser.parse_args()
    shares = []
    with PostgresServer() as server:
        layouts = [Layout(server, name, options.rows) for name in LAYOUTS]
        for number in range(options.rounds):
            shares.append(others(server))
            for layout in layouts:
                layout.round(options.jobs)
                print(f"  round {number + 1}: {layout.name}", file=sys.stderr)
        print(f"{options.rows:,} rows in {MONTHS} months; {options.rounds} rounds of {options.jobs:,} jobs\n")
        print(table(layouts))
        print(f"\nA unique index over all partitions: {layouts[1].no_index or 'taken'}")
        print(circumstances(shares))
        for layout in layouts:
            layout.database.close()


if __name__ == "__main__":
    main()
