"""What a job costs each part: processor, log, disk, network, memory, transactions; noted for the model.

    python -m benchmarks.job_costs [--jobs 4000] [--rounds 3] [--idle 3] [--note]

One real worker drains jobs that do nothing, from PostgreSQL and Redis, in two ways: ``together`` (dispatched
a thousand a call, many a turn) and ``each`` (a dispatch each, one job a turn, as jobs of more than 5 ms are).
What it counts depends less on the machine's other work than rates do. With --note the medians are kept for
the model.
"""

from __future__ import annotations

import argparse
import resource
import socket
import statistics
import struct
import time
from typing import Any

import psycopg

from benchmarks.costs import circumstances, note, others, server_seconds, spread
from benchmarks.partitions import turn
from benchmarks.systems import SYSTEMS, Ground, NotMeasured, Place
from benchmarks.writes import NEW
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.insert import insert_jobs
from jobman_cli.store.lifecycle.workers import WorkerIdentity, register
from jobman_cli.store.link import Link

#: Way → system, the client's word that fills the line, jobs in an insert and in a turn; and how many times as
#: many jobs, because one of them costs so little.
WAYS = {
    "together": ("jobman-postgresql-redis", "fill", 1000, 50, 5),
    "each": ("jobman-each", "dispatch", 1, 1, 1),
}
_STATE = """SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal,
    pg_snapshot_xmax(pg_current_snapshot())::text::float8 AS xids,
    (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobman')::float8 AS connections"""


def measure(ground: Ground, way: str, jobs: int, rest: float) -> dict[str, float]:
    """One life of so many jobs; each figure a job's, but for memory and what an idle worker costs."""
    system, word, bulk, together, times = WAYS[way]
    jobs *= times
    postgres, redis = ground.server("postgresql"), ground.server("redis")
    with ground.place(SYSTEMS[system]) as place:
        start = children()
        place.ask("reset")
        start = children() - start  # the client's own start, and making the tables' check
        with psycopg.connect(place.database.replace("+psycopg", ""), autocommit=True) as watcher:
            empty = redis_facts(redis)
            before, used, clients = state(watcher), server_seconds(postgres), children()
            place.ask(f"{word}:{jobs}")
            after = state(watcher)
            figures = {
                "dispatch_client_us": max(children() - clients - start, 0) / jobs * 1e6,
                "dispatch_postgresql_us": (server_seconds(postgres) - used) / jobs * 1e6,
                "dispatch_wal_bytes": (after["wal"] - before["wal"]) / jobs,
                "dispatch_xids": (after["xids"] - before["xids"]) / jobs,
                "redis_waiting_bytes": (redis_facts(redis)["memory"] - empty["memory"]) / jobs,
            }
            figures |= drain(place, watcher, jobs, rest)
            full = redis_facts(redis)
            figures["redis_network_bytes"] = (full["network"] - empty["network"]) / jobs
            watcher.execute("VACUUM jobmans")
            size = watcher.execute("SELECT pg_total_relation_size('jobmans')").fetchone()
            figures["row_bytes"] = size[0] / jobs
        figures["postgresql_network_bytes"] = network(place, bulk, together, min(2000, jobs))
    return figures


