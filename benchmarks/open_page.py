"""What an open page of the dashboard costs a worker: its drain rate without and with one, in turns.

    python -m benchmarks.open_page [--jobs 40000] [--pairs 5] [--database sqlite|postgresql]

One worker drains jobs that do nothing. Beside it runs `jobman dashboard`, in both cases; in one of them the
overview is open: it listens to the server's events and fetches itself after each, as often as its script
would. The order changes from pair to pair. A rate is the number of jobs by the time from the first one's
start to the last one's end, by their rows. Without --database on both. Prints the medians; the target is
under 2 %, alone on 2 cores.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy import func, select

from benchmarks.dashboard import TARGET, database_of
from jobman_cli.app import Jobman
from jobman_cli.store.schema import upgrade
from jobman_cli.store.tables import JOBS

JOBMAN = Path(sys.executable).with_name("jobman")
#: Of the rate without a page, in percent.
MOST = 2.0
#: As in the page's script: seconds between two fetches at the least, and a fetch's own time so many times.
APART, TIMES = 1.0, 10
CONFIG = "modules: [nothing_jobs]\nqueue: database\n"
MODULE = "from jobman_cli import job\n\n\n@job('nothing')\ndef nothing() -> None:\n    pass\n"


class Page:
    """The overview, open in a browser: a thread that listens and fetches.

    Attributes:
        fetched: How often it has fetched itself.
    """

    def __init__(self, address: str) -> None:
        self._server = urlsplit(address).netloc
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.fetched = 0

    def __enter__(self) -> Page:
        self._fetch()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        connection = http.client.HTTPConnection(self._server, timeout=60)
        connection.request("GET", "/live?topic=overview")
        stream = connection.getresponse()
        while not self._ended.is_set():
            if stream.readline().startswith(b"event: changed"):
                began = time.monotonic()
                self._fetch()
                self._ended.wait(max(APART, TIMES * (time.monotonic() - began)))
        connection.close()

    def _fetch(self) -> None:
        connection = http.client.HTTPConnection(self._server, timeout=60)
        connection.request("GET", "/", headers={"Accept": "text/html"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"the overview: {answer.status}")
        answer.read()
        connection.close()
        self.fetched += 1


@contextmanager
def dashboard(place: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a dashboard, and the process of its own that it has."""
    process = subprocess.Popen(
        [JOBMAN, "dashboard", "--port", "0"], cwd=place, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = next((line for line in process.stderr if "http://" in line), "")
        found = re.search(r"http://\S+", said)
        if found is None:
            raise SystemExit("the dashboard did not say where it is")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def drain(jobman: Jobman, place: Path, jobs: int) -> float:
    """Dispatch, let one worker run all of it; jobs a second."""
    first = jobman.dispatch("nothing").id or 0
    jobman.dispatch_many("nothing", [{}] * (jobs - 1))
    command = [JOBMAN, "run-worker", "--concurrency", "1", "--stop-when-empty"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    query = select(
        func.min(JOBS.c.started_at), func.max(JOBS.c.completed_at), func.count(JOBS.c.completed_at)
    )
    with jobman.bare_database.reading() as connection:
        began, ended, done = connection.execute(query.where(JOBS.c.id >= first)).one()
    if done != jobs:
        raise SystemExit(f"{done:,} of {jobs:,} jobs were completed")
    return float(jobs / (ended - began).total_seconds())


def measure(url: str, jobs: int, pairs: int) -> tuple[list[float], list[float], list[float]]:
    """Rates without and with an open page, and what part of one processor the dashboard took then."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "jobman.yaml").write_text(f"database: {url}\n{CONFIG}")
        (place / "nothing_jobs.py").write_text(MODULE)
        jobman = Jobman.from_config(place / "jobman.yaml")
        upgrade(jobman.bare_database)
        drain(jobman, place, jobs // 4)  # the first one makes files and caches
        rates: dict[bool, list[float]] = {False: [], True: []}
        shares = []
        with dashboard(place) as (address, process):
            for pair in range(pairs):
                for opened in (pair % 2 == 1, pair % 2 == 0):
                    if opened:
                        with Page(address) as page:
                            before, began = process.cpu_times(), time.monotonic()
                            rate = drain(jobman, place, jobs)
                            worked = sum(process.cpu_times()[:2]) - sum(before[:2])
                            shares.append(worked / (time.monotonic() - began))
                    else:
                        rate = drain(jobman, place, jobs)
                    rates[opened].append(rate)
                    how = f"page open, fetched {page.fetched} times" if opened else "no page open"
                    print(f"  {rate:,.0f} jobs/s, {how}", file=sys.stderr)
        jobman.close()
    return rates[False], rates[True], shares


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=40_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--database", action="append", choices=tuple(TARGET))
    options = parser.parse_args()
    lines = []
    for kind in options.database or TARGET:
        print(f"{kind}: {options.jobs:,} jobs, {options.pairs} pairs", file=sys.stderr)
        with database_of(kind) as url:
            without, opened, shares = measure(url, options.jobs, options.pairs)
        one, other = statistics.median(without), statistics.median(opened)
        cost = 100 * (1 - other / one)
        spread = 100 * (max(without) - min(without)) / one
        verdict = "" if cost < MOST else " **missed**"
        figures = f"{one:,.0f} | {other:,.0f} | {cost:+.1f} %{verdict} | {spread:.1f} %"
        lines.append(f"| {kind} | {figures} | {100 * statistics.median(shares):.1f} % |")
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"one worker, {options.jobs:,} jobs, medians of {options.pairs}; load average {load}\n")
    print(
        "| database | jobs/s, no page | jobs/s, page open | cost (< 2 %) | spread without | dashboard's CPU |"
    )
    print("|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
