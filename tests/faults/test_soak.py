"""T18: faults of every kind, for `JOBMAN_FAULT_SOAK` seconds; of the long profile only."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import psutil
import pytest
from processes import wait_until
from scene import LONG, Scene
from servers import PostgresServer, RedisServer

SECONDS = float(os.environ.get("JOBMAN_FAULT_SOAK", "120"))


@pytest.mark.skipif(not LONG, reason="the long profile's: `make faults`")
@pytest.mark.timeout(SECONDS + 180)
def test_soak(make_scene: Any, redis_server: RedisServer, postgres_server: PostgresServer, seed: int) -> None:
    """0 lost, 0 doubled, whatever happens in whatever order; nothing leaks in those that survive."""
    scene: Scene = make_scene("postgresql-redis", seed)
    supervisors = [scene.supervisor(2) for _ in range(2)]
    end = time.monotonic() + SECONDS
    faults = ["child", "tree", "term", "redis kill", "redis flush", "database stop", "freeze"]
    opened: dict[int, int] = {}
    while time.monotonic() < end:
        scene.client(40, "effect", pause=0.01, ms=5)
        scene.client(40, "plain", pause=0.01, ms=2)
        time.sleep(scene.random.uniform(0.5, 1.5))
        victim, fault = scene.random.choice(supervisors), scene.random.choice(faults)
        print(f"{end - time.monotonic():.0f} s left: {fault}")
        strike(scene, fault, victim, supervisors, redis_server, postgres_server)
        for each in supervisors:
            files = psutil.Process(each.pid).num_fds()
            assert files < opened.setdefault(each.pid, files) + 20, "file descriptors leak"
    scene.drain(90)
    wait_until(lambda: len(scene.workers("running")) >= 4, 20, "all workers")


def strike(
    scene: Scene,
    fault: str,
    victim: Any,
    supervisors: list[Any],
    redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> None:
    if fault == "child":
        for child in scene.children(victim)[:1]:
            os.kill(child.pid, signal.SIGKILL)
    elif fault in ("tree", "term"):
        victim.kill() if fault == "tree" else victim.terminate()
        victim.wait(20)
        supervisors.remove(victim)
        supervisors.append(scene.supervisor(2))
    elif fault == "redis kill":
        redis_server.kill()
        time.sleep(scene.random.uniform(0, 2))
        redis_server.start()
    elif fault == "redis flush":
        redis_server.flush()
    elif fault == "database stop":
        postgres_server.stop()
        time.sleep(scene.random.uniform(0, 3))
        postgres_server.start()
    else:
        victim.freeze()
        time.sleep(scene.random.uniform(1, 6))
        victim.thaw()
