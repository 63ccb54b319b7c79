"""The systems by name, their servers, and their processes: clients that fill a line, workers that drain it.

A system has one name, one place per measurement, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks import venvs

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))

from processes import spawn  # noqa: E402 - from the path above
from servers import MariaDBServer, PostgresServer, RedisServer, Server, ServerUnavailable  # noqa: E402

#: Seconds without progress after which a drain counts as stuck; longest that a client may take.
STUCK, PATIENCE = 20.0, 300.0


class NotMeasured(Exception):
    """Why a system, or one measure of it, is missing from the report."""


@dataclass(frozen=True, slots=True)
class System:
    """One system under one name.

    Attributes:
        peer: Its module in ``peers``, and its environment.
        database: The kind of database it is given, ``sqlite`` included; empty for none.
        redis: Whether it needs Redis.
        row: What a SQL database knows of a job: ``no``, ``message`` (until it is taken), ``result`` (from
            its start), ``job`` (from its dispatch on, and kept).
        settings: JOBMAN_* variables beside database and queue.
    """

    title: str
    peer: str
    variant: str = ""
    database: str = ""
    redis: bool = True
    row: str = "no"
    settings: Mapping[str, str] = field(default_factory=dict)


SYSTEMS = {
    "huey-redis": System("Huey, Redis", "huey"),
    "huey-sqlite": System("Huey, SQLite", "huey", "sqlite", "sqlite", False, "message"),
    "jobman-postgresql-redis": System(
        "Jobman, PostgreSQL + Redis", "jobman", "redis", "postgresql", row="job"
    ),
    "jobman-postgresql-database": System(
        "Jobman, PostgreSQL", "jobman", "database", "postgresql", False, "job"
    ),
    "jobman-sqlite-database": System("Jobman, SQLite", "jobman", "database", "sqlite", False, "job"),
    "jobman-sqlite-redis": System("Jobman, SQLite + Redis", "jobman", "redis", "sqlite", row="job"),
    "jobman-mariadb-redis": System("Jobman, MariaDB + Redis", "jobman", "redis", "mariadb", row="job"),
    "jobman-mariadb-database": System("Jobman, MariaDB", "jobman", "database", "mariadb", False, "job"),
    "jobman-each": System(
        "Jobman, recording: each",
        "jobman",
        "redis",
        "postgresql",
        row="job",
        settings={"JOBMAN_RECORDING": "each"},
    ),
    "rq": System("RQ", "rq"),
    "celery-redis": System("Celery, no results", "celery"),
    "celery-postgresql": System(
        "Celery, results in PostgreSQL", "celery", "postgresql", "postgresql", row="result"
    ),
    "dramatiq": System("Dramatiq", "dramatiq"),
    "taskiq": System("taskiq, list", "taskiq"),
    "arq": System("arq", "arq"),
    "saq-redis": System("SAQ, Redis", "saq"),
    "saq-postgresql": System("SAQ, PostgreSQL", "saq", "postgresql", "postgresql", False, "job"),
    "streaq": System("streaQ", "streaq"),
    "procrastinate": System("Procrastinate", "procrastinate", "", "postgresql", False, "job"),
    "oban": System("Oban for Python", "oban", "", "postgresql", False, "job"),
    "awa": System("awa", "awa", "", "postgresql", False, "job"),
}


class Ground:
    """The run's own servers, started when first needed."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self._number = 0
        self.directory = Path(tempfile.mkdtemp(prefix="bench-"))

    def server(self, kind: str) -> Any:
        if kind not in self._servers:
            makers = {"redis": RedisServer, "postgresql": PostgresServer, "mariadb": MariaDBServer}
            try:
                self._servers[kind] = makers[kind]().start()
            except ServerUnavailable as error:
                raise NotMeasured(f"{kind}: {error}") from None
        return self._servers[kind]

    def close(self) -> None:
        for server in self._servers.values():
            server.close()

    @contextlib.contextmanager
    def place(self, system: System) -> Iterator[Place]:
        """An empty database and an empty Redis for one measurement."""
        self._number += 1
        name = f"bench{self._number}"
        urls = {"redis": "", "database": ""}
        if system.redis:
            self.server("redis").flush()
            urls["redis"] = self.server("redis").url
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            if system.database == "sqlite":
                urls["database"] = f"sqlite:///{directory}/bench.db"
            elif system.database:
                urls["database"] = self.server(system.database).database(name)
            try:
                kinds = {"redis"} if system.redis else set()
                kinds |= {system.database} - {"", "sqlite"}
                servers = [self.server(kind) for kind in sorted(kinds)]
                yield Place(system, Path(directory), servers, **urls)
            finally:
                if system.database not in ("", "sqlite"):
                    self.server(system.database).drop(name)


