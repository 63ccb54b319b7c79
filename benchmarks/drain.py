"""How fast one worker drains a line of no-op jobs, Jobman and bare Huey in turn, in one run.

    python benchmarks/drain.py [--jobs 20000] [--rounds 3] [--database postgresql] [--queue redis]

The rate is (N - 1) / (last start - first start), from what the jobs themselves wrote down. Both systems
run one process worker on the same Redis; Jobman also records every job's lifecycle in its database. What
counts is the ratio of the same round; its median is printed last.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from servers import DatabaseServer, MariaDBServer, PostgresServer, RedisServer  # noqa: E402

#: Seconds without progress after which a drain counts as stuck.
STUCK = 30.0


def drain(command: list[str], environment: dict[str, str], stamps: Path, jobs: int) -> float:
    """Start a consumer, wait until all jobs have begun, end it; jobs per second."""
    process = subprocess.Popen(command, env=environment, cwd=HERE, start_new_session=True)
    try:
        size, moved = 0, time.monotonic()
        while size < jobs * 8:
            if time.monotonic() - moved > STUCK or process.poll() not in (None, 0):
                raise SystemExit(f"{command[0]} stopped at {size // 8} of {jobs} jobs")
            time.sleep(0.02)
            now = stamps.stat().st_size if stamps.exists() else 0
            size, moved = now, (time.monotonic() if now != size else moved)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    times = sorted(stamp for (stamp,) in struct.iter_unpack("d", stamps.read_bytes()))
    if len(times) != jobs:
        raise SystemExit(f"{len(times)} jobs ran, not {jobs}")
    return (jobs - 1) / (times[-1] - times[0])


def jobman_round(environment: dict[str, str], stamps: Path, jobs: int) -> float:
    """Dispatch in bulk, then drain with one process worker."""
    code = (
        "import sys; from jobman_cli.app import Jobman; from jobman_cli.store.schema import upgrade;"
        "j = Jobman.from_config(); upgrade(j.bare_database);"
        f"j.dispatch_many('noop', ({{'name': 'x'}} for _ in range({jobs})))"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=HERE, check=True)
    return drain([sys.executable, "-m", "jobman_cli", "run-worker"], environment, stamps, jobs)


def huey_round(environment: dict[str, str], stamps: Path, jobs: int) -> float:
    """Enqueue, then drain with one process worker."""
    code = f"import bench_huey; [bench_huey.noop('x') for _ in range({jobs})]"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=HERE, check=True)
    consumer = Path(sys.executable).with_name("huey_consumer")
    command = [str(consumer), "bench_huey.huey", "-n", "-q", "-k", "process", "-w", "1"]
    return drain(command, environment, stamps, jobs)


def main() -> None:
    """Run the rounds and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--queue", choices=("redis", "database"), default="redis")
    parser.add_argument("--recording", choices=("turn", "each"), default="turn")
    options = parser.parse_args()
    redis = RedisServer().start()
    server = {"postgresql": PostgresServer, "mariadb": MariaDBServer}.get(options.database)
    database = server().start() if server else None
    ratios = []
    try:
        for number in range(options.rounds):
            rates = {}
            for name, run in (("jobman", jobman_round), ("huey", huey_round)):
                rates[name] = _round(run, name, options, redis, database, number)
            ratios.append(rates["jobman"] / rates["huey"])
            said = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
            print(f"round {number + 1}: {said}, {ratios[-1]:.2f}×")
    finally:
        redis.close()
        if database:
            database.close()
    print(
        f"jobman ({options.database} + {options.queue}, recording: {options.recording}) drains at "
        f"{statistics.median(ratios):.2f} × bare Huey (median of {options.rounds})"
    )


def _round(
    run: Callable[..., float],
    name: str,
    options: argparse.Namespace,
    redis: RedisServer,
    database: DatabaseServer | None,
    number: int,
) -> float:
    redis.flush()
    with tempfile.TemporaryDirectory() as directory:
        url = database.database(f"bench{number}") if database else f"sqlite:///{directory}/jobman.db"
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
            "BENCH_STAMPS": f"{directory}/stamps",
            "BENCH_REDIS": redis.url,
            "JOBMAN_CONFIG": str(HERE / "jobman.yaml"),
            "JOBMAN_DATABASE": url if name == "jobman" else "",
            "JOBMAN_QUEUE": redis.url if options.queue == "redis" else "database",
            "JOBMAN_RECORDING": options.recording,
        }
        return run(environment, Path(directory) / "stamps", options.jobs)


if __name__ == "__main__":
    main()
