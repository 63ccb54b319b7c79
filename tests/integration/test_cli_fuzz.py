"""Any arguments, any attribs: a documented exit code, no traceback, no hang, and a 2 that changed nothing."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

import pytest
from cli_app import App
from fuzzing import many, patience, tried
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobman_cli.cli.commands import COMMANDS
from jobman_cli.cli.main import run
from jobman_cli.hooks import loader

CODES = {0, 1, 2, 69, 78, 130}
#: Seconds that no call may reach; a busy machine is allowed for.
LONGEST = 2.0
#: They run on until somebody ends them. What makes `run-worker` end is given to it below.
ENDLESS = {"run-worker", "supervise", "dashboard"}
WORDS = [name for name in COMMANDS if name not in ENDLESS]
#: What keeps a command from waiting for what never comes, and from ending processes; no argument undoes it.
TAMED = {"wait": ["--timeout", "0"], "rescue": ["--no-wait"], "purge": ["--dry-run"]}
FOLLOW = re.compile(r"-\w*f\w*|--follow")

JOBS = """
from jobman_cli import Fail, job

@job("hello")
def hello(
    name: str = "world", number: int = 1, ratio: float = 1.5, items: list[int] = [], more: dict = {}
) -> str:
    return name[:100]

@job("fails")
def fails() -> None:
    raise Fail("no hope")