class Place:
    """One system with its servers' addresses and the file in which its jobs write down when they began."""

    def __init__(
        self, system: System, directory: Path, servers: Sequence[Server], redis: str, database: str
    ) -> None:
        self.system, self.directory, self.servers = system, directory, servers
        self.stamps = directory / "stamps"
        self.database, self.redis = database, redis
        self.python = _installed(system.peer)
        self.environment = self._environment()

    def _environment(self) -> dict[str, str]:
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("JOBMAN_") and key != "PYTHONDONTWRITEBYTECODE"
        }
        plain = self.database.replace("+psycopg", "").removeprefix("sqlite:///")
        own = {
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "BENCH_STAMPS": str(self.stamps),
            "BENCH_VARIANT": self.system.variant,
            "BENCH_REDIS": self.redis,
            "BENCH_DATABASE": plain,
        }
        if self.system.peer == "jobman":
            own |= {
                "JOBMAN_CONFIG": str(ROOT / "benchmarks" / "jobman.yaml"),
                "JOBMAN_DATABASE": self.database,
                "JOBMAN_QUEUE": self.redis or "database",
                **self.system.settings,
            }
        return kept | own

    def describe(self) -> dict[str, Any]:
        return self.ask("describe")

    def ask(self, *words: str) -> Any:
        """Run a client and return what it printed.

        Raises:
            NotMeasured: with its last words.
        """
        command = [str(self.python), "-m", "benchmarks.client", self.system.peer, *words]
        options = {"cwd": self.directory, "env": self.environment, "timeout": PATIENCE}
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        except subprocess.TimeoutExpired:
            raise NotMeasured(f"`{' '.join(words)}` took more than {PATIENCE:.0f} s") from None
        if done.returncode:
            raise NotMeasured(f"`{' '.join(words)}`: {last_words(done.stderr)}")
        return json.loads(done.stdout.splitlines()[-1])

    @contextlib.contextmanager
    def workers(self, setting: Mapping[str, Any]) -> Iterator[Crew]:
        """Workers that run until the end of the block."""
        crew = Crew(self, setting)
        try:
            yield crew
        finally:
            crew.end()

    def started(self) -> int:
        """How many jobs have begun."""
        return self.stamps.stat().st_size // 8 if self.stamps.exists() else 0

    def times(self) -> list[float]:
        return sorted(stamp for (stamp,) in struct.iter_unpack("d", self.stamps.read_bytes()))

    def wait(self, jobs: int, crew: Crew) -> None:
        """Wait until so many jobs have begun.

        Raises:
            NotMeasured: when nothing moves, or the workers have ended.
        """
        seen, moved = -1, time.monotonic()
        while (now := self.started()) < jobs:
            if now != seen:
                seen, moved = now, time.monotonic()
            if time.monotonic() - moved > STUCK or crew.ended:
                raise NotMeasured(f"stopped at {now} of {jobs} jobs: {crew.last_words()}")
            time.sleep(0.02)


class Crew:
    """Worker processes, ended with all their children when they are no longer needed."""

    def __init__(self, place: Place, setting: Mapping[str, Any]) -> None:
        self._place = place
        program, *rest = setting["command"]
        command = [str(place.python.with_name(program)), *rest]
        environment = place.environment | setting["environment"]
        self._log = place.directory / "workers.log"
        with self._log.open("ab") as log:
            self._processes = [
                spawn(command, stdout=log, stderr=log, env=environment, cwd=place.directory)
                for _ in range(setting["processes"])
            ]

    @property
    def ended(self) -> bool:
        return any(process.poll() not in (None, 0) for process in self._processes)

    def last_words(self) -> str:
        return last_words(self._log.read_text(errors="replace"))

    def family(self) -> list[psutil.Process]:
        found = []
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
        return found

    def memory(self) -> dict[str, float]:
        """PSS in MB: of one process that ran jobs (the largest), and of all together."""
        sizes = {}
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                sizes[process.pid] = process.memory_full_info().pss / 2**20
        known = [size for pid, size in sizes.items() if Path(f"{self._place.stamps}.{pid}").exists()]
        return {"worker_mb": round(max(known, default=0.0), 1), "all_mb": round(sum(sizes.values()), 1)}

    def cpu(self) -> float:
        """Seconds of processor time that workers and servers have used."""
        return sum(self.cpu_by_part().values())

    def cpu_by_part(self) -> dict[str, float]:
        """The same, by who used them: ``workers`` (with all that belongs to them), and each server."""
        families = {"workers": self.family()}
        families |= {server.title: server.family() for server in self._place.servers}
        return {name: sum(map(_seconds, family)) for name, family in families.items()}

    def end(self, patience: float = 5.0) -> None:
        family = self.family()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + patience
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.05, deadline - time.monotonic()))
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for process in self._processes:
            process.wait()


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _installed(peer: str) -> Path:
    try:
        return venvs.python_of(peer)
    except venvs.NotInstalled as error:
        raise NotMeasured(f"cannot be installed: {error}") from None


def last_words(log: str, lines: int = 2) -> str:
    said = [line.strip() for line in log.splitlines() if line.strip()]
    if errors := [line for line in said if re.match(r"[\w.]*(Error|Exception)\b", line)]:
        return errors[-1][:400]
    return " / ".join(said[-lines:])[-400:] or "(it said nothing)"


def names(wanted: Sequence[str]) -> list[str]:
    """The systems that are meant: full names, or the peer's for all of its variants."""
    if not wanted:
        return list(SYSTEMS)
    found = [name for name, system in SYSTEMS.items() if name in wanted or system.peer in wanted]
    known = set(SYSTEMS) | {system.peer for system in SYSTEMS.values()}
    if unknown := set(wanted) - known:
        raise SystemExit(f"no such system: {', '.join(sorted(unknown))}; known: {', '.join(SYSTEMS)}")
    return found
