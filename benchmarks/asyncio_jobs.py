"""Jobs that mostly wait: one worker process of each system runs 200 at once, each of which sleeps 50 ms.

    python -m benchmarks.asyncio_jobs [--jobs 1000] [--rounds 3]

The rate is the number of jobs by the time from the first job's beginning to the last one's end, from what
the jobs themselves wrote down. Jobman runs on PostgreSQL and Redis and records each job's lifecycle; the
others run on the same Redis. Each round measures every system; what counts is the ratio of the same round.
Writes benchmarks/out/asyncio.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from typing import Any

from benchmarks.machine import busy, fingerprint
from benchmarks.systems import ROOT, SYSTEMS, Ground, NotMeasured
from benchmarks.work import NAP

OURS = "jobman-postgresql-redis"
PEERS = ("arq", "saq-redis", "streaq")


def measure(ground: Ground, name: str, jobs: int) -> dict[str, float]:
    """Fill a line, then let one worker drain it: jobs a second, and milliseconds of processor time a job."""
    with ground.place(SYSTEMS[name]) as place:
        place.environment["BENCH_JOB"] = "nap"
        facts = place.describe()["workers"]["loop"]
        place.ask("reset", f"fill:{jobs}")
        with place.workers(facts) as crew:
            place.wait(2 * jobs, crew)
            seconds = crew.cpu_by_part()["workers"]
        times = place.times()
    return {"rate": jobs / (times[-1] - times[0]), "cpu_ms": seconds / jobs * 1000}


def main() -> None:
    """Run the rounds and print them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.asyncio_jobs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (OURS, *PEERS)}
    ground, noise = Ground(), []
    try:
        for number in range(options.rounds):
            noise.append(busy())
            for name in list(found):
                try:
                    found[name].append(measure(ground, name, options.jobs))
                except NotMeasured as error:
                    print(f"{name}: not measured: {error}", file=sys.stderr)
                    if name == OURS:
                        raise SystemExit(1) from None
                    del found[name]
            said = ", ".join(f"{name} {rounds[-1]['rate']:,.0f}/s" for name, rounds in found.items())
            print(f"round {number + 1}: {said}", flush=True)
    finally:
        ground.close()
    report = {"machine": fingerprint(), "jobs": options.jobs, "noise": noise, "found": found}
    out = ROOT / "benchmarks/out/asyncio.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(report, indent=1))
    for line in table(found):
        print(line)
    print(f"{options.jobs} jobs of {NAP * 1000:g} ms, 200 at once: at best {200 / NAP:,.0f}/s; ", end="")
    print(f"others kept the processors {max(noise):.0%} busy; medians of {options.rounds}")


def table(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """The medians, in Markdown; ratios are those of the same round."""
    lines = ["| system | jobs/s | least – most | Jobman is … times | CPU ms a job |", "|---|---|---|---|---|"]
    ours = [each["rate"] for each in found[OURS]]
    for name, rounds in found.items():
        rates = [each["rate"] for each in rounds]
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, rates, strict=True))
        cells: list[Any] = [
            SYSTEMS[name].title,
            f"{statistics.median(rates):,.0f}",
            f"{min(rates):,.0f} – {max(rates):,.0f}",
            "" if name == OURS else f"{ratio:.2f}",
            f"{statistics.median(each['cpu_ms'] for each in rounds):.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
