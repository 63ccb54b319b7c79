"""`jobman doctor`: well on every database and engine; each trouble is made for real and found."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_app import App
from rig import add_jobs, add_worker, change
from servers import PostgresServer, RedisServer
from sqlalchemy import text

from jobman_cli.dashboard import view
from jobman_cli.operations import doctor as doctor_module
from jobman_cli.store import health
from jobman_cli.store.database import Database
from jobman_cli.store.schema import upgrade

DAY = 86_400
Doctor = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def examine(app: App) -> Doctor:
    def run(*flags: str, code: int = 0) -> dict[str, dict[str, Any]]:
        result = app(*flags, "doctor", "--json")
        assert result.code == code, result.out
        for each in result.json:
            assert list(each) == ["check", "verdict", "line", "remedy"]
            assert each["verdict"] in ("ok", "skip") or each["remedy"]
        assert len({each["check"] for each in result.json}) == len(result.json)
        return {each["check"]: each for each in result.json}

    return run


@pytest.fixture
def sqlite(app: App, sqlite_template: Path) -> Iterator[Database]:
    """The application's own file, with tables, at the default place."""
    path = app.path / "var/jobman.db"
    path.parent.mkdir()
    path.write_bytes(sqlite_template.read_bytes())
    path.chmod(0o600)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(autouse=True)
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says the dashboard's assets are built: there, whether somebody has built them or not."""
    made = tmp_path / "static" / "vendor" / "made-from"
    made.parent.mkdir(parents=True)
    made.touch()
    monkeypatch.setattr(view, "ASSETS", made)
    return made


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def worst(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: each["verdict"] for name, each in results.items() if each["verdict"] != "ok"}


def test_a_new_project_is_well_and_left_alone(app: App, examine: Doctor) -> None:
    assert worst(examine()) == {}
    assert not (app.path / "var").exists()


def test_for_people(app: App) -> None:
    app.configure("modules: [no_such_module]\n")
    result = app("doctor")
    assert result.code == 78
    assert "ok    configuration: " in result.out
    assert "fail  plugins: cannot be used: " in result.out and "      → " in result.out
    assert "1 failed" in result.err


def test_every_database_and_engine(app: App, examine: Doctor, database_url: str, queue_url: str) -> None:
    database = Database(database_url)
    upgrade(database)
    app.ok("--database", database_url, "--queue-url", queue_url, "dispatch", "hello")
    add_worker(database)
    found = examine("--database", database_url, "--queue-url", queue_url)
    assert worst(found) == {}, found
    assert found["database"]["line"].split()[0] in health.LEAST
    assert ("Redis" in found["redis"]["line"]) == (queue_url != "database")
    database.close()


def test_a_broken_configuration(app: App, examine: Doctor) -> None:
    app.configure("lease: soon\nfrobnicate: 1\n")
    found = examine(code=78)
    assert list(found) == ["configuration"]
    assert "jobman.yaml:1" in found["configuration"]["line"]


