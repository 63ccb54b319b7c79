"""The database away, frozen, cut off, and workers whose clock is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from proxy import Proxy
from scene import HERE, LONG, Scene, pick
from servers import DatabaseServer, PostgresServer
from sqlalchemy import make_url, select

from jobman_cli.store.queries import find_job
from jobman_cli.store.tables import SCHEDULE_FIRES

RESUME = 5.0
SERVERS = {"postgresql-redis": "postgres_server", "mariadb-redis": "mariadb_server"}


@pytest.mark.parametrize("combination", [*SERVERS] if LONG else ["postgresql-redis"])
def test_away_while_results_are_in_hand(
    make_scene: Any, request: pytest.FixtureRequest, combination: str
) -> None:
    """T6: ten seconds, far beyond the lease. Workers stay alive, nobody is judged early, nothing is lost."""
    scene: Scene = make_scene(combination)
    server: DatabaseServer = request.getfixturevalue(SERVERS[combination])
    supervisors = [scene.supervisor(2), scene.supervisor(1)]
    pids = {child.pid for each in supervisors for child in each.family()}
    names = ("one", "two", "three")
    jobs = [scene.dispatch("held_plain", gate=str(scene.gate(name))) for name in names]
    for name in names:
        scene.until_started(1, name)
    waiting = [scene.dispatch("effect") for _ in range(20)]
    server.kill()
    time.sleep(1)
    for name in names:
        scene.gate(name).touch()  # they return, and their results wait in three hands
    time.sleep(pick(9, 29))
    server.start()
    back = time.monotonic()
    scene.until(waiting[-1], "completed", timeout=RESUME)
    print(f"{combination}: resumed {time.monotonic() - back:.2f} s after the database was back")
    scene.drain(20)
    for job in jobs:
        row = scene.row(job)
        assert (row.status, row.attempts, row.claims, row.rescues) == ("completed", 1, 1, 0)
    time.sleep(4)  # a judge that became steady must find everybody alive
    assert {worker.state for worker in scene.workers()} == {"running"}
    assert {child.pid for each in supervisors for child in each.family()} == pids


@pytest.mark.parametrize("combination", SERVERS)
def test_an_application_that_waits_does_not_notice_a_restart(
    make_scene: Any, request: pytest.FixtureRequest, combination: str
) -> None:
    """Its pools hold connections that the server has ended; each call gets one that works."""
    scene: Scene = make_scene(combination)
    server: DatabaseServer = request.getfixturevalue(SERVERS[combination])
    jobs = [scene.dispatch("plain") for _ in range(2)]
    for end in (server.stop, server.kill):
        scene.store.read(find_job, jobs[0])
        end()
        server.start()
        jobs.append(scene.dispatch("plain"))
        assert scene.store.read(find_job, jobs[-1]) is not None
    assert len(scene.rows()) == len(jobs) == 4


@pytest.mark.parametrize("how", ["stop", "crash", "freeze"])
def test_troubles_under_load(make_scene: Any, postgres_server: PostgresServer, how: str, seed: int) -> None:
    """T6: the server stopped, killed, frozen, again and again, while jobs complete themselves."""
    scene: Scene = make_scene("postgresql-redis", seed)
    supervisors = [scene.supervisor(2) for _ in range(2)]
    scene.client(pick(200, 1500), "effect", pause=0.005, ms=5)
    scene.client(pick(200, 1500), "plain", pause=0.005, ms=3)
    wait_until(lambda: scene.completed() > 5, 20, "the first jobs")
    for _ in range(pick(1 if how == "freeze" else 2, 10)):
        time.sleep(scene.random.uniform(0.2, 0.5))
        if how == "freeze":
            postgres_server.freeze()
            time.sleep(pick(6, 8))
            postgres_server.thaw()
        else:
            postgres_server.stop() if how == "stop" else postgres_server.kill()
            time.sleep(scene.random.uniform(0, 1))
            postgres_server.start()
        back, seen = time.monotonic(), scene.completed()
        scene.until_work_goes_on(seen, RESUME)
        print(f"resumed {time.monotonic() - back:.2f} s after {how}")
    verdict = scene.drain(60)
    assert verdict.facts["states"] == {"completed": verdict.facts["rows"]}
    assert verdict.facts["rescues"] == 0, scene.last_words()
    assert all(each.running for each in supervisors)


def test_a_supervisor_ends_although_the_database_is_frozen(
    make_scene: Any, postgres_server: PostgresServer
) -> None:
    """A stopped server can block a query for ever; the supervisor still answers TERM, and its job is safe."""
    scene: Scene = make_scene("postgresql-redis", shutdown_timeout=1)
    supervisor = scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    scene.gate().touch()
    postgres_server.freeze()
    time.sleep(2)
    supervisor.terminate()
    supervisor.wait(20)  # each question to the database is bounded by 2 s, and there are several
    postgres_server.thaw()
    scene.supervisor()
    scene.drain(20)
    assert scene.row(job).status == "completed"


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[Proxy]:
    proxy = Proxy(postgres_server.port)
    yield proxy
    proxy.close()


def behind(proxy: Proxy, url: str) -> str:
    """The same database through the proxy; without TLS, so that the proxy reads COMMIT."""
    changed = (
        make_url(url).set(port=proxy.port).update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
    )
    return changed.render_as_string(hide_password=False)


@pytest.mark.parametrize("fault", ["cut", "blackhole", "half_open", "commit"])
def test_the_way_to_the_database_breaks(
    make_scene: Any, proxy: Proxy, postgres_url: str, fault: str, seed: int
) -> None:
    """T7: 0 lost, 0 doubled, no hang above 10 s, and COMMITs without an answer are resolved."""
    scene: Scene = make_scene("postgresql-redis", seed)
    # A job's own query may take as long as it likes: what bounds it is the job's timeout.
    scene.configure(jobs={"effect": {"timeout": 3}})
    scene.configure(database=behind(proxy, postgres_url))
    scene.supervisor(2)
    number = pick(150, 1500)
    scene.configure(database=postgres_url)  # the client's own way is whole
    scene.client(number, "effect", pause=0.003, ms=3)
    scene.client(number, "plain", pause=0.003, ms=1)
    wait_until(lambda: scene.completed() > 5, 20, "the first jobs")
    for _ in range(pick(2, 15)):
        time.sleep(scene.random.uniform(0.1, 0.3))
        if fault == "cut":
            proxy.cut()
        elif fault == "commit":
            proxy.cut_on_commit(scene.random.randrange(1, 6))
        else:
            proxy.mode = fault
            time.sleep(1)
            # What was said meanwhile is lost; the connections stay open and never answer again.
            proxy.mode = "pass"
        if fault in ("blackhole", "half_open"):
            seen = scene.completed()
            scene.until_work_goes_on(seen, 10)
    verdict = scene.drain(60)
    assert verdict.facts["states"] == {"completed": verdict.acknowledged}
    if fault == "commit":
        assert proxy.commits_cut >= pick(2, 15)


SHIFTS = {"an hour back": -3600, "an hour ahead": 3600, "a day back": -86400, "a day ahead": 86400}


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that shifts one process's wall clock."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "no C compiler for the clock shim: `apt-get install gcc`"
        )
    library = tmp_path_factory.mktemp("shim") / "clock_shift.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "clock_shift.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


@pytest.mark.parametrize(
    ("combination", "shift"),
    [(name, shift) for name in ("sqlite-database", "postgresql-redis") for shift in SHIFTS]
    if LONG
    else [("sqlite-database", "an hour back"), ("postgresql-redis", "a day ahead")],
)
def test_a_clock_that_is_wrong(make_scene: Any, shim: Path, combination: str, shift: str) -> None:
    """T9: one supervisor's wall clock is off; nobody is rescued early, nothing runs before its time or twice.

    On SQLite each process's clock is the database's, so there only what does not depend on it is asked for.
    """
    ticking = "postgresql" in combination
    schedule = [{"name": "tick", "every": 1, "job": "effect"}] if ticking else []
    scene: Scene = make_scene(combination, schedule=schedule)
    opened = datetime.now(UTC)
    shifted = {"LD_PRELOAD": str(shim), "CLOCK_SHIFT": str(SHIFTS[shift])}
    probe = ["python3", "-c", "import time; print(int(time.time()))"]
    said = int(
        subprocess.run(probe, env=shifted | {"PATH": "/usr/bin:/bin"}, capture_output=True, check=True).stdout
    )
    assert abs(said - time.time() - SHIFTS[shift]) < 5, "the shim does not shift"
    scene.supervisor(1)
    scene.supervisor(1, env=shifted)
    scene.client(60, "effect", pause=0.02, ms=2)
    held = [scene.dispatch("held", gate=str(scene.gate(name))) for name in ("a", "b")]
    scene.until_started(1, "a")
    scene.until_started(1, "b")
    later = scene.acknowledge(scene.jobman.dispatch("effect", {}, delay=2).id) if ticking else None
    began = time.monotonic()
    if later:
        time.sleep(1.5)
        assert scene.row(later).status == "scheduled"
    wait_until(lambda: time.monotonic() - began > 5, 10)
    assert {worker.state for worker in scene.workers()} == {"running"}
    for name in ("a", "b"):
        scene.gate(name).touch()
    verdict = scene.drain(20)
    assert verdict.facts["rescues"] == 0
    assert [scene.row(job).claims for job in held] == [1, 1]
    if ticking:
        fires = scene.ask(select(SCHEDULE_FIRES.c.fire_at, SCHEDULE_FIRES.c.jobman_id))
        times, jobs = {row.fire_at for row in fires}, {row.jobman_id for row in fires}
        assert len(fires) == len(times) == len(jobs) >= 4, "each time fires once, and one job"
        assert opened - timedelta(seconds=1) <= min(times) <= max(times) <= datetime.now(UTC)
