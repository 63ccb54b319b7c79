"""Queues sharded by name over several Redis: pushes and pops by the product's own queue, and what one bears.

    python -m benchmarks.shards [--ids 100000] [--rounds 3] [--servers 4] [--note]

Each client is a process with a queue of its own, whose name decides its Redis. It pushes ids, a thousand a
command, then pops them, 64 a command; or, a tenth of them, one a command, as where jobs are dispatched and
run one by one. The rate is that of all clients from the first one's start to the last one's end. "Server µs"
is the processor time of the Redis processes for an id: on a machine with fewer cores than clients and servers
it says what a Redis bears, where rates only say how the cores were shared.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
import zlib
from collections.abc import Sequence
from typing import Any

from benchmarks.costs import circumstances, note, others, spread
from benchmarks.systems import RedisServer
from jobman_cli.engine.redis_queue import RedisQueue
from jobman_cli.store.lifecycle.insert import InLine

#: Servers and clients of each measurement, and the ids in a push and in a pop.
MANY, ONE = (1000, 64), (1, 1)
SCENES = (
    *((servers, clients, MANY) for servers, clients in ((1, 1), (1, 2), (1, 4), (2, 2), (2, 4), (4, 4))),
    *((servers, 4, ONE) for servers in (1, 2, 4)),
)
Scene = tuple[int, int, tuple[int, int]]
PATIENCE = 60.0


def shard_of(queue: str, shards: int) -> int:
    """The place of a queue's Redis: the same on every host and in every run, unlike ``hash``."""
    return zlib.crc32(queue.encode()) % shards


def names(shards: int, number: int) -> list[str]:
    """Queues that share themselves evenly over so many shards."""
    found: list[str] = []
    tried = 0
    while len(found) < number:
        name = f"queue-{tried}"
        if shard_of(name, shards) == len(found) % shards:
            found.append(name)
        tried += 1
    return found


def client(url: str, name: str, ids: int, sizes: tuple[int, int], gate: Any, times: Any) -> None:
    """One client: push all, wait for the others, pop all."""
    queue = RedisQueue("bench", url)
    rows = [InLine(number, name, 1_700_000_000_000 + number) for number in range(1, ids + 1)]
    queue.check()
    gate.wait(PATIENCE)
    began = time.monotonic()
    for at in range(0, ids, sizes[0]):
        queue.push(rows[at : at + sizes[0]])
    pushed = time.monotonic()
    gate.wait(PATIENCE)
    gate.wait(PATIENCE)  # the runner has read the servers' clocks
    receiver, left, popping = queue.receiver([name], None, None), ids, time.monotonic()  # type: ignore[arg-type]
    while left:
        ticket = receiver.receive(sizes[1], 0)
        if ticket is None:
            raise SystemExit(f"{left} of {ids} ids are not in {name}")
        left -= len(ticket.ids)
    times.put((began, pushed, popping, time.monotonic()))
    queue.close()


def worked(servers: Sequence[RedisServer]) -> float:
    """Microseconds of processor that the servers have used, by their own account: Linux's is less fine."""
    total = 0.0
    for server in servers:
        with server.client() as asking:
            facts = asking.info("cpu")
        total += facts["used_cpu_sys"] + facts["used_cpu_user"]
    return total * 1e6


def measure(
    servers: Sequence[RedisServer], clients: int, ids: int, sizes: tuple[int, int]
) -> dict[str, float]:
    """Ids a second of all clients together, and what they cost the servers."""
    context = multiprocessing.get_context("spawn")
    gate, times = context.Barrier(clients + 1), context.Queue()
    crew = []
    for name in names(len(servers), clients):
        url = servers[shard_of(name, len(servers))].url
        crew.append(context.Process(target=client, args=(url, name, ids, sizes, gate, times), daemon=True))
        crew[-1].start()
    gate.wait(PATIENCE)
    start = worked(servers)
    gate.wait(PATIENCE)
    middle = worked(servers)
    gate.wait(PATIENCE)
    told = [times.get(timeout=PATIENCE) for _ in crew]
    end = worked(servers)
    for process in crew:
        process.join(PATIENCE)
    moved = clients * ids
    began, pushed, popping, popped = zip(*told, strict=True)
    return {
        "push, ids/s": moved / (max(pushed) - min(began)),
        "pop, ids/s": moved / (max(popped) - min(popping)),
        "push, server µs": (middle - start) / moved,
        "pop, server µs": (end - middle) / moved,
    }


def main() -> None:
    """Every scene, in rounds; prints them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ids", type=int, default=100_000, help="of each client")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", type=int, default=4, help="at the most")
    parser.add_argument("--note", action="store_true", help="keep the medians for the model")
    options = parser.parse_args()
    servers = [RedisServer().start() for _ in range(options.servers)]
    found: dict[Scene, dict[str, list[float]]] = {
        scene: {} for scene in SCENES if scene[0] <= options.servers
    }
    shares = []
    try:
        for _ in range(options.rounds):
            shares.append(others(*servers))
            for scene in found:
                shards, clients, sizes = scene
                ids = options.ids if sizes == MANY else options.ids // 10
                for name, value in measure(servers[:shards], clients, ids, sizes).items():
                    found[scene].setdefault(name, []).append(value)
    finally:
        for server in servers:
            server.close()
    columns = list(found[SCENES[0]])
    print(f"{options.ids:,} ids a client, {options.rounds} rounds\n")
    print(f"| Redis | clients | push, pop | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 3)}")
    for (shards, clients, sizes), figures in found.items():
        cells = " | ".join(spread(figures[name]) for name in columns)
        print(f"| {shards} | {clients} | {sizes[0]}, {sizes[1]} | {cells} |")
    costs = {}
    for way, sizes in (("together", MANY), ("each", ONE)):
        figures = found[1, 4, sizes]
        costs[f"{way}.redis_us"] = sum(
            statistics.median(figures[f"{end}, server µs"]) for end in ("push", "pop")
        )
        bears = 1e6 / costs[f"{way}.redis_us"]
        print(f"\nOne Redis with a core of its own, {way}: {bears:,.0f} ids/s pushed and popped, by its µs")
    print(circumstances(shares))
    if options.note:
        note("python -m benchmarks.shards", statistics.median(shares), costs)


if __name__ == "__main__":
    main()