def test_plugins_own_checks(app: App, examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no key")

    monkeypatch.setattr(
        "jobman_cli.hooks.registry.Registry.doctor_checks",
        lambda _self: {"p: good": lambda: None, "p: bad": lambda: "no disk: buy one", "p: broken": broken},
    )
    found = examine(code=1)
    assert worst(found) == {"p: bad": "fail", "p: broken": "fail"}
    assert found["p: bad"]["line"] == "no disk: buy one"
    assert "RuntimeError: no key" in found["p: broken"]["line"]


def test_assets_that_are_not_built(
    app: App, examine: Doctor, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examine()["dashboard"]["verdict"] == "ok"
    assets.unlink()
    found = examine()
    assert worst(found) == {"dashboard": "warn"}, "the pages work without, so it is no failure"
    assert str(assets.parent) in found["dashboard"]["line"]
    assert "make frontend" in found["dashboard"]["remedy"]
    assert "jobman-cli[dashboard]" in found["dashboard"]["remedy"]
    assert "warn  dashboard: " in app("doctor").out
    monkeypatch.setitem(sys.modules, "babel", None)
    for name in [name for name in sys.modules if name.startswith("jobman_cli.dashboard")]:
        monkeypatch.delitem(sys.modules, name)
    found = examine()
    assert worst(found) == {}, "who has no dashboard misses nothing"
    assert "not installed (babel is missing)" in found["dashboard"]["line"]


def test_a_check_that_hangs_is_left_behind(
    app: App, examine: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_module, "PATIENCE", 0.2)
    monkeypatch.setattr(
        "jobman_cli.hooks.registry.Registry.doctor_checks",
        lambda _self: {"p: slow": lambda: time.sleep(5)},
    )
    began = time.monotonic()
    assert worst(examine(code=1)) == {"p: slow": "fail"}
    assert time.monotonic() - began < 4


def test_servers_that_are_not_there(examine: Doctor) -> None:
    found = examine("--database", "postgresql://x@127.0.0.1:1/x", code=69)
    assert worst(found) == {
        "database": "fail",
        **dict.fromkeys(
            ("tables", "lines", "clock", "stuck jobs", "workers", "old jobs", "schedule"), "skip"
        ),
    }
    found = examine("--queue-url", "redis://127.0.0.1:1/0", code=69)
    assert worst(found) == {
        "redis": "fail",
        **dict.fromkeys(("redis eviction", "redis memory", "lines"), "skip"),
    }


def test_frozen_servers_cost_seconds(examine: Doctor, own_redis: RedisServer) -> None:
    with PostgresServer() as postgres:
        url = postgres.database("frozen")
        database = Database(url)
        upgrade(database)
        database.close()
        own_redis.send_signal(signal.SIGSTOP)
        postgres.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            found = examine("--database", url, "--queue-url", own_redis.url, code=69)
        finally:
            own_redis.thaw()
            postgres.thaw()
    assert time.monotonic() - began < 15
    assert found["database"]["verdict"] == found["redis"]["verdict"] == "fail"


def test_tables_that_are_missing_or_newer(examine: Doctor, postgres_url: str, sqlite: Database) -> None:
    found = examine("--database", postgres_url, code=78)
    assert found["tables"]["remedy"] == "Run `jobman db upgrade`."
    with sqlite.transaction() as connection:
        connection.execute(text("UPDATE jobman_alembic_version SET version_num = '9999'"))
    found = examine(code=78)
    assert found["tables"]["verdict"] == "fail" and "9999" in found["tables"]["line"]


def test_a_database_that_is_too_old(
    examine: Doctor, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(health.LEAST, "SQLite", (99,))
    found = examine(code=78)
    assert found["database"]["verdict"] == "fail" and "99 is the least" in found["database"]["line"]


def test_the_file(app: App, examine: Doctor, sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    path = app.path / "var/jobman.db"
    path.chmod(0o644)
    found = examine()
    assert worst(found) == {"database file": "warn"} and "chmod 600" in found["database file"]["remedy"]
    with monkeypatch.context() as patch:
        patch.setattr(health, "file_system", lambda _path: "nfs4")
        assert "nfs4" in examine(code=78)["database file"]["line"]
    path.write_bytes(b"this is no database, but it is long enough to be looked at " * 50)
    assert examine(code=69)["database"]["verdict"] == "fail"


def test_a_directory_that_cannot_be_written(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_args, **_more: False)  # root may write everywhere
    assert examine(code=1)["database file"]["verdict"] == "fail"


def test_stuck_and_old_jobs(examine: Doctor, sqlite: Database) -> None:
    first, pending, overdue, old = add_jobs(sqlite, 4)
    with sqlite.transaction() as connection:
        set_ = "UPDATE jobmans SET {} WHERE id = {}"
        ago = "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{} seconds')".format
        for values, job_id in (
            ("status = 'running', worker_id = 'nobody'", first),
            (f"status = 'pending', queued_at = {ago(3600)}", pending),
            (f"status = 'scheduled', available_at = {ago(3600)}", overdue),
            (f"status = 'completed', created_at = {ago(200 * DAY)}", old),
        ):
            connection.execute(text(set_.format(values, job_id).replace(":%", r"\:%")))
    found = examine()
    assert worst(found) == {"stuck jobs": "warn", "workers": "warn", "old jobs": "warn"}
    line = found["stuck jobs"]["line"]
    assert "1 job running without a live worker" in line
    assert "1 job pending" in line and "1 job scheduled and overdue" in line
    assert "jobman prune --days 180" in found["old jobs"]["remedy"]
    change(sqlite, first, worker_id=add_worker(sqlite))
    assert "running" not in examine()["stuck jobs"]["line"]


def test_a_queue_that_nobody_serves(examine: Doctor, sqlite: Database) -> None:
    add_jobs(sqlite, queue="mail")
    assert "no live worker" in examine()["workers"]["line"]
    add_worker(sqlite)
    found = examine()["workers"]
    assert found["line"].endswith("nobody serves: mail")
    assert found["remedy"] == "Start one: jobman run-worker --queue mail"


def test_the_clock(examine: Doctor, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(postgres_url)
    upgrade(database)
    with database.transaction() as connection:
        # A server that is a minute ahead: ours is found first.
        connection.execute(text("CREATE SCHEMA ahead"))
        connection.execute(
            text(
                "CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
                "$$ SELECT pg_catalog.clock_timestamp() + interval '1 minute' $$"
            )
        )
        connection.execute(text("ALTER ROLE postgres SET search_path = ahead, pg_catalog, public"))
    database.close()
    try:
        found = examine("--database", postgres_url)
        assert worst(found) == {"clock": "warn"} and "60.0 s" in found["clock"]["line"]
    finally:
        with database.transaction() as connection:
            connection.execute(text("ALTER ROLE postgres RESET search_path"))
        database.close()


# Redis


def configure(redis: RedisServer, **values: str) -> None:
    with redis.client() as client:
        for name, value in values.items():
            client.config_set(name.replace("_", "-"), value)


def test_redis_that_throws_away(app: App, examine: Doctor, own_redis: RedisServer) -> None:
    configure(own_redis, maxmemory_policy="allkeys-lru")
    found = examine("--queue-url", own_redis.url, code=1)
    assert not (app.path / "var").exists()
    assert worst(found) == {"redis eviction": "fail"} and "allkeys-lru" in found["redis eviction"]["line"]
    configure(own_redis, maxmemory_policy="volatile-lru")
    assert worst(examine("--queue-url", own_redis.url)) == {"redis eviction": "warn"}


def test_redis_that_is_nearly_full(examine: Doctor, own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.eval("redis.call('SET', 'other', string.rep('x', 50000000))", 0)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))
    found = examine("--queue-url", own_redis.url)
    assert worst(found) == {"redis memory": "warn"}


def test_redis_that_cannot_be_written(examine: Doctor, own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.replicaof("127.0.0.1", "1")
    found = examine("--queue-url", own_redis.url, code=78)
    assert "replica" in found["redis"]["line"]


def test_redis_that_asks_for_a_password(examine: Doctor, own_redis: RedisServer) -> None:
    configure(own_redis, requirepass="hush")
    found = examine("--queue-url", own_redis.url.replace("//", "//:wrong@"), code=69)
    assert found["redis"]["verdict"] == "fail" and "wrong" not in str(found)


def test_a_line_that_was_lost(
    app: App, examine: Doctor, sqlite: Database, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobman_cli.operations.doctor_queue.UNDERWAY", 0.0)
    flags = ("--queue-url", own_redis.url)
    app.ok(*flags, "dispatch", "hello")
    add_worker(sqlite)
    assert worst(examine(*flags)) == {}
    own_redis.flush()
    found = examine(*flags)
    assert worst(found) == {"lines": "warn"} and "1 of 1 rows" in found["lines"]["line"]
    assert "requeue --unqueued" in found["lines"]["remedy"]


def test_rubbish_in_a_line(app: App, examine: Doctor, sqlite: Database, own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.zadd("jobman:queue:default", {"rubbish": 1, f"{77:019}": 2})
    found = examine("--queue-url", own_redis.url)
    assert worst(found) == {"lines": "warn"}
    assert "1 member(s) without a row, 1 that are no ids" in found["lines"]["line"]


def test_it_stays_quick_with_many_rows(examine: Doctor, sqlite: Database, own_redis: RedisServer) -> None:
    for _ in range(10):
        add_jobs(sqlite, 3000)
    with sqlite.transaction() as connection:
        connection.execute(text("UPDATE jobmans SET queued_at = '2020-01-01 00:00:00.000000'"))
    began = time.monotonic()
    found = examine("--queue-url", own_redis.url)
    assert time.monotonic() - began < 5
    assert "2,000 of 2,000" in found["lines"]["line"]
