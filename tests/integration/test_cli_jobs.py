"""`jobs`, `show`, `wait`: keys, filters, terminals."""

from __future__ import annotations

import re
import sys

import pytest
from cli_app import App

from jobman_cli.cli import output, rows
from jobman_cli.store.tables import JOBS

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch):
    """Make stdout a terminal of so many columns."""

    def pretend(columns: int, **environ: str) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True, raising=False)

    return pretend


def test_keys_are_the_columns(app: App) -> None:
    app.ok("dispatch", "hello")
    columns = list(JOBS.c.keys())
    assert list(app.ok("jobs", "--json").json[0]) == columns
    assert list(app.ok("show", 1, "--json").json) == [
        *columns,
        "place",
        "failed_job",
        "worker",
        "history",
    ]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", app.ok("show", 1, "--json").json["created_at"]
    )


def test_filters_and_pages(app: App) -> None:
    for arguments in (["hello"], ["elsewhere"], ["hello"], ["hello", "--delay", "1h"]):
        app.ok("dispatch", *arguments)

    def ids(*arguments: str | int) -> list[int]:
        return [row["id"] for row in app.ok("jobs", "--json", *arguments).json]

    assert ids() == [4, 3, 2, 1]
    assert ids("--status", "scheduled") == [4]
    assert ids("--type", "elsewhere") == ids("--queue", "other") == [2]
    assert ids("--limit", 2) == [4, 3]
    assert ids("--limit", 2, "--before", 3) == [2, 1]
    assert "--before 3" in app.ok("jobs", "--limit", 2).err
    assert app.ok("jobs", "--type", "nothing").out == ""


class TestSilenced:
    """Jobs 1 to 4: completed, completed of another type, failed, queued."""

    @pytest.fixture
    def ids(self, app: App):
        app.module(
            "jobs_of_a_test",
            """
            from jobman_cli import Fail, job

            @job("beat", tags=["pulse"])
            def beat(boom: bool = False) -> None:
                if boom:
                    raise Fail("boom")

            @job("work")
            def work() -> None: ...
            """,
        )
        app.ok("try", "beat", "--sync")
        app.ok("try", "work", "--sync")
        app("try", "beat", "--boom", "--sync")
        app.ok("dispatch", "beat")

        def ids(configuration: str, *arguments: str | int) -> list[int]:
            app.configure("modules: [jobs_of_a_test]\n" + configuration)
            return [row["id"] for row in app.ok("jobs", "--json", *arguments).json]

        return ids

    @pytest.mark.parametrize(
        "configuration",
        ["silenced: [beat]", "silenced_tags: [pulse]", "jobs: {beat: {silenced: true}}"],
    )
    def test_only_completed_ones_are_left_out(self, ids, configuration: str) -> None:
        assert ids(configuration) == [4, 3, 2]
        assert ids(configuration, "--status", "completed") == [2]
        assert ids(configuration, "--status", "failed") == [3]
        assert ids(configuration, "--limit", 1, "--before", 3) == [2]
        assert ids(configuration, "--before", 2) == []

    @pytest.mark.parametrize("configuration", ["silenced: [beat]", "silenced_tags: [pulse, other]"])
    def test_who_asks_sees_them(self, ids, configuration: str) -> None:
        assert ids(configuration, "--all") == [4, 3, 2, 1]
        assert ids(configuration, "--silenced") == [4, 3, 1]
        assert ids(configuration, "--silenced", "--status", "completed") == [1]
        assert ids(configuration, "--type", "beat") == ids(configuration, "--tag", "pulse") == [4, 3, 1]

    def test_a_job_type_of_its_own(self, ids) -> None:
        assert ids("silenced: [beat]\njobs: {beat: {silenced: false}}") == [4, 3, 2, 1]
        assert ids("silenced: [beat]\njobs: {beat: {priority: 5}}") == [4, 3, 2]
        assert ids("") == [4, 3, 2, 1]
        assert ids("", "--silenced") == []

    def test_what_is_left_out_is_said(self, app: App, ids) -> None:
        assert ids("silenced: [beat]", "--before", 2) == []
        assert "add --all" in app.ok("jobs", "--before", 2).err
        assert "--all" not in app.ok("jobs", "--type", "nothing").err
        assert "do not go together" in app.refused(2, "jobs", "--all", "--silenced")

    def test_it_is_shown_with_its_origin(self, app: App) -> None:
        app.configure("jobs: {beat: {silenced: true}}")
        shown = app.ok("config", "show", "--json").json["settings"]
        assert {"setting": "jobs.beat.silenced", "value": True, "origin": "jobman.yaml:1"} in shown


