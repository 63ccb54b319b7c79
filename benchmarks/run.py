"""A run: round by round, each measure of each system in turn, so that neighbours in time can be compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import venvs
from benchmarks.dispatchers import dispatchers
from benchmarks.growth import growth
from benchmarks.large import large
from benchmarks.machine import fingerprint, wait_for_quiet
from benchmarks.measures import MEASURES, Figures, Size, measure
from benchmarks.startup import startup
from benchmarks.steady import burst, stream
from benchmarks.systems import SYSTEMS, Ground, NotMeasured

#: Jobman as most people will run it, and with nothing beside it.
MAIN, SMALL = "jobman-postgresql-redis", "jobman-sqlite-database"
#: The part of a profile's time after which no round goes on; the rest is for what is measured once.
ROUNDS_SHARE = 0.65


@dataclass
class Run:
    """What a run found; `as_json` is the file.

    Attributes:
        quiet: The share of the processors that others may use when a measurement begins, 0 … 1.
        patience: Seconds to wait for that.
    """

    profile: str
    size: Size
    quiet: float = 0.1
    patience: float = 0.0
    began: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    samples: list[Figures] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    described: dict[str, Figures] = field(default_factory=dict)
    once: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": fingerprint(),
            "profile": self.profile,
            "size": asdict(self.size),
            "began": time.strftime("%Y-%m-%d %H:%M", time.localtime(self.began)),
            "minutes": round((time.time() - self.began) / 60, 1),
            "pins": venvs.pins(),
            "samples": self.samples,
            "missing": self.missing,
            "once": self.once,
        }

    def spent(self) -> float:
        """The part of the profile's time that is behind, 0 … 1 and more."""
        minutes = self.size.minutes
        return (time.monotonic() - self.clock) / 60 / minutes if minutes else 0.0

    def settle(self) -> float:
        return wait_for_quiet(self.quiet, self.patience)


def rounds(run: Run, ground: Ground, systems: Sequence[str], measures: Sequence[str]) -> None:
    """Describe the systems, then measure them in turn; who cannot be is named in `run.missing`."""
    for name in systems:
        try:
            with ground.place(SYSTEMS[name]) as place:
                run.described[name] = place.describe()
        except NotMeasured as error:
            _miss(run, name, error)
    run.clock = time.monotonic()  # installing the peers does not count
    for number in range(1, run.size.rounds + 1):
        for what in measures:
            for name in [each for each in systems if each in run.described]:
                if run.spent() > ROUNDS_SHARE:
                    last = f"all from round {number}, {what} of {name}, on"
                    _miss(run, last, NotMeasured("the profile's time was up"))
                    return
                _sample(run, ground, name, what, number)


def _sample(run: Run, ground: Ground, name: str, what: str, number: int) -> None:
    others = run.settle()
    try:
        figures = measure(ground, SYSTEMS[name], what, run.described[name], run.size)
    except NotMeasured as error:
        _miss(run, f"{name}, {what}, round {number}", error)
        return
    run.samples.append({"round": number, "system": name, "others": round(others, 2), **figures})
    said = ", ".join(f"{key} {value:,.1f}" for key, value in figures.items())
    print(f"round {number}  {name:30} {said}  (others {others:.0%})", file=sys.stderr)


def _miss(run: Run, what: str, error: Exception) -> None:
    run.missing[what] = str(error)
    print(f"NOT MEASURED: {what}: {error}", file=sys.stderr)


def once(run: Run, ground: Ground, wanted: Sequence[str]) -> None:
    """What is measured once a run, each with its own repetitions."""
    size = run.size
    jobs = round(8000 * size.seconds)
    steps: dict[str, Callable[[], Any]] = {
        "startup": lambda: startup(ground, run.described, 5 if size.rounds > 1 else 1),
        "stream": lambda: {name: stream(ground, name, size.stream) for name in (MAIN, SMALL)},
        "burst": lambda: {name: burst(ground, name, size.burst) for name in (MAIN, SMALL)},
        "growth": lambda: {
            name: growth(ground, name, size.rows, jobs, size.rounds) for name in (MAIN, SMALL)
        },
        "dispatchers": lambda: dispatchers(ground, MAIN, size.dispatches * 4),
        "large": lambda: {kind: large(kind, size.rows) for kind in ("sqlite", "postgresql")},
    }
    for name in [each for each in steps if each in wanted]:
        if run.spent() > 0.95:
            _miss(run, name, NotMeasured("the profile's time was up"))
            continue
        others = run.settle()
        print(f"{name} …", file=sys.stderr)
        try:
            run.once[name] = {"others": round(others, 2), **steps[name]()}
        except NotMeasured as error:
            _miss(run, name, error)


ROUNDS = tuple(MEASURES)
ONCE = ("startup", "stream", "burst", "growth", "dispatchers", "large")