def drain(place: Place, watcher: Any, jobs: int, rest: float) -> dict[str, float]:
    """A worker's share, and what it costs when nothing is there to do."""
    setting = place.describe()["workers"]["one"]
    before = state(watcher)
    with place.workers(setting) as crew:
        place.wait(jobs // 10, crew)  # what it takes to start is behind
        first, used = place.started(), crew.cpu_by_part()
        place.wait(jobs, crew)
        used = {name: seconds - used[name] for name, seconds in crew.cpu_by_part().items()}
        if first == jobs:
            raise NotMeasured("too few jobs to tell the worker's start from its work")
        while watcher.execute("SELECT 1 FROM jobmans WHERE status <> 'completed' LIMIT 1").fetchone():
            time.sleep(0.01)
        after = state(watcher)
        figures = {
            "worker_us": used["workers"] / (jobs - first) * 1e6,
            "run_postgresql_us": used["PostgreSQL"] / (jobs - first) * 1e6,
            "run_wal_bytes": (after["wal"] - before["wal"]) / jobs,
            "run_xids": (after["xids"] - before["xids"]) / jobs,
            "connections": after["connections"],
            "worker_mb": crew.memory()["worker_mb"],
        }
        idle, began = crew.cpu_by_part(), time.monotonic()
        time.sleep(rest)
        took = time.monotonic() - began
        idle = {name: (seconds - idle[name]) / took for name, seconds in crew.cpu_by_part().items()}
    figures["idle_worker_ms_a_second"] = idle["workers"] * 1000
    figures["idle_postgresql_ms_a_second"] = idle["PostgreSQL"] * 1000
    return figures


def state(watcher: psycopg.Connection) -> dict[str, float]:
    cursor = watcher.execute(_STATE)
    return dict(zip((each.name for each in cursor.description or ()), cursor.fetchone() or (), strict=True))


def redis_facts(server: Any) -> dict[str, float]:
    with server.client() as client:
        facts = client.info()
    network = facts["total_net_input_bytes"] + facts["total_net_output_bytes"]
    return {"memory": facts["used_memory_dataset"], "network": network}


def children() -> float:
    """Seconds of processor of the clients that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def network(place: Place, bulk: int, together: int, number: int) -> float:
    """Bytes to and from PostgreSQL for a job's life, by what the kernel counts for our own connection."""
    database = Database(place.database)
    database.run(register, WorkerIdentity("w", "s", "host", 1, "boot", "pid", 1, ("default",)))
    link, jobs, some = database.link(), 0, max(bulk, together)
    number = max(number // some, 6) * some  # statements are prepared after some turns
    while jobs < 2 * number:
        if jobs == number:
            before = passed(link)
        texts = ['{"name":"x"}'] * bulk
        ids = [row.id for _ in range(some // bulk) for row in link.run(insert_jobs, NEW, texts)]
        done = None
        for at in range(0, some, together):
            done = turn(link, ids[at : at + together], done or [])
        turn(link, [], done)
        jobs += some
    moved = passed(link) - before
    link.close()
    database.close()
    return moved / number


def passed(link: Link) -> int:
    """Bytes that went both ways: ``tcpi_bytes_acked`` and ``tcpi_bytes_received`` of Linux."""
    with link.transaction() as connection:
        number = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
    with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as ours:
        told = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
    return sum(struct.unpack_from("QQ", told, 120))


def main() -> None:
    """Rounds of both ways; prints them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=3.0, help="seconds that an idle worker is watched")
    parser.add_argument("--note", action="store_true", help="keep the medians for the model")
    options = parser.parse_args()
    ground, shares = Ground(), []
    found: dict[str, dict[str, list[float]]] = {way: {} for way in WAYS}
    try:
        for _ in range(options.rounds):
            servers = [ground.server("postgresql"), ground.server("redis")]
            shares.append(others(*servers))
            for way in WAYS:
                for name, value in measure(ground, way, options.jobs, options.idle).items():
                    found[way].setdefault(name, []).append(value)
    finally:
        ground.close()
    print(f"{options.rounds} rounds of {options.jobs:,} jobs; of a job, where nothing else is said\n")
    print(f"| | {' | '.join(WAYS)} |\n|---|{'---|' * len(WAYS)}")
    for name in found["each"]:
        print(f"| {name} | {' | '.join(spread(found[way][name]) for way in WAYS)} |")
    print(f"\n{circumstances(shares)}")
    if options.note:
        middle = statistics.median
        figures = {f"{way}.{name}": middle(each) for way in WAYS for name, each in found[way].items()}
        note("python -m benchmarks.job_costs", statistics.median(shares), figures)


if __name__ == "__main__":
    main()
