"""Fixtures: servers of the tests' own, started when first asked for; and a summary of what was not run.

A suite that takes `database_url` and `queue_url` is run against every database and every engine. Servers
are shared by the whole run; what one test does to them (stop, freeze, flush) is undone before the next.
"""

from __future__ import annotations

import itertools
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzzing import TRIED
from processes import JobmanProcess
from processes import start_jobman as start_process
from provision import DATABASES, ENGINES, provide
from servers import DatabaseServer, MariaDBServer, PostgresServer, RedisServer

pytest_plugins = ["rig"]

# A run in the background ignores SIGINT, and so would all that it starts, which must notice it here.
signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = itertools.count(1)
_unstarted: dict[str, None] = {}  # in order


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    yield from provide(RedisServer)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    yield from provide(PostgresServer)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    yield from provide(MariaDBServer)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of a running, empty Redis."""
    redis_server.ensure_running().flush()
    return redis_server.url


def fresh_database(server: DatabaseServer) -> Iterator[str]:
    name = f"jobman_{next(_numbers)}"
    yield server.ensure_running().database(name)
    server.ensure_running().drop(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobman.db'}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    yield from fresh_database(postgres_server)


@pytest.fixture
def mariadb_url(mariadb_server: MariaDBServer) -> Iterator[str]:
    yield from fresh_database(mariadb_server)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database, once for each kind.

    To choose kinds: `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
    """
    fixtures = {"sqlite": "sqlite_url", "postgresql": "postgres_url", "mariadb": "mariadb_url"}
    return request.getfixturevalue(fixtures[request.param])


@pytest.fixture(params=ENGINES)
def queue_url(request: pytest.FixtureRequest) -> str:
    """What `queue:` in the configuration says, once for each engine; Redis is empty."""
    return "database" if request.param == "database" else request.getfixturevalue("redis_url")


@pytest.fixture
def start_jobman() -> Iterator[Callable[..., JobmanProcess]]:
    """Start `jobman ARGS` in the background (`env=`, `cwd=`); the test's end is its end."""
    started: list[JobmanProcess] = []

    def start(*args: str | int, **options: object) -> JobmanProcess:
        started.append(start_process(*args, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def pytest_collection_finish(session: pytest.Session) -> None:
    _unstarted.update(dict.fromkeys(item.nodeid for item in session.items))


def pytest_runtest_logstart(nodeid: str) -> None:
    _unstarted.pop(nodeid, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run and why: a skip must never look like a pass."""
    left_out: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        left_out[reason.removeprefix("Skipped: ")].append(report.nodeid)
    for report in terminalreporter.stats.get("error", []):
        if isinstance(report, pytest.CollectReport):
            left_out["could not be collected"].append(report.nodeid)
    for item in terminalreporter.stats.get("deselected", []):
        left_out["deselected on the command line"].append(item.nodeid)
    if _unstarted:
        left_out["the run ended before their turn"] = list(_unstarted)

    if TRIED:
        terminalreporter.section("fuzzed inputs")
        for kind, number in sorted(TRIED.items()):
            terminalreporter.write_line(f"{kind}: {number:,}")
    terminalreporter.section("not run")
    for reason, nodeids in sorted(left_out.items()):
        terminalreporter.write_line(reason)
        for file, number in sorted(Counter(nodeid.partition("::")[0] for nodeid in nodeids).items()):
            terminalreporter.write_line(f"    {file}: {number} test{'s' if number > 1 else ''}")
    if not left_out:
        terminalreporter.write_line("nothing was left out")
