"""What the contract suites stand on: an empty database of each kind, and workers in this very process.

A worker here is the product's own `Turn`, `Runner` and `Hand` around a link that can be told to fail. A
database server's tables are made once a run and emptied for each test.
"""

from __future__ import annotations

import asyncio
import datetime
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from provision import DATABASES, ENGINES
from servers import DatabaseServer
from sqlalchemy import event, func, select, text

from jobman_cli.core.context import Context
from jobman_cli.core.jobtype import JobType, job
from jobman_cli.core.outcome import Fail, Retry
from jobman_cli.engine.database_queue import DatabaseQueue
from jobman_cli.engine.instance import RunJob
from jobman_cli.engine.redis_queue import RedisQueue
from jobman_cli.errors import StoreUnavailable
from jobman_cli.hooks.registry import Registry
from jobman_cli.operations.dispatch import dispatch
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.request import Options
from jobman_cli.runtime.completing import Completing
from jobman_cli.runtime.exchange import Exchange
from jobman_cli.runtime.hand import Hand
from jobman_cli.runtime.identity import new_uuid
from jobman_cli.runtime.job_loop import PLACES, JobLoop
from jobman_cli.runtime.loop_turn import LoopTurn
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.pace import MOST, Pace
from jobman_cli.runtime.page import Page
from jobman_cli.runtime.runner import Gate, Runner
from jobman_cli.runtime.watch import Watch
from jobman_cli.runtime.worker import Turn
from jobman_cli.settings import Settings
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.insert import NewJob, insert_jobs
from jobman_cli.store.lifecycle.workers import WorkerIdentity, register
from jobman_cli.store.link import Link
from jobman_cli.store.schema import upgrade
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS, TABLES, WORKERS

EPOCH = datetime.datetime(2000, 1, 1)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "jobman.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres_store(postgres_server: DatabaseServer) -> Iterator[Database]:
    yield from migrated(postgres_server)


@pytest.fixture(scope="session")
def mariadb_store(mariadb_server: DatabaseServer) -> Iterator[Database]:
    yield from migrated(mariadb_server)


def migrated(server: DatabaseServer) -> Iterator[Database]:
    database = Database(server.ensure_running().database("jobman_contract"))
    upgrade(database)
    yield database
    database.close()


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with empty tables, once for each kind."""
    if request.param == "sqlite":
        path = request.getfixturevalue("tmp_path") / "jobman.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        database = Database(f"sqlite:///{path}")
        yield database
        database.close()
        return
    fixture = {"postgresql": "postgres_store", "mariadb": "mariadb_store"}[request.param]
    database = request.getfixturevalue(fixture)
    database.run(_empty)
    yield database


def _empty(connection: Any, _dialect: Any) -> None:
    for table in TABLES:
        connection.execute(table.delete())


@pytest.fixture(params=ENGINES)
def rig(request: pytest.FixtureRequest, store: Database, tmp_path: Path) -> Iterator[Rig]:
    """Every database with every engine."""
    url = "database" if request.param == "database" else request.getfixturevalue("redis_url")
    rig = Rig(store, url, tmp_path)
    yield rig
    rig.close()


class LostLink(Link):
    """A link whose transactions can be told how to fail.

    `plan` is read one word a transaction: `away` (nothing was sent), `before` (it broke before the
    COMMIT), `after` (the COMMIT passed and its answer was lost), `late` (the same, but the server is not
    done with it when the answer is missed), or None (all is well).
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.plan: list[str | None] = []
        self.sent = 0

    @contextmanager
    def transaction(self, alone: bool = False) -> Iterator[Any]:
        self.sent += 1
        word = self.plan.pop(0) if self.plan else None
        if word == "away" or (word == "before" and alone and self.database.dialect.commits_alone):
            raise StoreUnavailable("away")
        if word == "late":
            connection = self.database.engine.connect()
            transaction = connection.begin()
            yield connection
            threading.Timer(0.1, lambda: (transaction.commit(), connection.close())).start()
            raise StoreUnavailable("nobody waited for the answer to COMMIT")
        with super().transaction(alone) as connection:
            yield connection
            if word == "before":
                raise StoreUnavailable("it broke before the COMMIT")
        if word == "after":
            self.drop()
            raise StoreUnavailable("the answer to COMMIT was lost")


