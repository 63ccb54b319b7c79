"""Where each microsecond of a job goes in one worker: pop, claim, run, finish, and what lies between.

    python -m benchmarks.microcosts [--jobs 20000] [--rounds 3] [--system jobman-postgresql-redis]

A real worker process drains a line; its functions are timed in place, so that every moment belongs to exactly
one stage. "Processor" is what the worker's own thread used; "waiting" is the rest of the wall's time: for a
server's answer, and on a busy machine for a processor. Counting starts after a tenth of the jobs. The table
is that of the round with the least processor time, which was disturbed least.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import fingerprint, wait_for_quiet
from benchmarks.report import LOUD
from benchmarks.server_log import timed_statements
from benchmarks.stopwatch import Stopwatch
from benchmarks.systems import ROOT, SYSTEMS, Ground, Place

#: Stage → what it is; in the order of a turn.
STAGES = {
    "pop": "pop: ask Redis for ids, read the answer",
    "transaction": "transaction: SQLAlchemy around the statements",
    "trade": "finish and claim: write the lists, make claims of rows",
    "trade: SQL": "finish and claim: the statement, a round trip",
    "begin": "transaction: BEGIN, a round trip (looked for before each statement)",
    "finish": "finish: write the batch as JSON, read what came back",
    "finish: SQL": "finish: the statement, a round trip",
    "claim": "claim: make claims of rows",
    "claim: SQL": "claim: the statement, a round trip",
    "commit": "transaction: COMMIT, a round trip",
    "turn": "turn: put into the hand, release, look",
    "one": "run: hand, shared page, pace",
    "begin job": "run: context and attempt",
    "run": "run: Huey's execute and its timeout",
    "perform": "run: find the type, check the arguments",
    "job": "run: the job itself (a write of eight bytes)",
    "metrics": "metrics",
}


def instrument(watch: Stopwatch, postgresql: bool) -> None:
    """Time the stages where they are."""
    from sqlalchemy import Engine, event
    from sqlalchemy.engine.default import DefaultDialect

    from benchmarks.peers import jobman
    from jobman_cli.engine import database_queue, redis_queue
    from jobman_cli.runtime import recorder
    from jobman_cli.runtime.meter import Meter
    from jobman_cli.runtime.runner import Runner
    from jobman_cli.runtime.worker import Turn
    from jobman_cli.store.link import Link

    for receiver in (redis_queue.SetReceiver, database_queue.LineReceiver):
        watch.wrap(receiver, "receive", "pop")
        watch.wrap(receiver, "claim", "claim")
    watch.wrap(Turn, "take", "turn")
    watch.wrap(Turn, "_run_hand", "one")
    watch.wrap(Link, "run", "transaction")
    watch.wrap(recorder, "complete", "finish")
    watch.wrap(recorder.Recorder, "trade", "trade")
    watch.wrap(Meter, "count", "metrics")
    watch.wrap(Runner, "begin", "begin job")
    watch.wrap(Runner, "run", "run")
    watch.wrap(Runner, "perform", "perform")
    watch.wrap(jobman, "body", "job")
    watch.wrap(DefaultDialect, "do_commit", "commit")
    if not postgresql:
        event.listen(Engine, "before_cursor_execute", lambda *_: watch.enter(f"{watch.top}: SQL"))
        event.listen(Engine, "after_cursor_execute", lambda *_: watch.leave())
        return
    from psycopg import Connection, Cursor

    execute = Cursor.execute  # SQLAlchemy's events would send statements by a longer way

    def timed(self: Any, *args: Any, **options: Any) -> Any:
        watch.enter(f"{watch.top}: SQL" if watch.top else "plans")
        try:
            return execute(self, *args, **options)
        finally:
            watch.leave()

    Cursor.execute = timed
    watch.wrap_generator(Connection, "_start_query", "begin")


def work(warm: int, out: Path) -> None:
    """In the child: be `jobman run-worker --stop-when-empty`; its worker writes the stages as it ends."""
    from jobman_cli.app import Jobman
    from jobman_cli.runtime.consumer.worker import JobWorker
    from jobman_cli.runtime.run import RunOptions, run_worker
    from jobman_cli.runtime.worker import Turn

    watch = Stopwatch()
    jobman = Jobman.from_config()
    instrument(watch, jobman.bare_database.dialect.name == "postgresql")
    counted: dict[str, int] = {"turns": 0}
    initialize, shutdown, take = JobWorker.initialize, JobWorker.shutdown, Turn.take

    def begin(self: Any) -> None:
        initialize(self)
        watch.follow()

    def turn(self: Any, *args: Any, **kwargs: Any) -> int:
        if "from" not in counted and self.count >= warm:
            counted["from"] = self.count
            watch.reset()
        counted["turns"] += "from" in counted
        counted["to"] = self.count
        ran = take(self, *args, **kwargs)
        counted["to"] = self.count
        return ran

    def end(self: Any) -> None:
        stages = {name: [s.wall, s.cpu, s.entered] for name, s in watch.stages.items()}
        out.write_text(json.dumps({"stages": stages, "price": watch.price(), **counted}))
        shutdown(self)

    JobWorker.initialize, JobWorker.shutdown, Turn.take = begin, end, turn
    sys.exit(run_worker(jobman.parts, RunOptions(stop_when_empty=True)))


def measure(place: Place, jobs: int) -> dict[str, Any]:
    """Fill a line and have it drained by a timed worker."""
    out = place.directory / "stages.json"
    place.ask("reset", f"fill:{jobs}")
    command = ("python", "-m", "benchmarks.microcosts", "--work", str(jobs // 10), "--out", str(out))
    with place.workers({"command": command, "environment": {}, "processes": 1}) as crew:
        place.wait(jobs // 10, crew)
        first, before = place.started(), crew.cpu_by_part()
        place.wait(jobs, crew)
        used = {name: seconds - before[name] for name, seconds in crew.cpu_by_part().items()}
        done = jobs - first
        for _ in range(500):
            if out.exists():
                break
            time.sleep(0.02)
    found: dict[str, Any] = json.loads(out.read_text())
    found["servers_us"] = {name: seconds / done * 1e6 for name, seconds in used.items()}
    return found


def table(found: dict[str, Any]) -> str:
    jobs, turns = found["to"] - found["from"], found["turns"]
    price = found["price"] * 1e6
    lines = [
        "| stage | times a job | wall µs a job | processor | waiting |",
        "|---|---|---|---|---|",
    ]
    total = [0.0, 0.0]
    calls = 0.0
    known = [name for name in STAGES if name in found["stages"]]
    for name in [*known, *(name for name in found["stages"] if name not in STAGES)]:
        wall, cpu, entered = found["stages"][name]
        wall, cpu = wall / jobs * 1e6, cpu / jobs * 1e6
        total[0], total[1], calls = total[0] + wall, total[1] + cpu, calls + entered / jobs
        lines.append(
            f"| {STAGES.get(name, name)} | {entered / jobs:.3f} | {wall:.1f} | {cpu:.1f} | {wall - cpu:.1f} |"
        )
    lines.append(f"| **all** | | **{total[0]:.1f}** | **{total[1]:.1f}** | **{total[0] - total[1]:.1f}** |")
    servers = ", ".join(f"{name} {each:.1f}" for name, each in found["servers_us"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"{jobs:,} jobs, {jobs / turns:.1f} a turn. The stopwatch itself costs {price:.2f} µs a call, "
            f"{price * calls:.1f} µs a job, which is in the table. Processor time by process, µs a job: "
            f"{servers}.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for a quiet machine")
    parser.add_argument(
        "--system",
        default="jobman-postgresql-redis",
        choices=[name for name, system in SYSTEMS.items() if system.peer == "jobman"],
    )
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work, options.out)
        return
    others = 0.0
    ground = Ground()
    try:
        rounds: list[dict[str, Any]] = []
        for _ in range(options.rounds):
            others = max(others, wait_for_quiet(LOUD, options.patience))
            with ground.place(SYSTEMS[options.system]) as place:
                rounds.append(measure(place, options.jobs))
        statements = timed_statements(ground, SYSTEMS[options.system], options.jobs)
    finally:
        ground.close()
    found = min(rounds, key=lambda each: sum(cpu for _, cpu, _ in each["stages"].values()))
    machine = fingerprint()
    out = ROOT / "benchmarks" / "out" / f"microcosts-{options.system}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps({"machine": machine, "others": others, "statements": statements, **found}, indent=1) + "\n"
    )
    print(table(found))
    if statements:
        shown = ", ".join(f"{name} {each:.1f}" for name, each in statements.items())
        print(f"In a round of its own, PostgreSQL's own clock, µs a job: {shown}.")
    cores = f"{machine['cpu']}, {machine['cores']} cores"
    print(f"\n{SYSTEMS[options.system].title}; {cores}; others used at most {others:.0%}.")
    if others > LOUD:
        print("**Not a quiet machine: believe the processor's column, not the wall's.**")


if __name__ == "__main__":
    main()
