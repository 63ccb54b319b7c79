"""Dispatch from many threads or processes at once, beside the rate at which the database itself commits.

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
from collections.abc import Callable
from typing import Any

from benchmarks.systems import PATIENCE, SYSTEMS, Ground, NotMeasured, Place, last_words

#: Name → processes, threads in each.
CROWDS = {"1 thread": (1, 1), "16 threads": (1, 16), "4 processes": (4, 1)}


def dispatchers(ground: Ground, name: str, jobs: int) -> dict[str, Any]:
    """Dispatches a second of each crowd, and one-row commits a second of as many bare connections."""
    found: dict[str, Any] = {}
    for crowd, (processes, threads) in CROWDS.items():
        found[crowd] = {}
        for what in ("dispatch", "commit"):
            with ground.place(SYSTEMS[name]) as place:
                place.ask("reset")
                found[crowd][what] = _rate(place, what, processes, threads, jobs)
    return found


def _rate(place: Place, what: str, processes: int, threads: int, jobs: int) -> float:
    command = [str(place.python), "-m", "benchmarks.dispatchers", what, str(threads), str(jobs // processes)]
    options: dict[str, Any] = {"env": place.environment, "cwd": place.directory, "text": True}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    crowd = [subprocess.Popen(command, **pipes, **options) for _ in range(processes)]
    try:
        for each in crowd:
            each.stdout.readline()  # it is ready
        for each in crowd:
            each.stdin.write("go\n")
            each.stdin.flush()
        answers = [each.communicate(timeout=PATIENCE) for each in crowd]
    finally:
        for each in crowd:
            each.kill()
    if any(each.returncode for each in crowd):
        raise NotMeasured(f"{what}: {last_words(answers[0][1])}")
    times = [json.loads(out) for out, _ in answers]
    done = sum(answer["done"] for answer in times)
    return done / (max(t["ended"] for t in times) - min(t["began"] for t in times))


def dispatch_one() -> Callable[[], object]:
    from benchmarks.peers.jobman import jobman

    jobman().parts.registry.find("noop")
    return lambda: jobman().dispatch("noop", {"name": "x"})


def commit_one() -> Callable[[], object]:
    """One row and a commit, by the bare driver, on a connection of this thread's own."""
    import psycopg

    connections = threading.local()

    def commit() -> None:
        if not hasattr(connections, "own"):
            connections.own = psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True)
        connections.own.execute("INSERT INTO jobman_queues (name) VALUES (gen_random_uuid()::text)")

    return commit


def main(what: str, threads: int, n: int) -> None:
    act = {"dispatch": dispatch_one, "commit": commit_one}[what]()
    act()
    print("ready", flush=True)
    sys.stdin.readline()
    each = [threading.Thread(target=_repeat, args=(act, n // threads)) for _ in range(threads)]
    began = time.time()
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()
    print(json.dumps({"began": began, "ended": time.time(), "done": n // threads * threads}))


def _repeat(act: Callable[[], object], n: int) -> None:
    for _ in range(n):
        act()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
