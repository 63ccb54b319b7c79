"""Workers with an event loop that are killed and told to stop, with many jobs underway."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from processes import wait_until
from scene import Scene, pick

ASYNC = ("--worker-type", "async")
#: Jobs at once.
MANY = 40


def start(scene: Scene) -> Any:
    """One async worker, registered."""
    return scene.supervisor(1, *ASYNC, concurrency=MANY)


@pytest.mark.parametrize("combination", ["sqlite-database", "postgresql-redis", "mariadb-redis"])
def test_kills_under_load(make_scene: Any, combination: str, seed: int) -> None:
    """Nothing is lost, no effect is doubled, and each extra claim is owed to a kill."""
    kills = pick(4, 40)
    # Each kill charges all that a worker runs, and by chance one job may be there five times: no poison.
    scene: Scene = make_scene(combination, seed, rescue_limit=kills)
    supervisors = [start(scene) for _ in range(2)]
    scene.client(pick(200, 2500), "async_effect", pause=0.003, ms=100)
    scene.client(pick(200, 2500), "async_plain", pause=0.003, ms=50)
    wait_until(lambda: scene.completed() > 10, 30, "the first jobs")
    for number in range(kills):
        time.sleep(scene.random.uniform(0.2, 0.6))
        victim = scene.random.choice(supervisors)
        if number % 2:
            children = wait_until(lambda: scene.children(victim) or victim.family()[1:], 30, "children")  # noqa: B023
            os.kill(scene.random.choice(children).pid, signal.SIGKILL)
            continue
        victim.kill()
        supervisors.remove(victim)
        supervisors.append(start(scene))
    verdict = scene.drain(120)
    assert verdict.facts["states"] == {"completed": verdict.acknowledged}, verdict
    assert verdict.facts["claims"] - verdict.acknowledged <= kills * 2 * MANY, verdict


def test_a_death_rescues_each_once(make_scene: Any) -> None:
    scene: Scene = make_scene("postgresql-redis")
    start(scene)
    jobs = list(scene.jobman.dispatch_many("async_effect", [{"ms": 8000}] * 20))
    for job in jobs:
        scene.acknowledge(job)
    wait_until(lambda: all(scene.row(job).status == "running" for job in jobs), 20, "their start")
    scene.worker_of(jobs[0]).kill()
    verdict = scene.drain(60)
    assert not verdict.doubled
    rows = [scene.row(job) for job in jobs]
    assert {(row.status, row.claims, row.rescues) for row in rows} == {("completed", 2, 1)}


def test_poison_fails_alone(make_scene: Any) -> None:
    """Rule 7: its neighbours are rescued with it, and none of them fails for it."""
    scene: Scene = make_scene("postgresql-redis")
    start(scene)
    starts = scene.path / "starts"
    others = [scene.dispatch("async_effect", ms=100) for _ in range(10)]
    poison = scene.dispatch("async_poison", file=str(starts))
    others += [scene.dispatch("async_effect", ms=2000) for _ in range(10)]
    wait_until(lambda: scene.row(poison).status == "failed", 60, "its end")
    scene.drain(60)
    assert "worker died 4 times" in scene.row(poison).error_message
    assert starts.read_text().split() == ["1", "2", "3", "4"]
    assert {scene.row(job).status for job in others} == {"completed"}
