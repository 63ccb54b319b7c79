"""`try`: options from a signature, and what becomes of the job."""

from __future__ import annotations

import pytest
from cli_app import App


def stored(app: App, *arguments: str) -> dict:
    return app.ok("try", *arguments, "--no-wait", "--json").json["attribs"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"either": 3, "colour": "red", "literal": 1, "items": [1], "loud": True, "maybe": None}),
        (["--either", "5"], {"either": 5}),
        (["--either", "five"], {"either": "five"}),
        (["--when", "2024-02-03"], {"when": "2024-02-03"}),
        (["--colour", "blue", "--literal", "two"], {"colour": "blue", "literal": "two"}),
        (["--literal", "1"], {"literal": 1}),
        (["--items", "1", "--items", "2"], {"items": [1, 2]}),
        (["--words", "1", "--words", "b c"], {"words": ["1", "b c"]}),
        (["--point", '{"x": 5}'], {"point": {"x": 5, "y": 2.0}}),
        (["--mapping", '{"a": 1}'], {"mapping": {"a": 1}}),
        (["--no-loud", "--maybe"], {"loud": False, "maybe": True}),
        (["--no-maybe"], {"maybe": False}),
        (
            ["--points", '{"x": 1}', "--points", '{"x": 2}'],
            {"points": [{"x": 1, "y": 2.0}, {"x": 2, "y": 2.0}]},
        ),
        (["--anything", "[1, null]"], {"anything": [1, None]}),
        (["--anything", "just text"], {"anything": "just text"}),
        (["--ratio", "1e3", "--pair", '[2, "z"]'], {"ratio": 1000.0, "pair": [2, "z"]}),
        (["--long-name", "123"], {"long_name": "123"}),
        (["--long-name", ""], {"long_name": ""}),
    ],
)
def test_values(app: App, arguments: list[str], expected: dict) -> None:
    attribs = stored(app, "kinds", "--number", "7", *arguments)
    assert attribs["number"] == 7
    assert {key: attribs[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--number"),
        (["--number", "seven"], "number"),
        (["--number", "1", "--few", "9"], "few"),
        (["--number", "1", "--colour", "green"], "colour"),
        (["--number", "1", "--point", '{"x": "?"}'], "point.x"),
        (["--number", "1", "--mapping", "{"], "mapping"),
        (["--number", "1", "--numbr", "1"], "--numbr"),
        (["--number", "1", "--when", "tomorrow"], "when"),
        (["--number", "1", "extra"], "extra"),
    ],
)
def test_bad_values_name_the_option(app: App, arguments: list[str], word: str) -> None:
    assert word in app.refused(2, "try", "kinds", *arguments)
    assert app.count() == 0


def test_parameters_named_like_options_of_try(app: App) -> None:
    arguments = ["--attrib-queue", "a", "--attrib-wait", "--attrib-tag", "t", "--attrib-json", "4"]
    row = app.ok(
        "try", "collide", *arguments, "--attrib-help", "h", "--queue", "b", "--no-wait", "--json"
    ).json
    assert row["attribs"] == {"queue": "a", "wait": True, "tag": ["t"], "json": 4, "help": "h"}
    assert row["queue"] == "b"


def test_help_shows_the_docstring_and_lists_the_types(app: App) -> None:
    said = app.ok("try", "hello", "--help").out
    for text in ("Say hello.", "whom it is told to", "Whom to greet.", '[default: "world"]', "--no-wait"):
        assert text in said
    assert "Args:" not in said
    listed = app.ok("try", "--help").out
    assert "hello" in listed and "Take all kinds." in listed


def test_options_of_the_dispatch(app: App) -> None:
    options = ["--queue", "slow", "--priority", "5", "--tag", "a", "--tag", "b", "--delay", "2h"]
    row = app.ok("try", "hello", *options, "--no-wait", "--json").json
    assert (row["queue"], row["priority"], row["tags"], row["status"]) == ("slow", 5, ["a", "b"], "scheduled")
    assert row["available_at"] > row["created_at"]


@pytest.mark.parametrize(
    "options",
    [
        ["--delay", "soon"],
        ["--delay", "-1"],
        ["--priority", "2000"],
        ["--queue", "a queue"],
        ["--tag", ""],
        ["--sync", "--no-wait"],
        ["--sync", "--delay", "3"],
    ],
)
def test_bad_options(app: App, options: list[str]) -> None:
    app.refused(2, "try", "hello", *options)
    assert app.count() == 0


def test_without_a_worker_it_says_how_to_start_one(app: App) -> None:
    result = app.ok("try", "elsewhere")
    assert "jobman run-worker --queue other" in result.err
    assert "queued" in result.out


def test_sync_runs_it_here(app: App) -> None:
    result = app.ok("try", "hello", "--name", "Ada", "--sync")
    assert "completed, greeted" in result.out
    assert "Hello, Ada" in result.err
    row = app.ok("show", 1, "--json").json
    assert (row["status"], row["attempts"], row["claims"]) == ("completed", 1, 1)
    assert row["progress"] == {"done": 1, "total": 2}


def test_sync_records_one_attempt(app: App) -> None:
    result = app("try", "hello", "--boom", "1", "--sync", "--json")
    assert result.code == 1
    assert (result.json["status"], result.json["error_message"]) == ("scheduled", "ValueError: boom world")
    (attempt,) = app.ok("show", 1, "--json").json["history"]
    assert (attempt["number"], attempt["outcome"]) == (1, "error")


def test_sync_has_the_timeout(app: App) -> None:
    result = app("try", "quick", "--sync", "--json")
    assert (result.code, result.json["status"]) == (1, "failed")
    assert "timed out after 0.3 s" in result.json["error_message"]


@pytest.mark.parametrize("arguments", [["try", "helo"], ["dispatch", "helo"], ["types", "helo"]])
def test_an_unknown_type_names_the_nearest(app: App, arguments: list[str]) -> None:
    assert "did you mean 'hello'?" in app.refused(2, *arguments)


def test_options_before_the_type(app: App) -> None:
    assert "follow the type" in app.refused(2, "try", "--sync", "hello")
