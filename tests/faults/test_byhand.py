"""`jobman rescue`: one round by hand, where no worker runs."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest
from scene import Scene


@pytest.mark.parametrize("combination", ["sqlite-database", "postgresql-redis"])
def test_a_dead_tree_of_this_host(make_scene: Any, combination: str) -> None:
    scene: Scene = make_scene(combination)
    supervisor = scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.kill()
    done = json.loads(scene.run("rescue", "--no-wait", "--json").stdout)
    assert (done["rescued"], done["released"], done["failed"]) == (1, 0, 0)
    assert (scene.row(job).status, scene.row(job).rescues) == ("queued", 1)
    assert json.loads(scene.run("rescue", "--no-wait", "--json").stdout)["rescued"] == 0
    assert scene.run("rescue", "--no-wait").stdout == "rescued 0 (0 of them failed), released 0, pushed 0\n"


def test_a_silent_worker_is_judged_after_a_lease_of_watching(make_scene: Any) -> None:
    scene: Scene = make_scene("postgresql-redis")
    lost, alive = scene.supervisor(), scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    holder = scene.worker_of(job).ppid()
    victim = lost if lost.pid == holder else alive
    for each in scene.supervisors:
        each.freeze() if each is victim else each.kill()
    time.sleep(4)  # longer than its lease of 3 s: silent long enough, and yet nobody has watched for a lease
    scene.run("rescue", "--no-wait")
    assert scene.row(job).status == "running"
    done = json.loads(scene.run("rescue", "--json").stdout)
    assert done["rescued"] == 1
    assert scene.row(job).status == "queued"


def test_what_the_queue_lost_is_pushed(make_scene: Any, redis_server: Any) -> None:
    scene: Scene = make_scene("postgresql-redis")
    for _ in range(3):
        scene.dispatch("effect")
    redis_server.flush()
    assert json.loads(scene.run("rescue", "--no-wait", "--json").stdout)["pushed"] == 3
    scene.supervisor()
    scene.drain(15)
