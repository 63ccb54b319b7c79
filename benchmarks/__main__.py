"""Measure Jobman beside other queues, in one run, on servers of its own.

    python -m benchmarks [--profile quick|full] [--systems NAME…] [--only WHAT…] [--rounds N]
    python -m benchmarks --compare OLD.json NEW.json

Prints tables in Markdown and writes benchmarks/out/PROFILE.json. Only ratios of the same run count. The
peers are installed into .bench-venv/, one environment each, at the versions of requirements-peers.txt.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import chart, report, targets
from benchmarks.measures import FULL, QUICK, TINY
from benchmarks.run import ONCE, ROUNDS, Run, once, rounds
from benchmarks.systems import ROOT, SYSTEMS, Ground, names

PROFILES = {"quick": QUICK, "full": FULL, "tiny": TINY}
#: What the quick profile measures of itself, in three rounds: what the targets of speed name.
SHORT_LIST = (
    *("huey-redis", "huey-sqlite", "jobman-postgresql-redis", "jobman-sqlite-database", "jobman-each"),
    *("celery-redis", "dramatiq", "saq-postgresql", "procrastinate", "awa"),
)
#: The exit code of a comparison that is refused.
REFUSED = 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", choices=PROFILES, default="quick")
    parser.add_argument("--systems", nargs="+", default=[], metavar="NAME", help=", ".join(SYSTEMS))
    parser.add_argument("--only", nargs="+", choices=(*ROUNDS, *ONCE), default=[*ROUNDS, *ONCE])
    parser.add_argument("--rounds", type=int, help="rounds, instead of the profile's")
    parser.add_argument("--out", type=Path, help="the JSON file to write")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="draw SVG charts there")
    parser.add_argument(
        "--patience",
        type=float,
        default=0,
        metavar="SECONDS",
        help="wait so long for a quiet machine before each measurement",
    )
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--show", type=Path, metavar="RUN", help="print the tables of an earlier run")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.compare:
        return compare(*options.compare)
    if options.show:
        run = json.loads(options.show.read_text())
    else:
        run = measured(options)
        out = options.out or ROOT / "benchmarks" / "out" / f"{options.profile}.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(run, indent=1) + "\n")
        print(f"written to {out}", file=sys.stderr)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        for path in chart.draw(run, options.plots):
            print(f"drawn: {path}", file=sys.stderr)
    parts = [report.circumstances(run), report.table(run), report.missing(run), report.once(run)]
    print("\n\n".join(part for part in [*parts, targets.table(run)] if part))
    return 0


def measured(options: argparse.Namespace) -> report.Run:
    size = PROFILES[options.profile]
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    run = Run(options.profile, size, patience=options.patience)
    chosen = options.systems or (SHORT_LIST if options.profile == "quick" else ())
    if not options.systems:
        left_out = [name for name in SYSTEMS if name not in names(chosen)]
        run.missing |= dict.fromkeys(left_out, f"the {options.profile} profile leaves them out; name them")
    ground = Ground()
    try:
        rounds(run, ground, names(chosen), [each for each in ROUNDS if each in options.only])
        once(run, ground, options.only)
    finally:
        ground.close()
    return run.as_json()


def compare(old: Path, new: Path) -> int:
    try:
        print(report.compare(json.loads(old.read_text()), json.loads(new.read_text())))
    except report.Incomparable as error:
        print(f"refused: {old} and {new} cannot be compared: {error}", file=sys.stderr)
        print("Only runs of one machine and one profile can: measure both here.", file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
