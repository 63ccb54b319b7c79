"""A table of a million rows: list pages, retry, clear, prune, and the requeue after a lost Redis.

    python -m benchmarks.million [--rows 1000000] [--small 100000] [--database sqlite] [--queue redis]

The table is filled by SQL, a chunk at a time. Each command's operation runs in a process of its own, which
says how long it took, its longest transaction and its peak of memory. What is to use constant memory runs
with the small number of rows as well. Prints the figures beside the targets; writes them to benchmarks/out/.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.million_rows import clear_tables, fill
from benchmarks.systems import MariaDBServer, PostgresServer, RedisServer
from jobman_cli.app import Jobman
from jobman_cli.operations import cancel, failed, look
from jobman_cli.operations.prune import cutoff, prune
from jobman_cli.operations.requeue import requeue_unqueued
from jobman_cli.store.database import Database
from jobman_cli.store.queries import JobFilter, Silence, find_job
from jobman_cli.store.queries_failed import FailedFilter

HERE = Path(__file__).resolve().parent

#: Rows in a page, as the CLI and the dashboard ask for.
PAGE = 50
#: How often a page is asked for; the median counts.
LOOKS = 5
#: Targets: a page in milliseconds, a transaction in milliseconds, rows a second, seconds, growth in MB.
PAGE_MS, TRANSACTION_MS, REQUEUE_S, GROWTH_MB = 150.0, 200.0, 30.0, 10.0
PRUNE_RATE = {"sqlite": 50_000, "postgresql": 30_000}


class Timed(Database):
    """A database that remembers how long its transactions were, COMMIT included."""

    times: list[float]

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self._timed(), super().transaction() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Any]:
        with self._timed(), super().reading() as connection:
            yield connection

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.times.append(time.perf_counter() - began)


def timed_jobman() -> tuple[Jobman, Timed]:
    jobman = Jobman.from_config()
    database = Timed(jobman.settings.database, lease=jobman.settings.lease)
    database.times = []
    vars(jobman)["bare_database"] = vars(jobman)["database"] = database
    return jobman, database


# The steps; each runs in a process of its own and answers with the number of rows it handled.


def step_prune(jobman: Jobman) -> int:
    return prune(jobman.parts, cutoff(jobman.parts, 180))


def step_requeue(jobman: Jobman) -> int:
    return requeue_unqueued(jobman.parts).missing


def step_retry(jobman: Jobman) -> int:
    return failed.retry_all(jobman.parts, FailedFilter()).queued


def step_clear(jobman: Jobman) -> int:
    return cancel.clear(jobman.parts, "default")


STEPS: dict[str, Callable[[Jobman], int]] = {
    "prune": step_prune,
    "requeue": step_requeue,
    "retry": step_retry,
    "clear": step_clear,
}


def run_step(name: str) -> None:
    """In the child: do it and print the figures as JSON."""
    jobman, database = timed_jobman()
    jobman.parts.engine.check()
    jobman.database.read(find_job, 1)
    database.times.clear()
    began = time.perf_counter()
    rows = STEPS[name](jobman)
    took = time.perf_counter() - began
    longest = sorted(database.times)
    print(
        json.dumps(
            {
                "step": name,
                "rows": rows,
                "seconds": round(took, 2),
                "rows_per_s": round(rows / took) if took else 0,
                "transactions": len(longest),
                "longest_ms": round(longest[-1] * 1000, 1),
                "p99_ms": round(longest[int(len(longest) * 0.99)] * 1000, 1),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            }
        )
    )
    jobman.close()


def child(name: str, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.million", "--step", name]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {figures}", file=sys.stderr)
    return figures


def pages(rows: int) -> dict[str, JobFilter]:
    """What people ask a list for; the rare ones match one row, the farthest."""
    return {
        "first page": JobFilter(),
        "deep page": JobFilter(before=rows // 10),
        "status": JobFilter(statuses=("failed",)),
        "two states": JobFilter(statuses=("failed", "cancelled")),
        "type": JobFilter(type="rare"),
        "queue": JobFilter(queue="rare"),
        "status, type and queue": JobFilter(statuses=("failed",), type="send-mail", queue="rare"),
        "completed of a rare queue": JobFilter(statuses=("completed",), type="send-mail", queue="rare"),
        "a type and a tag silenced": JobFilter(without=Silence(("send-mail",), ("batch",))),
        "completed, nearly all silenced": JobFilter(
            statuses=("completed",), without=Silence(("send-mail", "resize", "import"), ("nothing",))
        ),
        "only silenced": JobFilter(only=Silence(("rare",), ("nothing",))),
        "common tag": JobFilter(tag="batch"),
        "rare tag": JobFilter(tag="rare"),
        "rare text in the error": JobFilter(error="needle"),
        "text that no error holds": JobFilter(error="nowhere"),
        "older than nearly all": JobFilter(until=None),
    }


def measure_pages(environment: dict[str, str], rows: int) -> list[dict[str, Any]]:
    os.environ.update(environment)
    jobman, _ = timed_jobman()
    oldest = look.show(jobman.records, rows // 200)
    found = []
    for name, wanted in pages(rows).items():
        if name == "older than nearly all":
            wanted = JobFilter(until=oldest.created_at)
        longest, whole = [], []
        for _ in range(LOOKS):
            began = time.perf_counter()
            look.page(jobman.records, wanted, PAGE)
            longest.append(time.perf_counter() - began)
            began = time.perf_counter()
            jobs = look.jobs(jobman.records, wanted, PAGE)
            whole.append(time.perf_counter() - began)
        found.append(
            {
                "page": name,
                "found": len(jobs),
                "page_ms": round(statistics.median(longest) * 1000, 1),
                "whole_ms": round(statistics.median(whole) * 1000, 1),
            }
        )
        print(f"  {found[-1]}", file=sys.stderr)
    jobman.close()
    return found


def measure(options: argparse.Namespace, url: str, redis: Any) -> dict[str, Any]:
    """All of it, on one database."""
    environment = os.environ | {
        "PYTHONPATH": str(HERE.parent),
        "JOBMAN_CONFIG": str(HERE / "jobman.yaml"),
        "JOBMAN_DATABASE": url,
        "JOBMAN_QUEUE": redis.url if options.queue == "redis" else "database",
    }
    os.environ.update(environment)
    setup, _ = timed_jobman()
    from jobman_cli.store.schema import upgrade

    upgrade(setup.bare_database)
    figures: dict[str, Any] = {"database": options.database, "queue": options.queue, "rows": options.rows}
    steps: list[dict[str, Any]] = []

    def run(name: str, scale: int) -> None:
        steps.append({**child(name, environment), "table": scale})

    for scale in (options.small, options.rows):
        print(f"{scale:,} rows of every state", file=sys.stderr)
        fill(setup.bare_database, scale, mixed=True)
        if scale == options.rows:
            figures["pages"] = measure_pages(environment, scale)
            run("retry", scale)
            run("clear", scale)
        else:
            run("clear", scale)
        run("prune", scale)
        clear_tables(setup.bare_database)
        if redis and options.queue == "redis":
            print(f"{scale:,} queued rows, an empty Redis", file=sys.stderr)
            fill(setup.bare_database, scale, mixed=False)
            redis.flush()
            run("requeue", scale)
            clear_tables(setup.bare_database)
    setup.close()
    figures["steps"] = steps
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures beside the targets, as Markdown."""
    lines = [
        f"{figures['rows']:,} rows, {figures['database']}, queue: {figures['queue']}",
        "",
        "| list | rows found | page | whole search | target for a page |",
        "|---|---|---|---|---|",
    ]
    for page in figures["pages"]:
        kept = "" if page["page_ms"] <= PAGE_MS else " **missed**"
        lines.append(
            f"| {page['page']} | {page['found']} | {page['page_ms']:.0f} ms | {page['whole_ms']:.0f} ms "
            f"| ≤ {PAGE_MS:.0f} ms{kept} |"
        )
    lines += [
        "",
        "| operation | rows | seconds | rows/s | longest transaction | peak memory | target |",
        "|---|---|---|---|---|---|---|",
    ]
    for step in figures["steps"]:
        lines.append(
            f"| {step['step']} | {step['rows']:,} | {step['seconds']:.1f} | {step['rows_per_s']:,} "
            f"| {step['longest_ms']:.0f} ms | {step['peak_mb']:.0f} MB | {target(step, figures)} |"
        )
    return "\n".join(lines)


