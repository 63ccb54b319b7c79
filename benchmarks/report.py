"""What a run says: medians with their spread, ratios of the same round, two runs side by side."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from benchmarks import million
from benchmarks.machine import differences
from benchmarks.systems import SYSTEMS

#: What all is set against.
REFERENCE = "huey-redis"
#: Figure → heading, in the order of the table's columns.
COLUMNS = {
    "dispatch": "dispatch/s",
    "bulk": "bulk/s",
    "drain_one": "drain/s, one worker",
    "drain_best": "drain/s, best on this machine",
    "cpu_us": "CPU µs a job",
    "p50_ms": "idle p50 ms",
    "p99_ms": "idle p99 ms",
    "worker_mb": "worker MB",
}
#: Share of the processors beyond which others' work makes figures worthless.
LOUD = 0.2
#: Figures of which less is better.
LESS = ("cpu_us", "p50_ms", "p99_ms", "worker_mb", "all_mb")

Run = dict[str, Any]


class Incomparable(Exception):
    """Two runs of different machines, or of different profiles."""


def by_round(run: Run, system: str, figure: str) -> dict[int, float]:
    """The figure in each round in which the system has it."""
    return {
        sample["round"]: sample[figure]
        for sample in run["samples"]
        if sample["system"] == system and figure in sample
    }


def median(run: Run, system: str, figure: str) -> float | None:
    found = by_round(run, system, figure).values()
    return statistics.median(found) if found else None


def ratios(run: Run, system: str, others: Iterable[str], figure: str) -> list[float]:
    """The system's figure over the best of the others', of each round that has both."""
    best = min if figure in LESS else max
    theirs: dict[int, float] = {}
    for other in others:
        for number, value in by_round(run, other, figure).items():
            theirs[number] = best(theirs.get(number, value), value)
    own = by_round(run, system, figure)
    return [own[number] / theirs[number] for number in sorted(own.keys() & theirs.keys())]


def spread(values: Iterable[float], form: str = ",.0f") -> str:
    """``median (least-most)``."""
    found = sorted(values)
    if not found:
        return "–"
    return f"{statistics.median(found):{form}} ({found[0]:{form}}-{found[-1]:{form}})"


def table(run: Run) -> str:
    """Every system's figures as Markdown, and its drain as a multiple of bare Huey's in the same round."""
    head = ["system", "row", *COLUMNS.values(), "× Huey, one worker"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    measured = {sample["system"] for sample in run["samples"]}
    for name in [each for each in SYSTEMS if each in measured]:
        cells = [SYSTEMS[name].title, SYSTEMS[name].row]
        for figure in COLUMNS:
            form = ",.1f" if figure in LESS else ",.0f"
            cells.append(spread(by_round(run, name, figure).values(), form))
        cells.append(spread(ratios(run, name, [REFERENCE], "drain_one"), ".2f"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def circumstances(run: Run) -> str:
    """The machine, and how much of it others used."""
    machine = run["machine"]
    said = (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}; "
        f"profile {run['profile']}, {run['size']['rounds']} rounds, {run['began']}, "
        f"{run['minutes']:.0f} minutes."
    )
    if shares := others(run):
        said += (
            f" When a measurement began, others used {statistics.median(shares):.0%} of the processors "
            f"(median; at most {max(shares):.0%})."
        )
    if loud(run):
        said += (
            "\n\n**Not a quiet machine: what waits for many round trips looks slower than it is; "
            "no ratio is to be quoted.**"
        )
    return said


def others(run: Run) -> list[float]:
    """The shares of the processors that others used, 0 … 1, as each measurement began."""
    found = [*run["samples"], *(each for each in run["once"].values() if isinstance(each, dict))]
    return [each["others"] for each in found if "others" in each]


def loud(run: Run) -> bool:
    """Whether others' work makes what was timed worthless."""
    shares = others(run)
    return bool(shares) and statistics.median(shares) > LOUD


def missing(run: Run) -> str:
    """Who or what is missing, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for what, why in run["missing"].items():
        by_reason.setdefault(why, []).append(what)
    return "\n".join(f"- not measured: {'; '.join(whats)}: {why}" for why, whats in by_reason.items())


def once(run: Run) -> str:
    """What is measured once a run."""
    lines = []
    for name, figures in run["once"].items():
        if name == "large":
            lines += [million.table(each) for each in figures.values() if isinstance(each, dict)]
            continue
        lines.append(f"{name}:")
        for what, value in figures.items():
            if isinstance(value, dict):
                value = {key: each for key, each in value.items() if key not in ("curve", "falls")}
            lines.append(f"  {what}: {_plain(value)}")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    if isinstance(value, list):
        return f"[{', '.join(_plain(each) for each in value)}]"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.0f}"
    return str(value)


def compare(old: Run, new: Run) -> str:
    """The medians of two runs side by side.

    Raises:
        Incomparable: when they are of different machines or profiles.
    """
    unlike = differences(old["machine"], new["machine"])
    if old["profile"] != new["profile"]:
        unlike.append(f"profile: {old['profile']} ≠ {new['profile']}")
    if unlike:
        raise Incomparable("; ".join(unlike))
    lines = ["| system | figure | before | after | after / before |", "|---|---|---|---|---|"]
    for name in SYSTEMS:
        for figure in COLUMNS:
            before, after = median(old, name, figure), median(new, name, figure)
            if before and after:
                lines.append(
                    f"| {SYSTEMS[name].title} | {COLUMNS[figure]} | {before:,.1f} | {after:,.1f} "
                    f"| {after / before:.2f} |"
                )
    return "\n".join(lines)
