"""Scenes, and the seeds of what is left to chance.

`JOBMAN_FAULT_SEED=7` replays a run; the long profile (`make faults`) takes `JOBMAN_FAULT_SEEDS` seeds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from random import SystemRandom
from typing import Any

import pytest
from scene import LONG, Scene


def seeds() -> list[int]:
    if given := os.environ.get("JOBMAN_FAULT_SEED"):
        return [int(given)]
    number = int(os.environ.get("JOBMAN_FAULT_SEEDS", "5")) if LONG else 1
    return [SystemRandom().randrange(10**6) for _ in range(number)]


SEEDS = seeds()


@pytest.fixture(params=range(len(SEEDS)), ids=lambda number: f"seed{number}")
def seed(request: pytest.FixtureRequest) -> int:
    """The fault plan's seed; it is printed, and in every failure's message."""
    print(f"JOBMAN_FAULT_SEED={SEEDS[request.param]}")
    return SEEDS[request.param]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"fault plans: JOBMAN_FAULT_SEED={' '.join(map(str, SEEDS))}")


@pytest.fixture
def make_scene(
    request: pytest.FixtureRequest, tmp_path: Any, start_jobman: Callable[..., Any]
) -> Iterator[Any]:
    """Make a scene of a combination such as `postgresql-redis`."""
    made: list[Scene] = []

    def make(combination: str, seed: int = 0, **settings: Any) -> Scene:
        database, engine = combination.split("-")
        fixtures = {"sqlite": "sqlite_url", "postgresql": "postgres_url", "mariadb": "mariadb_url"}
        url = settings.pop("database", None) or request.getfixturevalue(fixtures[database])
        line = settings.pop("queue", None)
        line = line or ("database" if engine == "database" else request.getfixturevalue("redis_url"))
        made.append(Scene(tmp_path, url, line, start_jobman, seed, **settings))
        return made[-1]

    yield make
    for scene in made:
        scene.close()
