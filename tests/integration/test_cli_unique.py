"""Unique jobs on the command line: what is dispatched, run again, and said."""

from __future__ import annotations

import io
import sys

import pytest
from cli_app import App


def test_a_second_one_is_the_first(app: App) -> None:
    first = app.ok("dispatch", "hello", "--unique-key", "k", "--json")
    assert (first.json["unique_key"], first.err) == ("k", "")
    again = app.ok("dispatch", "hello", '{"name": "Ada"}', "--unique-key", "k", "--json")
    assert (again.json["id"], again.json["attribs"]["name"]) == (1, "world")
    assert "job 1 has this unique key and is queued: nothing was dispatched" in again.err
    assert app.count() == 1
    assert app.ok("dispatch", "hello", "--json").json["id"] > 1


def test_a_type_whose_jobs_are_unique(app: App) -> None:
    assert app.ok("dispatch", "alone", '{"note": "a"}', "--json").json["id"] == 1
    assert app.ok("try", "alone", "--note", "b", "--no-wait", "--json").json["id"] == 1
    assert app.ok("try", "alone", "--name", "Ada", "--no-wait", "--json").json["id"] > 1
    assert app.ok("types", "alone", "--json").json["unique"] == ["name"]
    shown = app.ok("types", "alone").out
    assert "unique" in shown and "'name'" in shown
    assert "unique" not in app.ok("types", "hello").out


def test_many(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = '{"name": "a"}\n{"name": "b"}\n{"name": "a"}\n'
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    result = app.ok("dispatch", "alone", "-", "--json")
    assert result.json == {"count": 2, "there": 1, "first_id": 1, "last_id": 1}
    assert "1 of 3 were there already" in result.err
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert app.ok("dispatch", "alone", "-").out == "0 jobs dispatched\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert "one job, not many" in app.refused(2, "dispatch", "alone", "-", "--unique-key", "k")
    assert app.count() == 2


def test_try_says_so_too(app: App) -> None:
    app.ok("try", "hello", "--no-wait", "--unique-key", "k")
    result = app.ok("try", "hello", "--unique-key", "k", "--json")
    assert result.json["id"] == 1
    assert "nothing was dispatched" in result.err
    said = app.refused(1, "try", "hello", "--sync", "--unique-key", "k")
    assert "nothing was run" in said
    assert app.count() == 1


@pytest.mark.parametrize("command", ["dispatch", "try"])
def test_what_is_no_key(app: App, command: str) -> None:
    assert "unique_key" in app.refused(2, command, "hello", "--unique-key", " k")
    assert app.count() == 0


def test_requeue_names_what_it_leaves(app: App) -> None:
    """Rule 13; the exit code is 1 only when nothing was queued."""
    app.ok("try", "hello", "--sync", "--unique-key", "k")
    app.ok("try", "hello", "--sync")
    app.ok("dispatch", "hello", "--unique-key", "k")
    conflicts = [{"id": 1, "unique_key": "k", "holder": 3}]
    for arguments in (["1"], ["--status", "completed", "--status", "cancelled"]):
        more = ["2"] if arguments == ["1"] else []
        result = app.ok("requeue", *arguments, *more, "--json")
        assert (result.json["queued"], result.json["conflicts"]) == (1, conflicts)
        assert "1 job left alone, another has the unique key: 1 (its key: job 3)" in result.err
        app.ok("cancel", 2)
    for arguments in (["1"], ["--status", "completed"]):
        result = app("requeue", *arguments, "--json")
        assert (result.code, result.json["queued"], result.json["conflicts"]) == (1, 0, conflicts)
    app.ok("cancel", 3)
    assert "1 job queued" in app.ok("requeue", 1).out


@pytest.mark.parametrize("everything", [False, True])
def test_retry_names_what_it_leaves(app: App, everything: bool) -> None:
    app("try", "quick", "--sync", "--unique-key", "k")
    app.ok("dispatch", "hello", "--unique-key", "k")
    arguments = ["retry", "all" if everything else "1"]
    result = app(*arguments, "--json")
    assert result.code == 1
    assert (result.json["queued"], result.json["elsewhere"]) == (0, 0)
    assert result.json["conflicts"] == [{"id": 1, "unique_key": "k", "holder": 2}]
    assert "job 2" in result.err
    assert "somebody else" not in result.err
    assert [row["jobman_id"] for row in app.ok("failed", "--json").json] == [1]
    app.ok("cancel", 2)
    assert app.ok(*arguments, "--json").json["queued"] == 1
