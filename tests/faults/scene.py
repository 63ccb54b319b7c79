"""A scene: a database, an engine, real supervisors and clients, and the oracle that judges them.

Everything runs as users run it: `python -m jobman_cli run-worker` in processes of its own, with settings
that make recovery quick (lease 3 s, heartbeat 0.9 s, sweep 1 s, grace 1 s).
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
from oracle import Oracle, Verdict, acknowledged_ids
from processes import JobmanProcess, jobman_environment, run_jobman, spawn, wait_until
from sqlalchemy import select, text

from jobman_cli.app import Jobman
from jobman_cli.core.states import FINAL
from jobman_cli.errors import StoreUnavailable
from jobman_cli.store.schema import upgrade
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS, WORKERS

HERE = Path(__file__).resolve().parent
FAST = {"lease": 3, "heartbeat": 0.9, "sweep": 1, "grace": 1, "shutdown_timeout": 10}
LONG = os.environ.get("JOBMAN_FAULT_PROFILE") == "long"
_numbers = itertools.count(1)


def pick(fast: int, long: int) -> int:
    """A number for the profile that runs."""
    return long if LONG else fast


def python_path() -> str:
    return os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))


class Scene:
    """One application under attack.

    Args:
        path: Its directory.
        seed: For every choice that the test leaves to chance.
    """

    def __init__(
        self,
        path: Path,
        database: str,
        queue: str,
        start: Callable[..., JobmanProcess],
        seed: int,
        **settings: Any,
    ) -> None:
        self.path, self._start, self.seed = path, start, seed
        self.random = random.Random(seed)
        self.config = path / "jobman.yaml"
        name = f"faults-{os.getpid()}-{next(_numbers)}"
        self.settings = {"name": name, "database": database, "queue": queue, "modules": ["fault_jobs"]}
        self.configure(**FAST | settings)
        self.jobman = Jobman.from_config(self.config)
        upgrade(self.jobman.bare_database)
        self.store = self.jobman.bare_database
        self.oracle = Oracle(self.store)
        self.clients: list[subprocess.Popen[str]] = []
        self.supervisors: list[JobmanProcess] = []
        self.files: list[Path] = []

    def configure(self, **changes: Any) -> None:
        self.settings |= changes
        self.config.write_text(json.dumps(self.settings))  # JSON is YAML

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str | None]:
        return {"PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), python_path()]), **(extra or {})}

    # -- who acts ----------------------------------------------------------------------------------

    def supervisor(
        self,
        workers: int = 1,
        *options: str,
        env: Mapping[str, str] | None = None,
        concurrency: int | None = None,
    ) -> JobmanProcess:
        """A supervisor in the background, its workers registered.

        An async one has one worker, and `concurrency` is something else.
        """
        before = {row.uuid for row in self.workers()}
        arguments = ["-v", "run-worker", "--concurrency", concurrency or workers, *options]
        process = self._start(*arguments, cwd=self.path, env=self.environment(env))
        self.supervisors.append(process)
        wait_until(
            lambda: len({row.uuid for row in self.workers()} - before) >= workers or not process.running,
            30,
            f"{workers} registered worker(s)",
        )
        assert process.running, process.stderr
        return process

    def client(
        self, count: int, type: str = "effect", pause: float = 0.0, many: int = 0, **attribs: Any
    ) -> subprocess.Popen[str]:
        """A client process that dispatches `count` jobs."""
        file = self.path / f"acknowledged-{len(self.files)}"
        self.files.append(file)
        given = [self.config, file, count, type, json.dumps(attribs), pause, many]
        command = [sys.executable, str(HERE / "client.py"), *map(str, given)]
        environment = jobman_environment(self.environment())
        process = spawn(
            command, env=environment, cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.clients.append(process)
        return process

    def dispatch(self, type: str, /, **attribs: Any) -> int:
        """Dispatch one job from here; acknowledged like a client's."""
        return self.acknowledge(self.jobman.dispatch(type, attribs).id)

    def acknowledge(self, job_id: int | None) -> int:
        file = self.path / "acknowledged-here"
        if file not in self.files:
            self.files.append(file)
        with file.open("a") as ids:
            ids.write(f"{job_id}\n")
        return int(job_id or 0)

    def run(self, *arguments: str | int, env: Mapping[str, str] | None = None, **options: Any) -> Any:
        """Run a `jobman` command to its end."""
        return run_jobman(*arguments, cwd=self.path, env=self.environment(env), **options)

    # -- what is there -----------------------------------------------------------------------------

    def ask(self, query: Any) -> list[Any]:
        """Rows; a server that was restarted, or is away for a moment, is asked again."""
        for tries_left in reversed(range(100)):
            try:
                with self.store.reading() as connection:
                    return list(connection.execute(query).all())
            except StoreUnavailable:
                if not tries_left:
                    raise
                time.sleep(0.1)
        raise AssertionError("unreachable")

    def row(self, job_id: int) -> Any:
        return self.ask(select(JOBS).where(JOBS.c.id == job_id))[0]

    def rows(self, *conditions: Any) -> list[Any]:
        return self.ask(select(JOBS).where(*conditions).order_by(JOBS.c.id))

    def attempts(self, job_id: int) -> list[Any]:
        query = select(ATTEMPTS).where(ATTEMPTS.c.jobman_id == job_id).order_by(ATTEMPTS.c.id)
        return self.ask(query)

    def failed(self, job_id: int) -> list[Any]:
        return self.ask(select(FAILED_JOBS).where(FAILED_JOBS.c.jobman_id == job_id))

    def workers(self, *states: str) -> list[Any]:
        return [row for row in self.ask(select(WORKERS)) if not states or row.state in states]

    def acknowledged(self) -> int:
        return len(acknowledged_ids(self.files))

    def completed(self) -> int:
        return int(self.ask(text("SELECT count(*) FROM jobmans WHERE status = 'completed'"))[0][0])

    def unfinished(self) -> int:
        names = ", ".join(f"'{status.value}'" for status in FINAL)
        query = text(f"SELECT count(*) FROM jobmans WHERE status NOT IN ({names})")
        return int(self.ask(query)[0][0])

    def worker_of(self, job_id: int) -> psutil.Process:
        """The process that runs a job."""
        uuid = self.row(job_id).worker_id
        return psutil.Process(next(row.pid for row in self.workers() if row.uuid == uuid))

    def children(self, supervisor: JobmanProcess) -> list[psutil.Process]:
        """The worker processes of a supervisor."""
        pids = {row.pid for row in self.workers("running")}
        return [child for child in supervisor.family()[1:] if child.pid in pids]

    def until(self, job_id: int, *statuses: str, timeout: float = 20) -> Any:
        """The row, once it is in one of these states."""
        wait_until(lambda: self.row(job_id).status in statuses, timeout, f"job {job_id} in {statuses}")
        return self.row(job_id)

    def until_work_goes_on(self, seen: int, timeout: float) -> None:
        """Until more than `seen` jobs are completed, or nothing is left to do."""
        wait_until(lambda: self.completed() > seen or not self.unfinished(), timeout, "work again")

    def gate(self, name: str = "gate") -> Path:
        return self.path / name

    def until_started(self, attempt: int = 1, name: str = "gate", timeout: float = 20) -> None:
        """Until the held job has begun that attempt."""
        started = Path(f"{self.gate(name)}.started-{attempt}")
        wait_until(started.exists, timeout, f"attempt {attempt} of the job at {name}")

    # -- the end -----------------------------------------------------------------------------------

    def drain(self, timeout: float = 60) -> Verdict:
        """Wait for the clients and until every row is final, then ask the oracle.

        Raises:
            AssertionError: with the seed, the verdict and the last words of the supervisors.
        """
        for client in self.clients:
            out, err = client.communicate(timeout=timeout)
            assert client.returncode == 0, err
            self.slowest = max(getattr(self, "slowest", 0.0), json.loads(out)["slowest"])
        self.clients.clear()
        try:
            wait_until(lambda: self.unfinished() == 0, timeout, "the drain", interval=0.05)
        except AssertionError as error:
            rows = self.rows(JOBS.c.status.not_in(("completed", "failed", "cancelled")))[:5]
            raise AssertionError(f"{error}\nseed {self.seed}\nstuck: {rows}\n{self.last_words()}") from None
        verdict = self.oracle.judge(self.files)
        assert verdict.good, f"seed {self.seed}: {verdict}\n{self.last_words()}"
        return verdict

    def last_words(self) -> str:
        return "\n".join(f"--- supervisor {p.pid}\n{p.stderr[-3000:]}" for p in self.supervisors)

    def close(self) -> None:
        for client in self.clients:
            client.kill()
            client.communicate()
        self.jobman.close()
