"""How long recoveries take, with the defaults and with fast settings; prints a Markdown table.

    python benchmarks/recovery.py [--runs 3] [--only defaults|fast]

Each figure is the median of some runs, from the moment of the fault (or of the server's return) to the
start of the job's next attempt (or of the next job). Servers are the test suite's own, on free ports.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/faults")]

from processes import start_jobman, wait_until  # noqa: E402 - from the paths above
from scene import FAST, Scene  # noqa: E402
from servers import PostgresServer, RedisServer  # noqa: E402

DEFAULTS = {"lease": 30, "heartbeat": 5, "sweep": 1, "grace": 5, "shutdown_timeout": 30}


class Bench:
    """Two servers, and a fresh scene for each measurement."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.redis, self.postgres = RedisServer().start(), PostgresServer().start()
        self.number = 0

    def scene(self) -> Scene:
        self.number += 1
        self.redis.flush()
        path = Path(tempfile.mkdtemp(prefix="jobman-recovery-"))
        database = self.postgres.database(f"recovery_{self.number}")
        return Scene(path, database, self.redis.url, start_jobman, 0, **self.settings)

    def end(self, scene: Scene) -> None:
        for supervisor in scene.supervisors:
            supervisor.kill()
        scene.close()
        shutil.rmtree(scene.path, ignore_errors=True)

    def held(self, scene: Scene) -> int:
        job = scene.dispatch("held", gate=str(scene.gate()))
        scene.until_started(1)
        return job

    def again(self, scene: Scene, began: float) -> float:
        """Seconds until the second attempt starts."""
        scene.until_started(2, timeout=120)
        return time.monotonic() - began

    def child(self, scene: Scene) -> float:
        scene.supervisor()
        job = self.held(scene)
        began = time.monotonic()
        scene.worker_of(job).kill()
        return self.again(scene, began)

    def tree(self, scene: Scene) -> float:
        victim = scene.supervisor()
        self.held(scene)
        scene.supervisor()
        began = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        return self.again(scene, began)

    def host(self, scene: Scene) -> float:
        """A host that is lost looks like this: silent, and its pids prove nothing."""
        victim = scene.supervisor()
        self.held(scene)
        scene.supervisor()
        time.sleep(self.settings["lease"] + 1)  # whoever judges has watched for a lease
        began = time.monotonic()
        victim.freeze()
        seconds = self.again(scene, began)
        victim.thaw()
        return seconds

    def queue_back(self, scene: Scene) -> float:
        scene.supervisor()
        self.redis.kill()
        job = scene.dispatch("plain")
        time.sleep(3)
        self.redis.start()
        began = time.monotonic()
        scene.until(job, "completed", timeout=60)
        return time.monotonic() - began

    def database_back(self, scene: Scene) -> float:
        scene.supervisor()
        job = scene.dispatch("held_plain", gate=str(scene.gate()))
        scene.until_started(1)
        waiting = scene.dispatch("plain")
        self.postgres.kill()
        scene.gate().touch()
        time.sleep(10)
        self.postgres.start()
        began = time.monotonic()
        wait_until(lambda: scene.row(waiting).status == "completed", 60, interval=0.02)
        assert scene.row(job).claims == 1
        return time.monotonic() - began

    def flushed(self, scene: Scene) -> float:
        scene.supervisor()
        self.held(scene)  # the worker is busy, so the next job stands in the line
        job = scene.dispatch("plain")
        self.redis.kill()
        self.redis.start()
        began = time.monotonic()
        scene.gate().touch()
        scene.until(job, "completed", timeout=60)
        return time.monotonic() - began


ROWS: list[tuple[str, Callable[[Bench, Scene], float]]] = [
    ("kill -9 of a worker, its supervisor alive", Bench.child),
    ("kill -9 of a whole tree, another supervisor on the host", Bench.tree),
    ("a lost host (a tree stopped by SIGSTOP), a supervisor elsewhere", Bench.host),
    ("Redis back after 3 s", Bench.queue_back),
    ("Redis restarted empty, a job in its line", Bench.flushed),
    ("PostgreSQL back after 10 s, results in hand", Bench.database_back),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=["defaults", "fast"])
    parser.add_argument("--row", default="", help="only rows whose title holds this")
    given = parser.parse_args()
    profiles = {"defaults": DEFAULTS, "fast": dict(FAST)}
    if given.only:
        profiles = {given.only: profiles[given.only]}
    benches = {name: Bench(settings) for name, settings in profiles.items()}
    print(f"Median of {given.runs}, seconds; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(f"| fault | {' | '.join(benches)} |")
    print(f"|---|{'---:|' * len(benches)}", flush=True)
    for title, measure in (row for row in ROWS if given.row in row[0]):
        figures = []
        for bench in benches.values():
            runs = []
            for _ in range(given.runs):
                scene = bench.scene()
                try:
                    runs.append(measure(bench, scene))
                finally:
                    bench.end(scene)
            figures.append(f"{statistics.median(runs):.1f} (at most {max(runs):.1f})")
        print(f"| {title} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
