"""`dispatch` and `types`: attribs as JSON, and what a type takes."""

from __future__ import annotations

import io
import json
import sys

import pytest
from cli_app import App


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_one(app: App) -> None:
    row = app.ok("dispatch", "hello", '{"name": "Ada"}', "--tag", "x", "--json").json
    assert row["attribs"] == {"name": "Ada", "boom": 0}
    assert (row["id"], row["status"], row["tags"]) == (1, "queued", ["x"])
    assert "job 2 (hello): queued" in app.ok("dispatch", "hello").out


def test_json_lines_become_many(app: App, stdin) -> None:
    stdin('\n{"name": "a"}\n\n{"name": "b"}\n{}\n')
    counts = {"count": 3, "there": 0, "first_id": 1, "last_id": 3}
    assert app.ok("dispatch", "hello", "-", "--json").json == counts
    stdin('{"name": "a"}\n{"name": "b"}\n')
    assert "2 jobs dispatched, ids 4 to 5" in app.ok("dispatch", "hello", "-").out
    names = [row["attribs"]["name"] for row in app.ok("jobs", "--json").json]
    assert names == ["b", "a", "world", "b", "a"]


def test_one_object_on_stdin_may_span_lines(app: App, stdin) -> None:
    stdin('{\n"name": "Ada"\n}\n')
    assert app.ok("dispatch", "hello", "-", "--json").json["attribs"]["name"] == "Ada"
    stdin('{"name": "Bob"}')
    assert app.ok("dispatch", "hello", "-", "--json").json["id"] == 2


@pytest.mark.parametrize(
    "attribs",
    [
        "{",
        "",
        "[]",
        "1",
        "null",
        "name=Ada",
        '{"nam": "Ada"}',
        '{"name": 5}',
        '{"name": "a\\u0000b"}',
        '{"name": "\\ud800"}',
        '{"boom": NaN}',
        '{"boom": 1e999}',
        '{"boom": 99999999999999999999}',
        '{"name": ' + "[" * 1000 + "]" * 1000 + "}",
        "[" * 100_000,
        json.dumps({"name": "x" * 1_048_577}),
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_bad_attribs_write_nothing(app: App, attribs: str, stdin) -> None:
    app.refused(2, "dispatch", "hello", attribs)
    stdin(attribs)
    app.refused(2, "dispatch", "hello", "-")
    assert app.count() == 0


def test_a_bad_line_is_named(app: App, stdin) -> None:
    stdin('{"name": "a"}\n{"name": 5}\n')
    assert "number 1" in app.refused(2, "dispatch", "hello", "-")
    stdin('{"name": "a"}\n{"name": \n')
    assert "line 2" in app.refused(2, "dispatch", "hello", "-")
    stdin('{"name": \n{"name": "a"}\n')
    assert "line 1" in app.refused(2, "dispatch", "hello", "-")


def test_types(app: App) -> None:
    listed = app.ok("types", "--json").json
    assert [each["name"] for each in listed] == [
        "alone",
        "collide",
        "elsewhere",
        "hello",
        "kinds",
        "quick",
        "secret",
    ]
    assert listed[3] == {
        "name": "hello",
        "description": "Say hello.",
        "queue": "default",
        "tries": 3,
        "timeout": 60.0,
        "backoff": [3600.0],
        "unique": False,
        "priority": 0,
        "tags": [],
        "origin": "jobs_of_a_test:hello",
    }
    assert "Say hello." in app.ok("types").out


def test_one_type_in_full(app: App) -> None:
    shown = app.ok("types", "hello", "--json").json
    assert shown["parameters"][0] == {
        "name": "name",
        "required": False,
        "default": "world",
        "help": "Whom to greet.",
    }
    assert shown["schema"]["properties"]["boom"]["type"] == "integer"
    assert "Whom to greet." in app.ok("types", "hello").out


def test_no_types_at_all(app: App) -> None:
    app.configure("modules: []\n")
    assert "`modules:`" in app.ok("types").err
    assert app.ok("types", "--json").json == []
