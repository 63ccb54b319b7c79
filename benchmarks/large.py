"""The benchmark of a large table, run as the program that it is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.systems import ROOT, NotMeasured, last_words


def large(database: str, rows: int) -> dict[str, Any]:
    """List pages, repairs, prune and requeue of so many rows, on servers of its own."""
    words = ["--database", database, "--rows", str(rows), "--small", str(rows // 10)]
    command = [sys.executable, "-m", "benchmarks.million", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasured(f"{database}: {last_words(done.stderr)}")
    found: dict[str, Any] = json.loads((ROOT / f"benchmarks/out/million-{database}-redis.json").read_text())
    return found