"""
OPTIONS = [
    *(
        "--json",
        "--yes",
        "-y",
        "--dry-run",
        "--all",
        "--unqueued",
        "--include-unfinished",
        "--sync",
        "--no-wait",
    ),
    *("--status", "--type", "--queue", "--tag", "--error", "--since", "--until", "--limit", "--before"),
    *(
        "--days",
        "--hours",
        "--archive",
        "--timeout",
        "--delay",
        "--priority",
        "--name",
        "--number",
        "--items",
    ),
    *("--signal", "--watch", "--host", "--supervisor", "--for", "--silenced", "--stop-when-empty", "--once"),
    *("--concurrency", "--worker-type", "--max-jobs", "--max-time", "--memory"),
    *("--help", "--", "-", "--nonsense", "-x", "--ratio", "--more", "--ratio=nan", "--days=0", "--hours=0"),
]
VALUES = [
    *(
        "1",
        "2",
        "3",
        "4",
        "5",
        "0",
        "-1",
        "007",
        "1.5",
        "1e400",
        "nan",
        "inf",
        "all",
        "hello",
        "fails",
        "default",
    ),
    *("queued", "failed", "completed", "done", "2h", "3d", "2030-01-31", "30s", "a b", "", " ", "x" * 300),
    *("[]", "{}", "{", "null", '{"name": "Ada"}', '{"name": 1}', '{"number": NaN}', '{"name": "\\u0000"}'),
    *(
        '{"name": "\\ud800"}',
        '{"more": ' + '{"a":' * 40 + "1" + "}" * 41,
        "[" * 2000,
        "upgrade",
        "check",
        "show",
    ),
    *("list", "run", "pause", "continue", "tick", "clean", "KILL", "thread"),
    *(
        str(2**31),
        str(2**63 - 1),
        str(2**63),
        "9" * 5000,
        "\x00",
        "\ud800",
        "٣",
        "漢字",
        "\x1b[2J",
        "../x.gz",
    ),
]
ids = st.integers(-(2**65), 2**65).map(str) | st.integers(0, 9).map(str)
token = st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | ids | st.text(max_size=12)
arguments = st.tuples(st.sampled_from(WORDS) | token, st.lists(token, max_size=6)).map(
    lambda p: [p[0], *p[1]]
)
attribs = st.dictionaries(
    st.sampled_from(["name", "number", "ratio", "items", "more", "other"]) | st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=8,
    ),
    max_size=4,
)
dispatches = st.tuples(
    st.just("dispatch"), st.sampled_from(["hello", "fails"]), attribs.map(json.dumps) | st.text(max_size=30)
).map(list)
tries = st.tuples(
    st.just(["try", "hello", "--sync"]),
    st.lists(
        st.tuples(st.sampled_from(["--name", "--number", "--ratio", "--items", "--more"]), token).map(list),
        max_size=3,
    ),
).map(lambda pair: [*pair[0], *chain.from_iterable(pair[1])])
#: Each begins with what is refused, whatever follows.
refused_workers = st.tuples(
    st.sampled_from([["--nonsense"], ["--queue", "a b"], ["--queue", ""], ["-x"]]),
    st.lists(token, max_size=6),
).map(lambda pair: ["run-worker", *pair[0], *pair[1]])
well_formed = st.tuples(
    st.sampled_from(["run", "pause", "continue"]), st.sampled_from(["tick", "clean", "gone"])
)
schedules = st.one_of(
    well_formed.map(list),
    st.tuples(well_formed, st.lists(token, min_size=1, max_size=2)).map(lambda pair: [*pair[0], *pair[1]]),
    st.tuples(st.just("list") | token, st.lists(token, max_size=3)).map(lambda pair: [pair[0], *pair[1]]),
).map(lambda given_arguments: ["schedule", *given_arguments])
stdin = st.sampled_from(["", "{}", "{}\n{}\n", "x", '{"name": 1}\n', "\x00"]) | attribs.map(json.dumps)


def timed(given: list[str]) -> tuple[int, float]:
    began = time.monotonic()
    return run(given), time.monotonic() - began


class Site:
    """A SQLite database with a few jobs, and an eye on whether anybody wrote."""

    def __init__(self, app: App, directory: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self._app, self._patch, self._capsys = app, monkeypatch, capsys
        monkeypatch.setattr(
            loader, "_find_entry_points", cache(loader._find_entry_points)
        )  # a quarter of a call
        app.configure(
            f"modules: [jobs_of_a_fuzz]\ndatabase: sqlite:///{directory}/jobman.db\nschedule:\n"
            "- {name: tick, every: 3600, job: hello}\n- {name: clean, every: 3600, operation: snapshot}\n"
        )
        app.module("jobs_of_a_fuzz", JOBS)
        app("try", "fails", "--sync")
        app.ok("try", "hello", "--sync")
        app.ok("dispatch", "hello")
        app.ok("dispatch", "hello", "--delay", "1h")
        self._eye = sqlite3.connect(f"{directory}/jobman.db")
        self.codes: dict[int, int] = {}
        self.examples = 0

    def writes(self) -> int:
        """A number that moves when somebody else commits a change."""
        return int(self._eye.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        self._eye.close()

    def call(self, given: list[str], piped: str) -> None:
        if given[0] == "wait":  # the last one counts
            given = [*given, *TAMED["wait"]]
        elif given[0] in TAMED:  # flags, which nothing that follows takes back or swallows
            given = [given[0], *TAMED[given[0]], *given[1:]]
        if given[0] == "logs":
            given = [each for each in given if not FOLLOW.fullmatch(each)]
        self._patch.setattr(sys, "stdin", io.StringIO(piped))
        before = self.writes()
        code, took = timed(given)
        captured = self._capsys.readouterr()
        assert code in CODES, (code, captured)
        assert "Traceback" not in captured.err, captured  # a row may hold one
        assert "internal error" not in captured.err, captured
        assert took < LONGEST or timed(given)[1] < LONGEST, took  # twice: the machine may be busy
        if code == 2:
            assert self.writes() == before, "the database was changed"
        if code not in (0, 1):
            assert captured.err, "it says nothing"
        self.examples += 1
        tried("attribs" if given[:1] == ["dispatch"] or given[:3] == ["try", "hello", "--sync"] else "CLI")
        self.codes[code] = self.codes.get(code, 0) + 1


@pytest.fixture
def site(app: App, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Iterator[Site]:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of commits; no disk is tested
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        site = Site(app, directory, monkeypatch, capsys)
        yield site
        site.close()


def fuzz(number: int) -> Any:
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.mark.timeout(patience(300))
def test_any_arguments(site: Site) -> None:
    @fuzz(many(1300))
    @example(["retry", "987654321"], "")  # well-formed, and nothing matches
    @given(arguments, stdin)
    def check(given_arguments: list[str], piped: str) -> None:
        site.call(given_arguments, piped)

    check()
    assert site.examples >= 1300
    assert {0, 1, 2} <= set(site.codes)


@pytest.mark.timeout(patience(300))
def test_any_attribs(site: Site) -> None:
    @fuzz(many(400, 0.5))
    @given(dispatches)
    def check_dispatch(given_arguments: list[str]) -> None:
        site.call(given_arguments, "")

    @fuzz(many(400, 0.5))
    @given(tries)
    def check_try(given_arguments: list[str]) -> None:
        site.call(given_arguments, "")

    check_dispatch()
    check_try()
    assert site.examples >= 800
    assert {0, 2} <= set(site.codes)


@pytest.mark.timeout(patience(300))
def test_any_arguments_of_what_runs(site: Site) -> None:
    """`run-worker` with something that is refused, and the schedule."""

    @fuzz(75)
    @given(refused_workers)
    def check_workers(given_arguments: list[str]) -> None:
        site.call(given_arguments, "")

    @fuzz(75)
    @given(schedules)
    def check_schedule(given_arguments: list[str]) -> None:
        site.call(given_arguments, "")

    check_workers()
    assert set(site.codes) <= {0, 2}, "none began to run; 0 is a --help"
    check_schedule()
    assert site.examples >= 150
    assert {0, 2} <= set(site.codes)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--concurrency", "2", "--memory", "100000", "--max-time", "1m"],
        ["--once", "--queue", "nowhere", "--queue", "default", "--skip-broken-plugins"],
        ["--max-jobs", "1", "--worker-type", "process", "--max-time", "2"],
    ],
    ids=str,
)
def test_workers_that_end_by_themselves(site: Site, arguments: list[str]) -> None:
    assert run(["run-worker", "--stop-when-empty", *arguments]) == 0
