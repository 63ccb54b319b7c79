"""What is asked of a peer, in a process of its own environment.

    python -m benchmarks.client MODULE WORD…

Words, in order: ``describe``, ``reset``, ``dispatch:N`` (one by one), ``fill:N`` (by the bulk call where
there is one), ``latency:N``, ``peak`` (of memory). Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import resource
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

#: Seconds between a job's start and the next dispatch, when an idle worker's latency is measured.
GAP = 0.02
#: Seconds after which a job counts as never started.
STUCK = 30.0


def describe(peer: Any) -> dict[str, Any]:
    return {
        "workers": {name: asdict(workers) for name, workers in peer.WORKERS.items()},
        "bulk": peer.dispatch_many is not None,
        "help": peer.HELP,
    }


async def call(function: Callable[..., Any], *args: Any) -> None:
    """Call it, and wait for it if it is a coroutine function."""
    answer = function(*args)
    if inspect.isawaitable(answer):
        await answer


async def dispatch_each(peer: Any, n: int) -> float:
    """Seconds for n dispatches in a row, by a plain loop in the peer's own manner of calling."""
    await call(peer.dispatch)
    dispatch: Callable[[], Any] = peer.dispatch
    began = time.perf_counter()
    if inspect.iscoroutinefunction(dispatch):
        for _ in range(n):
            await dispatch()
    else:
        for _ in range(n):
            dispatch()
    return time.perf_counter() - began


async def fill(peer: Any, n: int) -> dict[str, Any]:
    if peer.dispatch_many is None:
        return {"sent": n, "dispatched": n - 1, "seconds": await dispatch_each(peer, n - 1)}
    await call(peer.dispatch_many, 1)
    began = time.perf_counter()
    await call(peer.dispatch_many, n - 1)
    return {"sent": n, "bulk": n - 1, "seconds": time.perf_counter() - began}


async def latencies(peer: Any, n: int) -> list[float]:
    """Milliseconds from the call of dispatch to the job's first line, one job at a time.

    One more goes before them: it loads and connects what a process that has dispatched before has.
    """
    stamps = Path(os.environ["BENCH_STAMPS"])
    found = []
    for number in range(n + 1):
        called = time.time()
        await call(peer.dispatch)
        deadline = time.monotonic() + STUCK
        while not stamps.exists() or stamps.stat().st_size < 8 * (number + 1):
            if time.monotonic() > deadline:
                raise SystemExit(f"job {number + 1} did not start within {STUCK:.0f} s")
            await asyncio.sleep(0.002)
        started = struct.unpack("d", stamps.read_bytes()[8 * number : 8 * number + 8])[0]
        if number:
            found.append((started - called) * 1000)
        await asyncio.sleep(GAP)
    return found


def _context(peer: Any) -> contextlib.AbstractAsyncContextManager[Any]:
    opened: Callable[[], Awaitable[Any] | Any] | None = getattr(peer, "opened", None)
    return opened() if opened else contextlib.nullcontext()


async def main(module: str, words: list[str]) -> None:
    peer = importlib.import_module(f"benchmarks.peers.{module}")
    if words == ["describe"]:
        print(json.dumps(describe(peer)))
        return
    answer: dict[str, Any] = {}
    async with _context(peer):
        for word in words:
            action, _, number = word.partition(":")
            if action == "reset":
                if hasattr(peer, "reset"):
                    await call(peer.reset)
            elif action == "dispatch":
                answer["seconds"] = await dispatch_each(peer, int(number))
            elif action == "fill":
                answer |= await fill(peer, int(number))
            elif action == "peak":
                answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            elif action == "latency":
                answer["ms"] = await latencies(peer, int(number))
    print(json.dumps(answer))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
