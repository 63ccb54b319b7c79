"""How long the dashboard's pages take at the server, with a table of a million rows.

    python benchmarks/dashboard.py [--rows 1000000] [--requests 30] [--database sqlite|postgresql]

The table is filled as `million.py` fills it, and the metrics with a day of eight rows a minute. Every page of
the menu, one job's page, and the lists' hard searches are asked for through Starlette's test client, in this
process: routing, queries, template and all, without a network. Without --database on both. The targets are
for p95, alone on 2 cores. Prints a table; writes it to benchmarks/out/.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests")]

from million_rows import fill, fill_metrics  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from jobman_cli.app import Jobman  # noqa: E402
from jobman_cli.dashboard import create_app  # noqa: E402
from jobman_cli.dashboard.pages import PAGES  # noqa: E402
from jobman_cli.operations.metrics import watch_tags  # noqa: E402
from jobman_cli.store.schema import upgrade  # noqa: E402

#: Milliseconds for p95, by database.
TARGET = {"sqlite": 300.0, "postgresql": 150.0}
#: For so long something has run and was counted.
MINUTES = 1440
#: What people ask lists for, beside their first page.
SEARCHES = {
    "/jobs": (
        "status:failed",
        "status:failed,cancelled",
        "type:rare",
        "queue:rare",
        "status:failed type:send-mail queue:rare",
        "tag:batch",
        "tag:rare",
        "needle",
        "nowhere",
        "until:319d",
    ),
    "/failed": ("type:rare", "queue:rare", "refused", "nowhere"),
}


def addresses(rows: int, types: Iterable[str]) -> Iterator[str]:
    """The address of each page, and of lists that are searched."""
    details = {
        "/jobs/{id}": [f"/jobs/{rows // 100 * 90 + 92}"],
        "/types/{name}": [f"/types/{each}" for each in types],
    }
    for item in PAGES:
        if "{" not in item.path:
            yield item.path
        elif known := details.get(item.path):
            yield known[0]
        else:
            print(f"  not asked for: {item.path}", file=sys.stderr)
        for q in SEARCHES.get(item.path, ()):
            yield f"{item.path}?{urlencode({'q': q})}"
        if item.path == "/jobs":
            yield f"/jobs?before={rows // 10}"
            yield f"/jobs?after={rows // 10}"
        if item.path == "/metrics":
            yield "/metrics?since=24h"


def p95(values: list[float]) -> float:
    """The smallest value that at least 95 % of the values do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def measure(url: str, rows: int, requests: int) -> list[dict[str, Any]]:
    """Each page's times in milliseconds."""
    jobman = Jobman.from_config(HERE / "jobman.yaml", database=url, queue="database")
    upgrade(jobman.bare_database)
    print(f"{rows:,} rows of every state", file=sys.stderr)
    fill(jobman.bare_database, rows, mixed=True)
    fill_metrics(jobman.bare_database, MINUTES)
    watch_tags(jobman.records, ["batch", "rare"])
    found = []
    with TestClient(create_app(jobman), base_url="http://localhost") as client:
        for address in addresses(rows, sorted(jobman.registry.types)):
            times, cpu = [], []
            for _ in range(requests + 1):
                began, worked = time.perf_counter(), time.process_time()
                answer = client.get(address)
                cpu.append((time.process_time() - worked) * 1000)
                times.append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200:
                    raise SystemExit(f"{address}: {answer.status_code}\n{answer.text}")
            warm = times[1:]  # the first one compiles the template
            found.append({"page": address, "p50_ms": sorted(warm)[len(warm) // 2], "p95_ms": p95(warm)})
            found[-1] |= {"cpu_ms": sorted(cpu)[len(cpu) // 2], "bytes": len(answer.content)}
            print(f"  {found[-1]}", file=sys.stderr)
    return found


@contextmanager
def database_of(kind: str) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as directory:
            yield f"sqlite:///{directory}/jobman.db"
        return
    from servers import PostgresServer

    server = PostgresServer().start()
    try:
        yield server.database("dashboard")
    finally:
        server.close()


def table(figures: dict[str, list[dict[str, Any]]], rows: int, requests: int) -> str:
    """The figures beside the targets, as Markdown."""
    kinds = list(figures)
    lines = [
        f"{rows:,} rows, {requests} requests a page, p50 / p95 (CPU of this process)",
        f"load average {', '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores",
        "",
        "| page | " + " | ".join(f"{kind} (p95 ≤ {TARGET[kind]:.0f} ms)" for kind in kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for of_page in zip(*figures.values(), strict=True):
        cells = [
            f"{each['p50_ms']:.0f} / {each['p95_ms']:.0f} ms ({each['cpu_ms']:.0f} ms)"
            + ("" if each["p95_ms"] <= TARGET[kind] else " **missed**")
            for kind, each in zip(kinds, of_page, strict=True)
        ]
        lines.append(f"| `{of_page[0]['page']}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--database", action="append", choices=tuple(TARGET))
    options = parser.parse_args()
    figures = {}
    for kind in options.database or TARGET:
        with database_of(kind) as url:
            figures[kind] = measure(url, options.rows, options.requests)
    out = HERE / "out" / "dashboard.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures, options.rows, options.requests))
    print(f"\nwritten to {out.relative_to(HERE.parent)}", file=sys.stderr)


if __name__ == "__main__":
    main()
