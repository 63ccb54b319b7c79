"""The targets of speed, each judged by the figures of one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import million
from benchmarks.report import REFERENCE, Run, loud, median, ratios
from benchmarks.run import MAIN, SMALL
from benchmarks.systems import SYSTEMS

PEERS = [name for name, system in SYSTEMS.items() if system.peer != "jobman"]
DURABLE = [name for name in PEERS if SYSTEMS[name].row == "job"]
#: MB that a worker may need more than bare Huey's; that it may grow over the stream.
MORE_MB, GROWTH_MB = 35.0, 2.0
#: MB that `dispatch_many` may need for ten times as many jobs: eight bytes an id,
#: and as much again while the array grows.
BURST_MB = 24.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target.

    Attributes:
        figure: Empty when the run did not measure it.
        timed: Whether a busy machine changes it.
    """

    target: str
    figure: str = ""
    met: bool = False
    timed: bool = True


def table(run: Run) -> str:
    """Every target with its figure and a word; on a loud machine none is judged that is a matter of time."""
    lines = ["| target | figure | |", "|---|---|---|"]
    for verdict in verdicts(run):
        word = "met" if verdict.met else "**not met**"
        if not verdict.figure:
            word = "not measured"
        elif verdict.timed and loud(run):
            word = "not judged: the machine was not quiet"
        lines.append(f"| {verdict.target} | {verdict.figure or '–'} | {word} |")
    return "\n".join(lines)


def verdicts(run: Run) -> Iterator[Verdict]:
    drain = "drain, one worker, PostgreSQL + Redis"
    yield _times(run, f"{drain}: ≥ 4 × bare Huey", MAIN, [REFERENCE], "drain_one", 4)
    yield _times(run, f"{drain}: ≥ 8 × Celery", MAIN, ["celery-redis"], "drain_one", 8)
    yield _times(run, f"{drain}: ≥ 12 × any peer with durable rows", MAIN, DURABLE, "drain_one", 12)
    best = "drain, best setting, PostgreSQL + Redis"
    yield _times(run, f"{best}: ≥ 2.5 × the fastest peer of any kind", MAIN, PEERS, "drain_best", 2.5)
    yield _times(run, f"{best}: ≥ 3 × awa", MAIN, ["awa"], "drain_best", 3)
    yield _times(
        run, "drain, one worker, SQLite: ≥ 5 × Huey on SQLite", SMALL, ["huey-sqlite"], "drain_one", 5
    )
    yield _times(
        run, "recording: each: ≥ 2 × Procrastinate", "jobman-each", ["procrastinate"], "drain_one", 2
    )
    yield _times(
        run,
        "dispatch one by one, PostgreSQL + Redis: ≥ 1.2 × the fastest peer that stores a row",
        MAIN,
        DURABLE,
        "dispatch",
        1.2,
    )
    yield _times(run, "dispatch_many, PostgreSQL + Redis: ≥ awa's bulk (COPY)", MAIN, ["awa"], "bulk", 1)
    yield _times(
        run, "idle p50, PostgreSQL + Redis: ≤ every peer with durable rows", MAIN, DURABLE, "p50_ms", 1
    )
    p99 = median(run, MAIN, "p99_ms")
    yield _plain("idle p99, PostgreSQL + Redis: ≤ 15 ms", p99, 15, "{:.1f} ms")
    yield from _startup(run["once"].get("startup", {}))
    yield from _memory(run)
    for name, found in _of_systems(run, "growth"):
        title = f"drain within 10 % of an empty table, {run['size']['rows']:,} rows, {SYSTEMS[name].title}"
        yield _plain(title, found["fall"], 0.10, "{:.0%} slower")
    for figures in run["once"].get("large", {}).values():
        if isinstance(figures, dict):
            yield from _large(figures)


def _large(figures: dict[str, Any]) -> Iterator[Verdict]:
    """What `million` judges, a line for each of its targets."""
    where = f"{figures['rows']:,} rows, {figures['database']}"
    worst = max(page["page_ms"] for page in figures["pages"])
    yield _plain(f"any list page of {where}: ≤ {million.PAGE_MS:.0f} ms", worst, million.PAGE_MS, "{:.0f} ms")
    for step in figures["steps"]:
        if step["table"] == figures["rows"] and step["step"] in ("prune", "requeue"):
            judged = million.judged(step, figures)
            said = (
                f"{step['rows_per_s']:,} rows/s, {step['seconds']:.1f} s, at most {step['longest_ms']:.0f} ms"
            )
            title = f"{step['step']}, {where}: {', '.join(text for text, _ in judged)}"
            yield Verdict(title, said, all(kept for _, kept in judged))


def _times(run: Run, target: str, system: str, others: list[str], figure: str, wanted: float) -> Verdict:
    found = ratios(run, system, others, figure)
    if not found:
        return Verdict(target)
    middle = statistics.median(found)
    less = figure.endswith("_ms")
    said = f"{middle:.2f} × ({min(found):.2f}-{max(found):.2f})"
    return Verdict(target, said, middle <= wanted if less else middle >= wanted)


def _plain(target: str, value: float | None, most: float, form: str, *, timed: bool = True) -> Verdict:
    if value is None:
        return Verdict(target)
    return Verdict(target, form.format(value), value <= most, timed)


def _startup(found: dict[str, Any]) -> Iterator[Verdict]:
    yardstick = found.get("python -c 'import typer'", {}).get("seconds")
    for command in ("jobman --help", "jobman --version"):
        value = found[command]["seconds"] / yardstick if yardstick else None
        yield _plain(f"{command}: ≤ 3 × `python -c 'import typer'`", value, 3, "{:.2f} ×")
    value = found["jobman status"]["seconds"] if yardstick else None
    yield _plain("jobman status: ≤ 1.0 s", value, 1.0, "{:.2f} s")


def _memory(run: Run) -> Iterator[Verdict]:
    own, theirs = median(run, MAIN, "worker_mb"), median(run, REFERENCE, "worker_mb")
    more = own - theirs if own is not None and theirs is not None else None
    yield _plain(
        "an idle worker process (PSS): ≤ bare Huey's + 35 MB", more, MORE_MB, "{:+.1f} MB", timed=False
    )
    for name, found in _of_systems(run, "stream"):
        title = f"flat over {found['jobs']:,} jobs (at most {GROWTH_MB:.0f} MB), {SYSTEMS[name].title}"
        yield _plain(title, found["growth_mb"], GROWTH_MB, "{:+.2f} MB", timed=False)
    for name, found in _of_systems(run, "burst"):
        title = (
            f"dispatch_many of {found['jobs']:,}: at most {BURST_MB:.0f} MB more than for a tenth, "
            f"{SYSTEMS[name].title}"
        )
        yield _plain(title, found["growth_mb"], BURST_MB, "{:+.1f} MB", timed=False)


def _of_systems(run: Run, what: str) -> Iterator[tuple[str, Any]]:
    found = run["once"].get(what, {})
    yield from ((name, found[name]) for name in SYSTEMS if name in found)
