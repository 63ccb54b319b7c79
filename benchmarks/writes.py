"""What a database does for the life of a job: bytes of its log, and time of its processor, not of the clock.

    python -m benchmarks.writes [--database postgresql] [--jobs 10000] [--rounds 3]

No-op jobs are inserted a thousand at a time, claimed and completed fifty at a time, by this very process. The
bytes hardly depend on what else the machine does, so two checkouts can be compared on a busy one.
"""

from __future__ import annotations

import argparse
import time

import psutil
from sqlalchemy import text

from benchmarks.systems import MariaDBServer, PostgresServer
from jobman_cli.core.outcome import COMPLETED
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import claim_ids
from jobman_cli.store.lifecycle.finish import Finish, complete
from jobman_cli.store.lifecycle.insert import NewJob, insert_jobs
from jobman_cli.store.lifecycle.workers import WorkerIdentity, register
from jobman_cli.store.schema import upgrade

LOG = {
    "postgresql": "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')",
    "mysql": "SELECT variable_value FROM information_schema.global_status "
    "WHERE variable_name = 'INNODB_LSN_CURRENT'",
}
NEW = NewJob("noop", "default", 0, 1, 60.0)
BULK, TURN = 1000, 50


def spent(server: PostgresServer | MariaDBServer, database: Database) -> tuple[int, float]:
    """Bytes of log and seconds of processor, up to now."""
    with database.reading() as connection:
        written = int(connection.execute(text(LOG[database.dialect.name])).scalar_one())
    process = psutil.Process(server.pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return written, sum(each.user + each.system for each in times)


def live(server: PostgresServer | MariaDBServer, database: Database, jobs: int) -> str:
    """So many jobs from dispatch to end; what each cost, in words."""
    begun = spent(server, database)
    ids = [
        row.id
        for at in range(0, jobs, BULK)
        for row in database.run(insert_jobs, NEW, ['{"name":"x"}'] * min(BULK, jobs - at))
    ]
    inserted = spent(server, database)
    for at in range(0, jobs, TURN):
        now = time.time()
        claims = database.run(claim_ids, "bench", ids[at : at + TURN])
        refused = database.run(complete, "bench", [Finish(each, COMPLETED, now, now) for each in claims])
        if refused or len(claims) != min(TURN, jobs - at):
            raise SystemExit("somebody else works here")
    ended = spent(server, database)
    steps = (("insert", begun, inserted), ("claim and complete", inserted, ended))
    return "; ".join(
        f"{name} {(to[0] - since[0]) / jobs:,.0f} bytes, {(to[1] - since[1]) / jobs * 1e6:,.0f} µs"
        for name, since, to in steps
    )


def main() -> None:
    """Run the rounds and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    server = {"postgresql": PostgresServer, "mariadb": MariaDBServer}[options.database]().start()
    try:
        database = Database(server.database("bench"))
        upgrade(database)
        database.run(register, WorkerIdentity("bench", "s", "host", 1, "boot", "pid", 1, ("default",)))
        live(server, database, BULK)  # what a first statement prepares is not measured
        for number in range(options.rounds):
            print(f"{options.database}, round {number + 1}, each job: {live(server, database, options.jobs)}")
        database.close()
    finally:
        server.close()


if __name__ == "__main__":
    main()
