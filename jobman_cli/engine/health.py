"""What a doctor asks of Redis, and what it may read of a line without taking from it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobman_cli.engine.message import parse_member

#: The oldest Redis that Jobman is made for.
LEAST = (6, 2)
#: Members read from each end of a line, and lines that are looked at.
SAMPLE, LINES = 1000, 50


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What a server says of itself.

    Attributes:
        latency: Seconds of a round trip, the best of three.
        used, limit: Bytes; a limit of 0 is none.
        persists: It writes to disk what it holds.
        disk_error: Its last write failed; by default it then refuses changes.
        whole: False when the lines are another server run's: they wait to be built anew.
    """

    version: tuple[int, ...]
    latency: float
    role: str
    policy: str
    used: int
    limit: int
    persists: bool
    disk_error: bool
    whole: bool

    @property
    def supported(self) -> bool:
        """True when it is no older than what Jobman is made for."""
        return self.version >= LEAST


@dataclass(frozen=True, slots=True)
class LineSample:
    """A part of one line.

    Attributes:
        queue: Its name.
        size: How many members it has.
        ids: Of the first and the last members.
        rubbish: How many of these are no ids.
    """

    queue: str
    size: int
    ids: list[int]
    rubbish: int


def ask_redis(client: Any, epoch: str) -> RedisFacts:
    """Ask for all of it; ``epoch`` is the key of the marker."""
    latency = 1e9
    for _ in range(3):
        began = time.perf_counter()
        client.ping()
        latency = min(latency, time.perf_counter() - began)
    info: Mapping[str, Any] = client.info()
    run = client.get(epoch)
    return RedisFacts(
        version=_numbers(info.get("redis_version")),
        latency=latency,
        role=str(info.get("role", "master")),
        policy=str(info.get("maxmemory_policy", "")),
        used=int(info.get("used_memory", 0)),
        limit=int(info.get("maxmemory", 0)),
        persists=bool(int(info.get("aof_enabled", 0))) or _saves(client),
        disk_error="err" in (info.get("rdb_last_bgsave_status"), info.get("aof_last_write_status")),
        whole=run is not None and run == str(info.get("run_id", "")).encode(),
    )


def sample_lines(client: Any, prefix: str) -> list[LineSample]:
    """Read both ends of the lines that are there; keys begin with ``prefix``."""
    pattern = re.sub(r"([\\*?\[\]])", r"\\\1", prefix) + "*"
    keys: list[bytes] = []
    for key in client.scan_iter(match=pattern, count=1000, _type="zset"):
        keys.append(key)
        if len(keys) >= LINES:
            break
    samples = []
    for key in sorted(keys):
        members = {*client.zrange(key, 0, SAMPLE - 1), *client.zrange(key, -SAMPLE, -1)}
        ids = [each for each in map(parse_member, members) if each is not None]
        name = key.decode("utf-8", "backslashreplace").removeprefix(prefix)
        samples.append(LineSample(name, int(client.zcard(key)), sorted(ids), len(members) - len(ids)))
    return samples


def _saves(client: Any) -> bool:
    """Snapshots are configured; who may not ask is told that they are not."""
    try:
        return bool(client.config_get("save").get("save"))
    except Exception:
        return False


def _numbers(said: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", str(said))[:3]) or (0,)
