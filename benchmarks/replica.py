"""A read replica for the dashboard: how far it is behind, and what the overview costs the primary without it.

    python -m benchmarks.replica [--rows 100000] [--seconds 8] [--rounds 3] [--visits 30]

Two PostgreSQL on this machine, the second made by pg_basebackup and following the first. A process inserts,
claims and completes jobs as fast as it can; beside it every 20 ms a position in the primary's log is taken,
and the time until the replica has replayed it. Then, without load, the product's overview is asked for on
either, and both servers' processor time is counted. It says nothing of a network, which is not there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

import psycopg
from starlette.testclient import TestClient

from benchmarks.costs import circumstances, others, server_seconds, spread
from benchmarks.million_rows import fill, fill_metrics
from benchmarks.partitions import insert, turn
from benchmarks.systems import ROOT, PostgresServer
from benchmarks.writes import NEW
from jobman_cli.app import Jobman
from jobman_cli.dashboard import create_app
from jobman_cli.dashboard.pages import PAGES
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.workers import WorkerIdentity, register
from jobman_cli.store.schema import upgrade

sys.path.append(str(ROOT / "tests"))
from servers import HOST, as_owner, give_to_owner, reachable, run_tool

LOOK, MINUTES = 0.02, 1440
BULK, TURN = 1000, 50


class Replica(PostgresServer):
    """A copy of a running server that follows it and answers reads."""

    title = "the replica"

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__(primary.binaries)
        self._primary = primary

    def prepare(self) -> None:
        """Copy the primary; ``-R`` writes down whom to follow."""
        assert self.binaries is not None and self.directory is not None
        self.binaries = reachable(self.binaries)
        give_to_owner(self.directory)
        whom = ["-h", HOST, "-p", str(self._primary.port), "-U", "postgres"]
        command = [str(self.binaries / "pg_basebackup"), *whom, "-D", str(self.directory / "data")]
        run_tool([*command, "-R", "-X", "stream", "-c", "fast"], cwd=self.directory, **as_owner())


def load(url: str, seconds: float) -> None:
    """In a process of its own: jobs from their row to their end; prints how many a second."""
    database = Database(url)
    link, jobs, began = database.link(), 0, time.monotonic()
    while time.monotonic() - began < seconds:
        ids = insert(database, NEW, BULK)
        for at in range(0, BULK, TURN):
            turn(link, ids[at : at + TURN])
        jobs += BULK
    print(jobs / (time.monotonic() - began))
    link.close()
    database.close()


def lags(primary: PostgresServer, replica: Replica, seconds: float) -> list[float]:
    """Milliseconds until the replica had what the primary had written, looked at again and again."""
    found = []

    def connected(server: PostgresServer) -> psycopg.Connection:
        return psycopg.connect(host=HOST, port=server.port, user="postgres", dbname="bench", autocommit=True)

    with connected(primary) as there, connected(replica) as here:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            there.execute("SELECT pg_notify('bench', '')")  # something to write, when nobody else does
            place, began = there.execute("SELECT pg_current_wal_lsn()").fetchone(), time.monotonic()
            question = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            while not (here.execute(question, place).fetchone() or (False,))[0]:
                time.sleep(0.0005)
            found.append((time.monotonic() - began) * 1000)
            time.sleep(LOOK)
    return sorted(found)


def visit(server: PostgresServer, both: tuple[PostgresServer, Replica], visits: int) -> dict[str, float]:
    """The overview, again and again, its rows from one server; what a visit cost each."""
    url = server.url("bench")
    jobman = Jobman.from_config(ROOT / "benchmarks/jobman.yaml", database=url, queue="database")
    with TestClient(create_app(jobman), base_url="http://localhost") as client:
        for _ in range(3):
            client.get("/").raise_for_status()
        before, times = [server_seconds(each) for each in both], []
        for _ in range(visits):
            began = time.perf_counter()
            client.get("/").raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
        cost = [(server_seconds(each) - was) / visits * 1000 for each, was in zip(both, before, strict=True)]
    jobman.close()
    return {"page ms": median(times), "primary CPU ms": cost[0], "replica CPU ms": cost[1]}


def answered(replica: Replica) -> str:
    """Which pages of the menu are there with the replica as the database."""
    jobman = Jobman.from_config(
        ROOT / "benchmarks/jobman.yaml", database=replica.url("bench"), queue="database"
    )
    paths = [page.path for page in PAGES if "{" not in page.path]
    with TestClient(create_app(jobman), base_url="http://localhost") as client:
        refused = [path for path in paths if client.get(path).status_code != 200]
    jobman.close()
    said = f"Pages that answer from the replica: {len(paths) - len(refused)} of {len(paths)}"
    return f"{said}; not {', '.join(refused)}" if refused else said


def rounds(options: argparse.Namespace) -> str:
    """All of it, as text."""
    found: dict[str, list[float]] = {}
    shares = []

    def add(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with PostgresServer() as primary:
        database = Database(primary.database("bench"))
        upgrade(database)
        fill(database, options.rows, mixed=True)
        with database.transaction() as connection:
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('jobmans', 'id'), {options.rows})"
            )
        fill_metrics(database, MINUTES)
        database.run(register, WorkerIdentity("w", "s", "host", 1, "boot", "pid", 1, ("default",)))
        database.close()
        with Replica(primary) as replica:
            for _ in range(options.rounds):
                shares.append(others(primary, replica))
                for name, value in zip(("p50", "p99", "most"), ends(lags(primary, replica, 1)), strict=True):
                    add(f"behind, idle: ms, {name}", value)
                command = [sys.executable, "-m", "benchmarks.replica", "--load", primary.url("bench")]
                command += ["--seconds", str(options.seconds)]
                busy = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
                behind = ends(lags(primary, replica, options.seconds))
                add("jobs/s meanwhile", float(busy.communicate()[0]))
                for name, value in zip(("p50", "p99", "most"), behind, strict=True):
                    add(f"behind, under load: ms, {name}", value)
                for server, title in ((primary, "primary"), (replica, "replica")):
                    for name, value in visit(server, (primary, replica), options.visits).items():
                        add(f"overview from the {title}: {name}", value)
            pages = answered(replica)
    lines = ["| | median (least–most) |", "|---|---|"]
    lines += [f"| {name} | {spread(values)} |" for name, values in found.items()]
    return "\n".join([*lines, "", pages, circumstances(shares)])


def ends(values: list[float]) -> tuple[float, float, float]:
    return median(values), values[int(len(values) * 0.99)], values[-1]


def main() -> None:
    """Run it, or the load alone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--visits", type=int, default=30)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options.load, options.seconds)
        return
    print(rounds(options))


if __name__ == "__main__":
    main()
