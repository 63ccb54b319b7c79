"""Redis that is killed, frozen, flushed, replaced, full, read-only; and rubbish in its lines."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
import redis
from processes import wait_until
from redis.backoff import NoBackoff
from redis.retry import Retry
from scene import Scene, pick
from servers import RedisServer

from jobman_cli.operations.reconcile import rebuild

#: Seconds within which workers must be at work again.
RESUME = 5.0


def kill(server: RedisServer) -> None:
    server.kill()
    server.start()


def kill_for_a_while(server: RedisServer) -> None:
    server.kill()
    time.sleep(2.5)
    server.start()


def freeze(server: RedisServer) -> None:
    server.freeze()
    time.sleep(pick(5, 20))
    server.thaw()


def flush(server: RedisServer) -> None:
    server.flush()


def fill(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        time.sleep(2)
        client.config_set("maxmemory", "0")


def read_only(server: RedisServer) -> None:
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        time.sleep(2)
        client.replicaof("NO", "ONE")


def old_dump(server: RedisServer) -> None:
    """It comes back as another run, with some of an older state."""
    with server.client() as client:
        keys = {key: client.dump(key) for key in client.scan_iter("*")}
    time.sleep(0.3)
    server.kill()
    server.start()
    with server.client() as client:
        for key, value in keys.items():
            client.restore(key, 0, value, replace=True)


def load(server: RedisServer) -> None:
    """It comes back with a dump that takes two seconds to read, and says ``-LOADING`` until then."""
    with server.client() as client:
        client.mset({f"ballast:{number}": "x" * 1024 for number in range(400)})
        client.save()
    dump = server.directory / "dump.rdb"
    server.kill()
    server.options = ["--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"]
    seen: list[bool] = []
    watch = threading.Thread(
        target=lambda: seen.append(wait_until(lambda: says_loading(server), 5, "-LOADING"))
    )
    watch.start()  # not the other way round: a server ends with the thread that started it
    server.start()
    watch.join()
    server.options = []
    dump.unlink()
    assert seen == [True]
    with server.client() as client:
        client.delete(*client.keys("ballast:*"))


def says_loading(server: RedisServer) -> bool:
    impatient = redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0), socket_timeout=1)
    with impatient as client, suppress(redis.ConnectionError):
        try:
            client.ping()
        except redis.BusyLoadingError:
            return True
    return False


FAULTS = [kill, kill_for_a_while, freeze, flush, fill, read_only, old_dump, load]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_redis_troubles(make_scene: Any, redis_server: RedisServer, fault: Any, seed: int) -> None:
    """T5: dispatch stays within a second and keeps the row; workers resume by themselves."""
    scene: Scene = make_scene("postgresql-redis", seed)
    scene.supervisor(2)
    scene.client(pick(150, 2000), "effect", pause=0.005, ms=8)
    scene.client(pick(150, 2000), "plain", pause=0.005, ms=3)
    wait_until(lambda: scene.completed() > 5, 20, "the first jobs")
    for _ in range(pick(1, 10 if fault in (kill, flush) else 5)):
        time.sleep(scene.random.uniform(0.1, 0.3))
        acknowledged = scene.acknowledged()
        fault(redis_server)
        back, seen = time.monotonic(), scene.completed()
        scene.until_work_goes_on(seen, RESUME)
        print(f"resumed {time.monotonic() - back:.2f} s after {fault.__name__}")
        assert scene.acknowledged() >= acknowledged
    verdict = scene.drain(60)
    assert verdict.facts["states"] == {"completed": verdict.acknowledged}
    assert verdict.facts["rescues"] == 0
    assert scene.slowest < 1.2  # a second, and the database's part
    # T15: nothing ran twice. What was claimed ahead and given back is no attempt.
    assert verdict.facts["attempts"] == verdict.acknowledged


def test_a_lost_message_is_found(make_scene: Any, redis_server: RedisServer) -> None:
    """Popped by somebody who died before the claim: pushed again, within 10 s."""
    scene: Scene = make_scene("postgresql-redis")
    rebuild(scene.jobman.parts)  # the queue is known to be whole: only reconcile can find what is missing
    ids = [scene.dispatch("effect") for _ in range(5)]
    with redis_server.client() as client:
        key = f"{scene.settings['name']}:queue:default"
        assert client.zcard(key) == 5
        client.zpopmin(key, 3)
    began = time.monotonic()
    scene.supervisor()
    scene.until(ids[0], "completed", timeout=12)
    assert time.monotonic() - began < 12
    scene.drain()


def test_flushed_again_during_the_rebuild(make_scene: Any, redis_server: RedisServer) -> None:
    scene: Scene = make_scene("postgresql-redis")
    ids = scene.jobman.dispatch_many("effect", [{}] * pick(600, 3000))
    for job_id in ids:
        scene.acknowledge(job_id)
    redis_server.flush()
    scene.supervisor(2)
    for _ in range(3):
        time.sleep(0.7)
        redis_server.flush()
    verdict = scene.drain(60)
    assert verdict.facts["attempts"] == verdict.acknowledged


def test_a_worker_frozen_with_messages(make_scene: Any) -> None:
    """Stopped while it waits in Redis: what Redis gives it is lost with it, and found again."""
    scene: Scene = make_scene("postgresql-redis")
    frozen = scene.supervisor(1)
    time.sleep(0.5)
    frozen.freeze()
    for _ in range(3):
        scene.dispatch("effect")
    os.kill(frozen.pid, signal.SIGKILL)
    frozen.kill()
    scene.supervisor(1)
    scene.drain(20)


def test_rubbish_in_the_line(make_scene: Any, redis_server: RedisServer, seed: int) -> None:
    """T17: it is dropped; nothing in it runs; good jobs are not slowed."""
    scene: Scene = make_scene("postgresql-redis", seed)
    supervisor = scene.supervisor(1)
    scene.drain()
    proof = scene.path / "proof"
    pickled = b"cposix\nsystem\n(S'touch " + str(proof).encode() + b"'\ntR."
    number = pick(10_000, 20_000)
    with redis_server.client() as client:
        key = f"{scene.settings['name']}:queue:default"
        pipeline = client.pipeline(transaction=False)
        for n in range(number):
            kind = n % 4
            data = (
                pickled + b"#%d" % n,
                scene.random.randbytes(scene.random.randrange(1, 200)),
                b"%019d" % (10**15 + n),  # a well-formed id that no row has
                b'{"id": %d}' % n,
            )[kind]
            pipeline.zadd(key, {data: scene.random.uniform(0, 1e9)})
        pipeline.execute()
        jobs = [scene.dispatch("effect") for _ in range(20)]
        began = time.monotonic()
        scene.until(jobs[-1], "completed", timeout=30)
        took = time.monotonic() - began
    print(f"{number} messages of rubbish: {took:.2f} s")
    scene.drain()
    assert took < pick(1, 2)
    assert not proof.exists()
    assert supervisor.stderr.count("no job ids") <= 2
    assert supervisor.stderr.count("Traceback") == 0