class Rig:
    """One application: a database, an engine, job types that note their calls in `calls`."""

    def __init__(
        self,
        store: Database,
        queue: str,
        root: Path,
        hooks: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.store = store
        self.calls: list[tuple[int, int]] = []
        made = [*job_types(self.calls), *async_job_types(self.calls)]
        types = {job_type.name: job_type for job_type in made}
        self.engine: Any = DatabaseQueue("jobman") if queue == "database" else RedisQueue("jobman", queue)
        url = store.url.render_as_string(hide_password=False)
        given = Settings(root=root, database=url, queue=queue, **settings)
        self.parts = Parts(given, Registry(types, [], hooks or {}), store, self.engine)
        self.workers: list[Bench] = []
        self.loops: list[LoopBench] = []

    def dispatch(self, name: str, attribs: Mapping[str, Any] | None = None, **options: Any) -> int:
        return int(dispatch(self.parts, name, attribs, Options(**options)).id or 0)

    def row(self, job_id: int) -> Any:
        return row_of(self.store, job_id)

    def worker(self, *queues: str, most: int = MOST) -> Bench:
        self.workers.append(Bench(self, queues or ("default",), most))
        return self.workers[-1]

    def loop_worker(self, concurrency: int = 50) -> LoopBench:
        self.loops.append(LoopBench(self.worker(), concurrency))
        return self.loops[-1]

    def close(self) -> None:
        for loop_worker in self.loops:
            loop_worker.close()
        for worker in self.workers:
            worker.runner.close()
            worker.link.drop()
        self.engine.close()


class Bench:
    """One worker: turns are taken by the test."""

    def __init__(self, rig: Rig, queues: Sequence[str], most: int) -> None:
        parts = rig.parts
        self.rig, self.uuid = rig, add_worker(rig.store)
        self.link, self.hand, self.pace, self.gate = LostLink(rig.store), Hand(), Pace(most), Gate()
        self.meter = Meter()
        self.stopping = False
        self.pauses: list[float] = []
        limit = parts.settings.max_attribs_bytes
        self.runner = Runner(parts.registry, self.gate, self._execute, self._completing, limit)
        self.completing = Completing(rig.store, self.uuid, self.gate, self.runner.encode)
        self.receiver = rig.engine.receiver(queues, self.link, self._pause)
        self.exchange = Exchange(
            parts, self.uuid, self.link, self.receiver, self.hand, self._pause, self.meter
        )
        self.turn = Turn(
            self.exchange,
            self.runner,
            self.hand,
            self.pace,
            lambda: self.stopping,
            Page(),
            self.meter,
        )

    def _pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        time.sleep(min(seconds, 0.01))
        return self.stopping

    def _execute(self, function: Any, attempt: Any) -> object:
        claim = attempt.claim
        task = RunJob(args=(function, attempt), id=str(claim.id), timeout=claim.timeout)
        return self.rig.engine.huey.execute(task, EPOCH)

    def _completing(self, attempt: Any, code: str | None) -> Any:
        return self.completing.open(attempt, code)

    def drain(self, most: int | None = None) -> int:
        """Take turns until the line is empty and all is recorded; the number of jobs that ran."""
        ran = idle = 0
        while idle < 2:
            self.receiver.look_again()
            now = self.turn.take(most, wait=0)
            ran, idle = ran + now, 0 if now or self.hand else idle + 1
        return ran


class LoopBench:
    """A worker that runs many jobs at once: turns are taken by the test, the event loop turns by itself."""

    def __init__(self, worker: Bench, concurrency: int) -> None:
        parts = worker.rig.parts
        self.worker, self.hand, self.link, self.uuid = worker, worker.hand, worker.link, worker.uuid
        self.page = Page(PLACES * concurrency)
        self.loop = JobLoop(worker.runner, self.hand, self.page, concurrency, worker.meter)
        self.turn = LoopTurn(worker.exchange, self.loop, self.hand, concurrency, 3)
        self.watch = Watch(parts, self.uuid, self.hand, worker.meter, self.loop)
        self.loop.start()

    def take(self, most: int | None = None) -> int:
        self.worker.receiver.look_again()
        return self.turn.take(most, wait=0)

    def close(self) -> None:
        self.loop.interrupt()
        until = time.monotonic() + 5
        while self.hand.load() and time.monotonic() < until:
            time.sleep(0.01)
        self.loop.close()
        self.watch._link.drop()

    def drain(self, timeout: float = 30.0) -> int:
        """Take turns until the line is empty and all is recorded; the number of jobs that were started."""
        started = idle = 0
        until = time.monotonic() + timeout
        while idle < 2:
            assert time.monotonic() < until, f"{self.hand.load()} jobs are still there"
            now = self.take()
            started, idle = started + now, 0 if now or not self.turn.idle else idle + 1
        return started


def job_types(calls: list[tuple[int, int]]) -> list[JobType]:
    @job("noop", timeout=None)
    def noop(ctx: Context) -> None:
        calls.append((ctx.job_id, ctx.attempt))

    @job("hello", timeout=None)
    def hello(ctx: Context, name: str = "world", count: int = 1) -> str | None:
        calls.append((ctx.job_id, ctx.attempt))
        ctx.log(f"hello {name}")
        ctx.progress(1, 2)
        ctx.attribs["greeted"] = name
        return "greeted"

    @job("boom", tries=2, backoff=[0], timeout=None)
    def boom(ctx: Context) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        ctx.log("about to fail")
        raise ValueError("boom")

    @job("again", tries=3, timeout=None)
    def again(ctx: Context, after: float = 0.0) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        raise Retry("not yet", after=after)

    @job("give_up", tries=5, timeout=None)
    def give_up(ctx: Context) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        raise Fail("no hope")

    @job("slow", timeout=None)
    def slow(ctx: Context, seconds: float = 0.006) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        time.sleep(seconds)

    @job("interrupted", timeout=None)
    def interrupted(ctx: Context) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        raise KeyboardInterrupt

    @job("paid", timeout=None)
    def paid(ctx: Context, then: str = "") -> None:
        calls.append((ctx.job_id, ctx.attempt))
        ctx.log("paying")
        with ctx.completing("paid") as session:
            session.execute(text(f"INSERT INTO effect VALUES ({ctx.job_id}, {ctx.attempt})"))
            ctx.attribs["receipt"] = 7
            if then == "inside":
                raise ValueError("inside")
        if then == "after":
            raise ValueError("after")
        if then == "twice":
            with ctx.completing():
                pass

    return [paid, noop, hello, boom, again, give_up, slow, interrupted]


def async_job_types(calls: list[tuple[int, int]]) -> list[JobType]:
    @job("a_hello", timeout=None)
    async def a_hello(ctx: Context, name: str = "world") -> str | None:
        calls.append((ctx.job_id, ctx.attempt))
        await asyncio.sleep(0)
        ctx.log(f"hello {name}")
        ctx.progress(1, 2)
        ctx.attribs["greeted"] = name
        return "greeted"

    @job("nap", timeout=None)
    async def nap(ctx: Context, seconds: float = 0.01) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        await asyncio.sleep(seconds)

    @job("a_boom", tries=2, backoff=[0], timeout=None)
    async def a_boom(ctx: Context) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        await asyncio.sleep(0)
        raise ValueError("boom")

    @job("late", timeout=0.2)
    async def late(ctx: Context, own: bool = False) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        try:
            async with asyncio.timeout(0.05 if own else None):
                await asyncio.sleep(60)
        finally:
            ctx.log("cleared up")

    @job("hog", timeout=None)
    async def hog(ctx: Context, seconds: float) -> None:
        calls.append((ctx.job_id, ctx.attempt))
        time.sleep(seconds)

    @job("a_paid", timeout=None)
    async def a_paid(ctx: Context, then: str = "") -> None:
        calls.append((ctx.job_id, ctx.attempt))
        if then == "plain with":
            with ctx.completing():
                pass
        async with ctx.completing("paid") as session:
            session.execute(text(f"INSERT INTO effect VALUES ({ctx.job_id}, {ctx.attempt})"))
            ctx.attribs["receipt"] = 7
            await asyncio.sleep(0.01)
            if then == "inside":
                raise ValueError("inside")
        if then == "after":
            raise ValueError("after")

    @job("leaves", timeout=None)
    async def leaves(ctx: Context, file: str) -> None:
        """Leaves a task behind."""
        calls.append((ctx.job_id, ctx.attempt))

        async def linger() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                Path(file).write_text("ended")

        leaves.task = asyncio.create_task(linger())
        await asyncio.sleep(0)

    return [a_hello, nap, a_boom, late, hog, a_paid, leaves]


def add_worker(store: Database, uuid: str | None = None, state: str = "running") -> str:
    identity = WorkerIdentity(uuid or new_uuid(), "supervisor", "host", 1, "boot", "pid:[1]", 1, ("default",))
    store.run(register, identity)
    if state != "running":
        set_worker(store, identity.uuid, state)
    return identity.uuid


def set_worker(store: Database, uuid: str, state: str) -> None:
    with store.transaction() as connection:
        connection.execute(WORKERS.update().where(WORKERS.c.uuid == uuid).values(state=state))


def add_jobs(store: Database, number: int = 1, **fields: Any) -> list[int]:
    given = {"type": "noop", "queue": "default", "priority": 0, "tries": 1, "timeout": None, **fields}
    return [row.id for row in store.run(insert_jobs, NewJob(**given), ["{}"] * number)]


def count_jobs(store: Database) -> int:
    with store.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(JOBS)).scalar_one())


