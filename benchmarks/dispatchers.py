"""Dispatch from many threads or processes at once, beside the rate at which the database itself commits.

That rate is measured by the bare driver on as many connections, of a job's row with its indexes: once as it
is, and once with what a dispatch does besides, a push into Redis, by redis-py. A commit takes as long as a
disk does, and that may be no time at all here. So some crowds meet a database whose commits take longer.

As a program (`python -m benchmarks.dispatchers WHAT THREADS N`) it is one such process: it waits for a line
on its standard input, does N of them, and prints when it began and ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from benchmarks.costs import server_seconds
from benchmarks.systems import PATIENCE, SYSTEMS, Ground, NotMeasured, Place, last_words


class Crowd(NamedTuple):
    """Who dispatches.

    Attributes:
        delay: Microseconds for which the database holds a commit up, for others to join it.
    """

    processes: int
    threads: int
    delay: int = 0


CROWDS = {
    "1 thread": Crowd(1, 1),
    "4 threads": Crowd(1, 4),
    "16 threads": Crowd(1, 16),
    "4 processes": Crowd(4, 1),
    "4 processes of 4 threads": Crowd(4, 4),
    "4 threads, a slow commit": Crowd(1, 4, 5000),
    "16 threads, a slow commit": Crowd(1, 16, 5000),
    "4 processes, a slow commit": Crowd(4, 1, 5000),
    "4 processes of 4 threads, a slow commit": Crowd(4, 4, 5000),
}
ROUNDS = 3


def dispatchers(ground: Ground, name: str, jobs: int) -> dict[str, Any]:
    """What each crowd does a second, by the names of ``ACTS``, and what processor time a dispatch takes.

    Medians of ``ROUNDS`` rounds; microseconds.
    """
    found: dict[str, dict[str, list[float]]] = {crowd: defaultdict(list) for crowd in CROWDS}
    for _ in range(ROUNDS):
        for crowd, who in CROWDS.items():
            for what in ACTS:
                with ground.place(SYSTEMS[name]) as place:
                    place.ask("reset")
                    _slow_down(place, who.delay)
                    rate, costs = _rate(
                        place, what, who.processes, who.threads, jobs // (4 if who.delay else 1)
                    )
                found[crowd][what].append(rate)
                for part, seconds in costs.items() if what in ("dispatch", "alone") else ():
                    found[crowd][f"{what}: {part} µs"].append(seconds * 1e6)
    return {crowd: {what: median(each) for what, each in acts.items()} for crowd, acts in found.items()}


def _slow_down(place: Place, delay: int) -> None:
    import psycopg

    database = place.database.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(place.environment["BENCH_DATABASE"], autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{database}" SET commit_delay = {delay}')
        connection.execute(f'ALTER DATABASE "{database}" SET commit_siblings = 0')


def _rate(place: Place, what: str, processes: int, threads: int, jobs: int) -> tuple[float, dict[str, float]]:
    """How many a second, and seconds of processor for each: of those who do it, and of the servers."""
    command = [str(place.python), "-m", "benchmarks.dispatchers", what, str(threads), str(jobs // processes)]
    options: dict[str, Any] = {"env": place.environment, "cwd": place.directory, "text": True}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    crowd = [subprocess.Popen(command, **pipes, **options) for _ in range(processes)]
    try:
        for each in crowd:
            each.stdout.readline()  # it is ready
        before = {server.title: server_seconds(server) for server in place.servers}
        for each in crowd:
            each.stdin.write("go\n")
            each.stdin.flush()
        answers = [each.communicate(timeout=PATIENCE) for each in crowd]
        after = {server.title: server_seconds(server) for server in place.servers}
    finally:
        for each in crowd:
            each.kill()
    if any(each.returncode for each in crowd):
        raise NotMeasured(f"{what}: {last_words(answers[0][1])}")
    times = [json.loads(out) for out, _ in answers]
    done = sum(answer["done"] for answer in times)
    costs = {"own": sum(answer["processor"] for answer in times)}
    costs |= {title: after[title] - before[title] for title in before}
    rate = done / (max(t["ended"] for t in times) - min(t["began"] for t in times))
    return rate, {part: seconds / done for part, seconds in costs.items()}


def dispatch_one() -> Callable[[], object]:
    from benchmarks.peers.jobman import jobman

    jobman().parts.registry.find("noop")
    return lambda: jobman().dispatch("noop", {"name": "x"})


def dispatch_alone() -> Callable[[], object]:
    """As ``dispatch_one``, but that no dispatch meets another."""
    from jobman_cli.operations import parts
    from jobman_cli.operations.group_commit import Pace

    parts.SIDE_BY_SIDE = parts.ONE_BY_ONE = Pace(few=sys.maxsize, groups=1)
    return dispatch_one()


def commit_row() -> Callable[[], int]:
    """A job's row and a commit, by the bare driver."""
    import psycopg

    connections = threading.local()

    def commit() -> int:
        if not hasattr(connections, "own"):
            connections.own = psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True)
        return int(connections.own.execute(_ROW).fetchone()[0])

    return commit


def commit_and_push() -> Callable[[], object]:
    """A job's row, a commit and a push, by the bare drivers."""
    from redis import Redis

    commit, redis = commit_row(), Redis.from_url(os.environ["BENCH_REDIS"])

    def both() -> None:
        number = commit()
        redis.zadd("line", {f"{number:020d}": number})

    return both


_ROW = """
    INSERT INTO jobmans (type, queue, priority, rank, status, attribs, tries, attempts, claims, rescues,
    created_at, queued_at)
    VALUES ('noop', 'default', 0, extract(epoch FROM clock_timestamp()) * 1000, 'queued', '{"name": "x"}',
    1, 0, 0, 0, clock_timestamp(), clock_timestamp()) RETURNING id
"""
#: What one of the crowd does, over and over.
ACTS = {"dispatch": dispatch_one, "alone": dispatch_alone, "row": commit_row, "both": commit_and_push}


def main(what: str, threads: int, n: int) -> None:
    act = ACTS[what]()
    act()
    print("ready", flush=True)
    sys.stdin.readline()
    each = [threading.Thread(target=_repeat, args=(act, n // threads)) for _ in range(threads)]
    began, worked = time.time(), time.process_time()
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()
    ended, worked = time.time(), time.process_time() - worked
    print(json.dumps({"began": began, "ended": ended, "processor": worked, "done": n // threads * threads}))


def _repeat(act: Callable[[], object], n: int) -> None:
    for _ in range(n):
        act()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
