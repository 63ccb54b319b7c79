"""What a job costs, as the measuring benchmarks found it: one file between them and the model.

Each measuring benchmark notes its medians under its own name; the model reads them where they are, and takes
its own defaults where they are not.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import busy, fingerprint
from benchmarks.systems import Server

HERE = Path(__file__).resolve().parent
FILE = HERE / "out" / "costs.json"


def note(command: str, others: float, figures: dict[str, float], file: Path = FILE) -> None:
    """Keep figures for the model, in the place of those that the command noted before.

    Args:
        command: ``python -m benchmarks.…``, as it was called.
        others: The share of the processors that others used, 0 … 1.
    """
    machine = fingerprint()
    file.parent.mkdir(exist_ok=True)
    known = noted(file)
    known[command.split()[2]] = {
        "command": command,
        "day": date.today().isoformat(),
        "machine": f"{machine['cpu']}, {machine['cores']} cores",
        "others": round(others, 2),
        "figures": figures,
    }
    file.write_text(json.dumps(known, indent=2) + "\n")


def noted(file: Path = FILE) -> dict[str, dict[str, Any]]:
    """What was noted: by module, with its command, day and machine."""
    if not file.exists():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return found


def others(*servers: Server) -> float:
    """The share of the processors that others use now, 0 … 1: not this process, nor the servers named."""

    def own() -> float:
        return _seconds([psutil.Process()]) + sum(map(server_seconds, servers))

    before, began = own(), time.monotonic()
    share = busy()
    mine = (own() - before) / (time.monotonic() - began) / len(os.sched_getaffinity(0))
    return min(1.0, max(0.0, share - mine))


def _seconds(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes if process.is_running()]
    return float(sum(each.user + each.system for each in times))


def circumstances(shares: list[float]) -> str:
    """The machine, in a line below a table.

    Args:
        shares: Of the processors that others used, 0 … 1, one before each round.
    """
    machine = fingerprint()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{machine['cpu']}, {machine['cores']} cores; before each round others used {min(shares):.0%} to "
        f"{max(shares):.0%} of the processors; load average {load}"
    )


def server_seconds(server: Server) -> float:
    """Seconds of processor that a server has used, those of its processes that have ended included."""
    parent, *children = server.family()
    times = parent.cpu_times()
    gone = times.children_user + times.children_system
    return float(times.user + times.system + gone) + _seconds(children)


def spread(values: list[float]) -> str:
    """``median (least–most)``."""
    if not values:
        return "–"
    middle = statistics.median(values)
    form = ",.0f" if abs(middle) >= 100 else ",.1f" if abs(middle) >= 1 or not middle else ",.3f"
    if len(values) == 1:
        return f"{middle:{form}}"
    return f"{middle:{form}} ({min(values):{form}}–{max(values):{form}})"