def change(store: Database, job_id: int, **values: Any) -> None:
    """Set columns behind the product's back."""
    with store.transaction() as connection:
        connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(**values))


def row_of(store: Database, job_id: int) -> Any:
    with store.reading() as connection:
        return connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one()


def statuses(store: Database, ids: Sequence[int]) -> list[str]:
    return [row_of(store, job_id).status for job_id in ids]


def attempts_of(store: Database, job_id: int) -> list[Any]:
    with store.reading() as connection:
        query = select(ATTEMPTS).where(ATTEMPTS.c.jobman_id == job_id).order_by(ATTEMPTS.c.id)
        return list(connection.execute(query).all())


def failed_rows(store: Database, job_id: int) -> list[Any]:
    with store.reading() as connection:
        return list(connection.execute(select(FAILED_JOBS).where(FAILED_JOBS.c.jobman_id == job_id)).all())


@contextmanager
def counted_commits(store: Database) -> Iterator[list[int]]:
    """A list that gains an element at each COMMIT of a write, and at each write that commits by itself."""
    seen: list[int] = []
    engines = [store.engine, store._alone] if store.dialect.commits_alone else [store.engine]

    def committed(connection: Any) -> None:
        if not connection.get_execution_options().get("jobman_read"):
            seen.append(1)

    def sent(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        alone = getattr(connection.connection.driver_connection, "autocommit", False) is True
        if alone and store.dialect.commits_alone and not statement.startswith("SELECT"):
            seen.append(1)

    events = (("commit", committed), ("after_cursor_execute", sent))
    for engine, (name, listener) in product(engines, events):
        event.listen(engine, name, listener)
    try:
        yield seen
    finally:
        for engine, (name, listener) in product(engines, events):
            event.remove(engine, name, listener)
