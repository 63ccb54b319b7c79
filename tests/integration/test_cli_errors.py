"""What goes wrong: the documented exit code, one error and one hint on stderr, and nothing written."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
from pathlib import Path

import pytest
from cli_app import App

from jobman_cli.cli import failures, main, output, talk

READS = (["jobs"], ["show", "1"], ["wait", "1"], ["db", "check"])
WRITES = (["dispatch", "hello"], ["try", "hello"], ["try", "hello", "--sync"], ["db", "upgrade"])


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["job"],
        ["--nonsense"],
        ["jobs", "--nonsense"],
        ["show"],
        ["dispatch"],
        ["jobs", "extra"],
        ["run-worker", "--concurrency", "0"],
        ["run-worker", "--queue", "a b"],
        ["run-worker", "--worker-type", "fibre"],
        ["run-worker", "--max-time", "0"],
        ["run-worker", "--max-jobs", "0"],
        ["run-worker", "--memory", "0"],
        ["config", "nothing"],
    ],
)
def test_usage(app: App, arguments: list[str]) -> None:
    app.refused(2, *arguments)
    assert not (app.path / "var").exists()


def test_an_unknown_command_names_the_nearest(app: App) -> None:
    assert "did you mean 'jobs'?" in app.refused(2, "job")


def test_a_global_option_behind_the_command(app: App) -> None:
    assert "stands before the command" in app.refused(2, "jobs", "--config", "x.yaml")


@pytest.mark.parametrize("arguments", [*READS, *WRITES, ["types"], ["plugins"], ["config", "check"]])
def test_a_bad_configuration(app: App, arguments: list[str]) -> None:
    app.configure("databse: x\nlease: soon\n")
    said = app.refused(78, *arguments)
    assert "jobman.yaml:1: databse" in said and "did you mean 'database'?" in said
    assert "jobman.yaml:2: lease" in said
    app.configure("jobs: [\n")
    app.refused(78, *arguments)
    app.refused(78, "--config", "missing.yaml", *arguments)
    assert not (app.path / "var").exists()


@pytest.mark.parametrize("arguments", [*READS, *WRITES])
def test_an_unreachable_database(app: App, arguments: list[str], closed_port: int) -> None:
    said = app.refused(
        69, "--database", f"postgresql://u:s3cret@127.0.0.1:{closed_port}/x?connect_timeout=2", *arguments
    )
    assert "s3cret" not in said


@pytest.mark.parametrize("arguments", [*READS, *WRITES])
def test_a_directory_that_cannot_be_written(app: App, arguments: list[str]) -> None:
    (app.path / "var").write_text("a file where the directory should be")
    app.refused(69, *arguments)


@pytest.mark.parametrize("call", ["pathlib.Path.mkdir", "os.open"])
def test_a_read_only_directory(app: App, call: str, monkeypatch) -> None:
    def refuse(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(call, refuse)  # root, who runs some tests, may write everywhere
    app.refused(69, "dispatch", "hello")


def test_a_file_that_is_no_database(app: App) -> None:
    (app.path / "var").mkdir()
    (app.path / "var/jobman.db").write_text("this is no database " * 100)
    result = app("jobs")
    assert result.code in (69, 78) and "hint: " in result.err


@pytest.mark.parametrize("revision", ["0000", "9999"])
def test_another_schema(app: App, revision: str) -> None:
    app.ok("db", "upgrade")
    database = sqlite3.connect(app.path / "var/jobman.db")
    database.execute("UPDATE jobman_alembic_version SET version_num = ?", (revision,))
    database.commit()
    database.close()
    for arguments in (["jobs"], ["dispatch", "hello"], ["db", "check"], ["db", "upgrade"]):
        assert revision in app.refused(78, *arguments)


def test_db_commands(app: App) -> None:
    assert "no tables were found" in app.refused(78, "db", "check")
    assert "were made" in app.ok("db", "upgrade").out
    assert "fit already" in app.ok("db", "upgrade").out
    assert "the tables fit" in app.ok("db", "check").out
    assert app.ok("db", "check", "--json").json["fits"] is True


def test_redis_away_is_no_failure(app: App, closed_port: int) -> None:
    url = f"redis://127.0.0.1:{closed_port}/0"
    for arguments in (["dispatch", "hello"], ["try", "hello"], ["try", "hello", "--no-wait"]):
        result = app.ok("--queue-url", url, *arguments, "--json")
        assert result.json["status"] == "pending"
        assert "warning: " in result.err


def test_flags_win_over_the_configuration(app: App, tmp_path: Path) -> None:
    app.ok("--database", f"sqlite:///{tmp_path}/flag.db", "dispatch", "hello")
    assert (tmp_path / "flag.db").exists() and not (tmp_path / "var").exists()


def test_config_check(app: App) -> None:
    assert "7 job types" in app.ok("config", "check").out
    app.configure("modules: [jobs_of_a_test, nowhere]\njobs: {helo: {tries: 2}}\n")
    result = app("config", "check", "--json")
    assert result.code == 78
    assert result.json["broken"] == ["module nowhere"] and "hello" in result.json["warnings"][0]
    assert "hint: " in result.err
    app.configure("modules: [jobs_of_a_test]\njobs: {hello: {tries: 0}}\n")
    app.refused(78, "config", "check")


def test_broken_modules_do_not_break_the_core(app: App) -> None:
    app.module("broken_of_a_test", "raise RuntimeError('no')")
    app.configure("modules: [broken_of_a_test, jobs_of_a_test, nowhere]\n")
    listed = app.ok("plugins", "--json")
    assert {each["name"]: each["state"] for each in listed.json if each["name"].startswith("module")} == {
        "module broken_of_a_test": "broken",
        "module jobs_of_a_test": "loaded",
        "module nowhere": "broken",
    }
    assert list(listed.json[0]) == [
        "name",
        "distribution",
        "version",
        "state",
        "error",
        "hint",
        "job_types",
    ]
    assert "RuntimeError: no" in listed.err and "hint: " in listed.err
    assert "hello" in app.ok("try", "--help").out
    app.ok("dispatch", "hello")
    app.ok("--help")
    assert "broken_of_a_test" in app.refused(78, "run-worker", "--once")
    assert "it may belong" in app.refused(2, "dispatch", "nothing").lower()


def test_a_signature_that_cannot_be_used(app: App) -> None:
    app.module(
        "odd_of_a_test",
        """
        from jobman_cli import job

        class Odd: ...

        @job
        def odd(thing: Odd) -> None: ...
        """,
    )
    app.configure("modules: [odd_of_a_test]\n")
    for arguments in (["try", "odd", "--thing", "x"], ["dispatch", "odd", '{"thing": 1}'], ["types", "odd"]):
        assert "thing" in app.refused(78, *arguments)
    app.ok("types")
    app.ok("try", "--help")


def test_plugin_commands(app: App) -> None:
    app.module(
        "commands_of_a_test",
        """
        import typer
        from jobman_cli import hookimpl

        group = typer.Typer()

        @group.command()
        def inside() -> None:
            print("inside")

        @group.command()
        def crash() -> None:
            raise KeyError("boom")

        def lone(name: str = "x") -> None:
            "Do one thing."
            print("lone", name)

        def bad(thing: object = 3) -> None: ...

        @hookimpl
        def jobman_commands():
            return {"grp": group, "lone": lone, "jobs": lone, "num": 3}
        """,
    )
    app.configure("modules: [commands_of_a_test, jobs_of_a_test]\n")
    assert app.ok("lone", "--name", "y").out == "lone y\n"
    assert app.ok("grp", "inside").out == "inside\n"
    assert app.ok("jobs", "--json").json == []  # a plugin cannot take a name of ours
    assert "KeyError" in app.refused(1, "grp", "crash")
    app.refused(78, "num")
    assert "did you mean 'lone'?" in app.refused(2, "lonee")
    assert "jobs" in app.ok("--help").out


def test_an_unknown_command_beside_a_broken_configuration(app: App) -> None:
    app.configure("nonsense: 1\n")
    app.ok("--help")
    app.ok("--version")
    assert "config check" in app.refused(2, "frobnicate")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyError("x"), 1),
        (RecursionError(), 1),
        (PermissionError(13, "Permission denied", "/x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_was_not_foreseen(app: App, error: BaseException, code: int, monkeypatch, capsys) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("jobman_cli.operations.look.jobs", fail)
    result = app("jobs")
    assert result.code == code and len(result.err.splitlines()) <= 2
    if code == 1 and not isinstance(error, OSError):
        assert "internal error" in result.err
        assert main.run(["-v", "jobs"]) == 1
        assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_has_gone(app: App, monkeypatch) -> None:
    assert failures.report(output.OutputClosed(), 0) == 0

    def fail(_text: str) -> None:
        raise output.OutputClosed

    monkeypatch.setattr(output, "write", fail)
    assert app("types").code == 0


def test_log_lines_are_one_line_each(capsys) -> None:
    import logging

    formatter = talk.OneLine(worker=True, verbose=False)
    with pytest.raises(ValueError) as caught:
        int("two\nlines")
    info = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("jobman.x", logging.WARNING, "f", 1, "hooks %s\x1b[2J", ("failed",), info)
    line = formatter.format(record)
    assert "\n" not in line and "\x1b" not in line
    assert "hooks failed" in line and "ValueError: invalid literal" in line and "test_cli_errors.py" in line
    assert "Traceback" in talk.OneLine(worker=True, verbose=True).format(record)
