"""The machine that a run was made on, and what else it did meanwhile."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

#: Seconds of one look at the processors.
LOOK = 0.3
#: What must be equal for two runs to be compared.
IDENTITY = ("cpu", "cores", "memory_gb", "kernel", "python")


def fingerprint() -> dict[str, Any]:
    """What decides how fast a program runs here."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("jobman-cli", "huey", "redis", "sqlalchemy", "psycopg")},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """In what two fingerprints name different machines."""
    return [f"{key}: {one.get(key)} ≠ {other.get(key)}" for key in IDENTITY if one.get(key) != other.get(key)]


def busy() -> float:
    """How busy the processors are by others' work while this run does nothing: 0 … 1, all of them."""
    return psutil.cpu_percent(LOOK) / 100


def wait_for_quiet(most: float, patience: float) -> float:
    """Wait until others use no more than this share of the processors.

    Args:
        most: 0 … 1.
        patience: Seconds after which to go on all the same.

    Returns:
        Their share at the last look.
    """
    deadline = time.monotonic() + patience
    while (share := busy()) > most and time.monotonic() < deadline:
        time.sleep(0.2)
    return share