def target(step: dict[str, Any], figures: dict[str, Any]) -> str:
    """The step's targets, each with a word where it was missed."""
    return ", ".join(text if kept else f"{text} **missed**" for text, kept in judged(step, figures))


def judged(step: dict[str, Any], figures: dict[str, Any]) -> list[tuple[str, bool]]:
    """The step's targets, and whether each was kept."""
    told = [(f"no transaction over {TRANSACTION_MS:.0f} ms", step["longest_ms"] <= TRANSACTION_MS)]
    large = step["table"] == figures["rows"]
    if large and step["step"] == "prune" and (rate := PRUNE_RATE.get(figures["database"])):
        told.append((f"≥ {rate:,} rows/s", step["rows_per_s"] >= rate))
    if large and step["step"] == "requeue":
        told.append((f"≤ {REQUEUE_S:.0f} s", step["seconds"] <= REQUEUE_S))
    small = [
        each for each in figures["steps"] if each["step"] == step["step"] and each["table"] != step["table"]
    ]
    if large and small:
        growth = step["peak_mb"] - small[0]["peak_mb"]
        told.append((f"constant memory ({growth:+.0f} MB)", growth <= GROWTH_MB))
    return told


def main() -> None:
    """Run it, or one step of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "mariadb"), default="sqlite")
    parser.add_argument("--queue", choices=("redis", "database"), default="redis")
    parser.add_argument("--step", choices=tuple(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_step(options.step)
        return
    redis = RedisServer().start() if options.queue == "redis" else None
    kind = {"postgresql": PostgresServer, "mariadb": MariaDBServer}.get(options.database)
    server = kind().start() if kind else None
    try:
        with tempfile.TemporaryDirectory() as directory:
            url = server.database("million") if server else f"sqlite:///{directory}/jobman.db"
            figures = measure(options, url, redis)
    finally:
        for each in (redis, server):
            if each:
                each.close()
    out = HERE / "out" / f"million-{options.database}-{options.queue}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    print(f"\nwritten to {out.relative_to(HERE.parent)}", file=sys.stderr)


if __name__ == "__main__":
    main()