def test_show_several(app: App) -> None:
    app.ok("dispatch", "hello")
    app.ok("dispatch", "elsewhere")
    assert [row["id"] for row in app.ok("show", 2, 1, "--json").json] == [2, 1]
    assert "elsewhere" in app.ok("show", 1, 2).out
    result = app("show", 1, 7, 8, "--json")
    assert (result.code, [row["id"] for row in result.json]) == (1, [1])
    assert "there are no jobs 7, 8" in result.err


@pytest.mark.parametrize("command", ["show", "wait"])
def test_ids_that_do_not_exist(app: App, command: str) -> None:
    assert "there is no job 5" in app.refused(1, command, 5)
    for bad in ("0", "x", "1.5", str(2**63)):
        app.refused(2, command, bad)


@pytest.mark.parametrize("arguments", [["--status", "done"], ["--limit", "0"], ["--queue", "a b"]])
def test_bad_filters(app: App, arguments: list[str]) -> None:
    app.refused(2, "jobs", *arguments)


def test_wait(app: App) -> None:
    app("try", "hello", "--sync")
    assert "completed" in app.ok("wait", 1).out
    app("try", "quick", "--sync")
    assert app("wait", 2).code == 1
    app.ok("dispatch", "hello")
    result = app("wait", 3, "--timeout", "0.1")
    assert result.code == 1 and "0.1 s" in result.err and "hint: " in result.err


def test_secrets_are_masked(app: App) -> None:
    attribs = '{"password": "s3cret", "nested": {"API_KEY": "s3cret", "user": "ada"}}'
    said = app.ok("dispatch", "secret", attribs, "--json").out
    said += app.ok("show", 1).out + app.ok("show", 1, "--json").out + app.ok("jobs", "--json").out
    assert "s3cret" not in said and "ada" in said


def test_piped_tables_are_plain_and_whole(app: App) -> None:
    app("try", "hello", "--boom", "3", "--name", "x" * 100, "--sync")
    app("try", "quick", "--sync")
    said = app.ok("jobs").out
    assert "\x1b" not in said and "ago" not in said and "timed out after 0.3 s" in said


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_tables_fit_a_terminal(app: App, terminal, columns: int) -> None:
    app("try", "quick", "--sync")
    app("try", "hello", "--sync")
    terminal(columns)
    said = app.ok("jobs").out
    assert "\x1b[32m" in said
    lines = ANSI.sub("", said).splitlines()
    assert len(lines) == 3 and max(map(len, lines)) <= columns
    assert ("created" in said) == (columns >= 40)


def test_no_color(app: App, terminal) -> None:
    app("try", "hello", "--sync")
    terminal(80, NO_COLOR="1")
    assert "\x1b" not in app.ok("jobs").out


def test_stored_data_cannot_move_the_terminal(app: App, terminal) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202egpj"
    app("try", "hello", "--name", evil, "--boom", "1", "--sync")
    terminal(200)
    for arguments in (["jobs"], ["show", 1], ["show", 1, "--json"], ["wait", 1, "--timeout", "0"]):
        result = app(*arguments)
        said = ANSI.sub("", result.out + result.err)
        assert all(char.isprintable() or char == "\n" for char in said), arguments
    assert app("show", 1, "--json").json["attribs"]["name"] == evil


def test_wide_characters_are_counted(terminal, capsys) -> None:
    terminal(12)
    output.write_table(
        [("漢字漢字漢字", "x")], [output.Column("a", lambda r: r[0]), output.Column("b", lambda r: r[1])]
    )
    from rich.cells import cell_len

    assert all(cell_len(ANSI.sub("", line)) <= 12 for line in capsys.readouterr().out.splitlines())


def test_times_for_people() -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime(2030, 1, 1, tzinfo=UTC)
    for seconds, text in (
        (0.2, "now"),
        (5, "5 s ago"),
        (119, "1 min ago"),
        (7300, "2 h ago"),
        (10**6, "11 d ago"),
    ):
        assert rows.ago(now - timedelta(seconds=seconds), now) == text
    assert rows.ago(now + timedelta(seconds=65), now) == "in 1 min"
