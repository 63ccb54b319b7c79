"""Dispatch from many threads or processes at once, beside the rate at which the database itself commits.

That rate is measured twice, by the bare driver on as many connections: of a job's row with its indexes, and
of the smallest row there is. Neither pushes anything into Redis, as a dispatch does.

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
from typing import Any

from benchmarks.costs import server_seconds
from benchmarks.systems import PATIENCE, SYSTEMS, Ground, NotMeasured, Place, last_words

#: Name → processes, threads in each.
CROWDS = {
    "1 thread": (1, 1),
    "4 threads": (1, 4),
    "16 threads": (1, 16),
    "2 processes": (2, 1),
    "4 processes": (4, 1),
    "4 processes of 4 threads": (4, 4),
}
ROUNDS = 3


def dispatchers(ground: Ground, name: str, jobs: int) -> dict[str, Any]:
    """What each crowd does a second, by the names of ``ACTS``, and what processor time a dispatch takes.

    Medians of ``ROUNDS`` rounds; microseconds.
    """
    found: dict[str, dict[str, list[float]]] = {crowd: defaultdict(list) for crowd in CROWDS}
    for _ in range(ROUNDS):
        for crowd, (processes, threads) in CROWDS.items():
            for what in ACTS:
                with ground.place(SYSTEMS[name]) as place:
                    place.ask("reset")
                    rate, costs = _rate(place, what, processes, threads, jobs)
                found[crowd][what].append(rate)
                for part, seconds in costs.items() if what in ("dispatch", "alone") else ():
                    found[crowd][f"{what}: {part} µs"].append(seconds * 1e6)
    return {crowd: {what: median(each) for what, each in acts.items()} for crowd, acts in found.items()}


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
    from jobman_cli.operations import group_commit

    group_commit.FEW = sys.maxsize
    return dispatch_one()


def commit_row() -> Callable[[], object]:
    """A job's row and a commit, by the bare driver."""
    return _bare(
        "INSERT INTO jobmans (type, queue, priority, rank, status, attribs, tries, attempts, claims, rescues,"
        " created_at, queued_at) VALUES ('noop', 'default', 0, extract(epoch FROM clock_timestamp()) * 1000,"
        """ 'queued', '{"name": "x"}', 1, 0, 0, 0, clock_timestamp(), clock_timestamp()) RETURNING id"""
    )


def commit_least() -> Callable[[], object]:
    """A row of one column and a commit, by the bare driver."""
    return _bare("INSERT INTO jobman_queues (name) VALUES (gen_random_uuid()::text)")


def _bare(statement: str) -> Callable[[], object]:
    import psycopg

    connections = threading.local()

    def commit() -> None:
        if not hasattr(connections, "own"):
            connections.own = psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True)
        connections.own.execute(statement)

    return commit


#: What one of the crowd does, over and over.
ACTS = {"dispatch": dispatch_one, "alone": dispatch_alone, "row": commit_row, "commit": commit_least}


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
