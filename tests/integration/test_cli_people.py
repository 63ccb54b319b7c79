"""What people meet around repairs: questions, bars, Ctrl-C, narrow terminals, completion, bad input."""

from __future__ import annotations

import io
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_app import App
from processes import jobman_environment

from jobman_cli.cli import progress, rows
from jobman_cli.operations.archive import read_archive
from jobman_cli.operations.objects.jobs import failed_object
from jobman_cli.store.tables import FailedJob

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make stdin a terminal on which somebody types."""

    def pretend(text: str) -> None:
        stdin = io.StringIO(text)
        stdin.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", stdin)

    return pretend


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make both outputs a terminal of so many columns."""

    def pretend(columns: int, **environ: str) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(type(stream), "isatty", lambda self: True, raising=False)

    return pretend


def dump(app: App) -> list[str]:
    with sqlite3.connect(app.path / "var/jobman.db") as database:
        return list(database.iterdump())


@pytest.fixture
def shop(app: App) -> App:
    """Three failed jobs, one that waits, one that is completed."""
    app.module(
        "jobs_of_a_test",
        """
        from jobman_cli import Fail, job

        @job("fails")
        def fails(text: str = "漢字漢字漢字漢字漢字漢字漢字") -> None:
            raise Fail(text)

        @job("hello")
        def hello(password: str = "") -> None: ...
        """,
    )
    for _ in range(3):
        app("try", "fails", "--sync")
    app.ok("dispatch", "hello")
    app.ok("try", "hello", "--password", "s3cret", "--sync")
    return app


ASKING = (
    ["clear", "--queue", "default"],
    ["flush"],
    ["flush", "--hours", "0"],
    ["forget", "--all"],
)


@pytest.mark.parametrize("arguments", ASKING)
def test_without_a_terminal_it_needs_yes(shop: App, arguments: list[str]) -> None:
    before = dump(shop)
    assert "--yes" in shop.refused(2, *arguments)
    assert dump(shop) == before


@pytest.mark.parametrize("arguments", ASKING)
def test_a_question_and_its_answers(shop: App, answer: Any, arguments: list[str]) -> None:
    before = dump(shop)
    answer("n\n")
    result = shop(*arguments, "--json")
    assert (result.code, result.out) == (1, "") and "nothing was changed" in result.err
    answer("")  # the end of the input
    assert shop(*arguments).code == 1
    assert dump(shop) == before
    answer("y\n")
    assert shop.ok(*arguments).out
    assert dump(shop) != before
    answer("")  # nothing is left to ask about
    assert shop.ok(*arguments).out.startswith("0 ")


@pytest.mark.parametrize(
    "arguments",
    [
        *ASKING,
        ["retry", "all"],
        ["requeue", "--status", "failed"],
        ["requeue", "--unqueued"],
        ["requeue", "5"],
    ],
)
def test_a_dry_run_changes_nothing(shop: App, arguments: list[str]) -> None:
    before = dump(shop)
    assert "would be touched" in shop.ok(*arguments, "--dry-run").out
    assert shop.ok(*arguments, "--dry-run", "--json").json["dry_run"] is True
    assert dump(shop) == before


BAD = [
    (2, ["retry"]),
    (2, ["retry", "x"]),
    (2, ["retry", "-5"]),
    (2, ["retry", str(2**63)]),
    (2, ["retry", "9" * 5000]),
    (2, ["retry", "٣"]),
    (2, ["retry", "1\x00"]),
    (2, ["retry", "all", "1"]),
    (2, ["retry", "1", "--type", "fails"]),
    (2, ["retry", "all", "--queue", "a b"]),
    (2, ["retry", "all", "--type", "a\x00b"]),
    (2, ["retry", "all", "--type", ""]),
    (1, ["retry", str(2**63 - 1)]),
    (2, ["retry", "0"]),
    (1, ["retry", "00000000-0000-0000-0000-000000000000"]),
    (2, ["forget"]),
    (2, ["forget", "1", "--all"]),
    (2, ["forget", "x"]),
    (2, ["flush", "--hours", "-1", "--yes"]),
    (2, ["flush", "--hours", "nan", "--yes"]),
    (2, ["flush", "--hours", "1e300", "--yes"]),
    (2, ["flush", "--hours", "soon", "--yes"]),
    (2, ["cancel"]),
    (2, ["cancel", "0"]),
    (2, ["cancel", "-1"]),
    (2, ["cancel", "x"]),
    (2, ["cancel", str(2**63)]),
    (2, ["cancel", "4", "x"]),
    (1, ["cancel", str(2**63 - 1)]),
    (2, ["requeue"]),
    (2, ["requeue", "1", "--unqueued"]),
    (2, ["requeue", "--unqueued", "--type", "x"]),
    (2, ["requeue", "--type", "fails"]),
    (2, ["requeue", "--status", "running"]),
    (2, ["requeue", "--status", "done"]),
    (2, ["requeue", "--status", "failed", "--queue", "a b"]),
    (2, ["requeue", "--status", "failed", "--type", "\ud800"]),
    (1, ["requeue", "77"]),
    (2, ["clear"]),
    (2, ["clear", "--queue", "a b", "--yes"]),
    (2, ["clear", "--queue", "", "--yes"]),
    (2, ["prune"]),
    (2, ["prune", "--days", "-1"]),
    (2, ["prune", "--days", "nan"]),
    (2, ["prune", "--days", "inf"]),
    (2, ["prune", "--days", "1e9"]),
    (2, ["prune", "--days", "x"]),
    (2, ["prune", "--days", "0", "--include-unfinished"]),
    (2, ["prune", "--days", "0", "--archive", "jobman.yaml"]),
    (2, ["prune", "--days", "0", "--archive", "nowhere/x.gz"]),
    (2, ["prune", "--days", "0", "--archive", "a" * 300]),
    (2, ["prune", "--days", "0", "--archive", "a\x00b"]),
    (2, ["prune", "--days", "0", "--archive", "."]),
    (2, ["jobs", "--since", "yesterday"]),
    (2, ["jobs", "--since", "2030-02-30"]),
    (2, ["jobs", "--since", "-3d"]),
    (2, ["jobs", "--since", "99999999999d"]),
    (2, ["jobs", "--since", "0001-01-01T00:00:00+14:00"]),
    (2, ["jobs", "--since", "1969-01-01"]),
    (2, ["jobs", "--until", "9999-12-31T23:59:59-14:00"]),
    (2, ["jobs", "--since", "1h", "--until", "2h"]),
    (2, ["jobs", "--tag", "\x00"]),
    (2, ["jobs", "--error", "\ud800"]),
    (2, ["jobs", "--limit", "1001"]),
    (2, ["jobs", "--before", "0"]),
    (2, ["failed", "--since", "soon"]),
    (2, ["failed", "--error", "x" * 2000]),
    (2, ["logs"]),
    (2, ["logs", "1", "2"]),
    (2, ["logs", "1", "-f", "--json"]),
    (1, ["logs", "77"]),
    (2, ["wait", "1", "--timeout", "soon"]),
    (1, ["wait", "1", "77"]),
    (1, ["show", "77"]),
]


@pytest.mark.parametrize(("code", "arguments"), BAD, ids=lambda value: repr(value)[:60])
def test_bad_input_is_named_and_changes_nothing(app: App, code: int, arguments: list[str]) -> None:
    app("try", "hello", "--boom", "9", "--sync")
    app.ok("dispatch", "hello")
    before = dump(app)
    app.refused(code, *arguments)
    assert dump(app) == before


def test_an_archive_in_a_directory_that_may_not_be_written(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app("try", "hello", "--sync")
    real = os.open

    def refuse(path: Any, *more: Any, **options: Any) -> int:
        if str(path).endswith(".gz"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more, **options)

    monkeypatch.setattr(os, "open", refuse)  # root, who runs some tests, may write everywhere
    assert "Permission denied" in app.refused(2, "prune", "--days", "0", "--archive", "x.gz")
    assert app.count() == 1


def test_a_disk_that_is_full_deletes_nothing(app: App) -> None:
    app("try", "hello", "--sync")
    os.symlink("/dev/full", app.path / "full")
    real = os.open

    def no_exclusive(path: Any, flags: int, *more: Any, **options: Any) -> int:
        return real(path, flags & ~os.O_EXCL if str(path).endswith("full") else flags, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", no_exclusive)
        patch.setattr("jobman_cli.operations.archive.Archive._put", put_without_seek)
        said = app.refused(1, "prune", "--days", "0", "--archive", "full")
    assert "No space left" in said and app.count() == 1


def put_without_seek(self: Any, packed: bytes) -> None:
    """A device cannot be truncated; the rest is the product's."""
    from jobman_cli.operations.archive import ArchiveFailed

    try:
        self._file.write(packed)
    except OSError as error:
        raise ArchiveFailed(f"the archive {self._path} cannot be written: {error.strerror}") from error


def test_a_broken_plugin_stands_in_no_repairs_way(shop: App) -> None:
    shop.module("jobs_of_a_test", "raise RuntimeError('broken')")
    assert shop.ok("retry", "1").err == ""
    for arguments in (["cancel", 1], ["requeue", 1], ["clear", "--queue", "default", "--yes"], ["failed"]):
        assert "RuntimeError" not in shop.ok(*arguments).err


def test_secrets_of_failed_jobs_are_masked(app: App) -> None:
    app.module(
        "jobs_of_a_test",
        """
        from jobman_cli import Fail, job

        @job("secret")
        def secret(password: str) -> None:
            raise Fail("no")
        """,
    )
    app("try", "secret", "--password", "s3cret", "--sync")
    said = app.ok("failed", "--json").out + app.ok("failed").out + app.ok("show", 1).out
    assert "s3cret" not in said and "***" in said


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_tables_fit_a_terminal(shop: App, terminal: Any, columns: int) -> None:
    from rich.cells import cell_len

    terminal(columns)
    for command in ("failed", "jobs"):
        said = shop.ok(command).out
        lines = ANSI.sub("", said).splitlines()
        assert max(map(cell_len, lines)) <= columns
        assert "ago" in said or "now" in said or columns < 40, said
    assert "Z" not in shop.ok("failed").out
    terminal(columns, NO_COLOR="1")
    assert "\x1b" not in shop.ok("jobs").out + shop.ok("show", 1).out + shop.ok("failed").out


def test_a_failed_job_that_somebody_else_wrote() -> None:
    """Laravel's payloads are other JSON, or none."""
    for payload in ("", "[]", "{", '{"uuid": 1}'):
        row = FailedJob(id=1, uuid="u", connection="c", queue="q", payload=payload, exception="", jobman_id=1)
        from jobman_cli.settings import Settings

        settings = Settings(root=Path("/"), database="sqlite://")
        assert failed_object(row, settings)["payload"] == payload
        rows.write_failed([row])


class TestProgress:
    def test_a_bar_on_a_terminal_only(self, terminal: Any, capsys: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(progress, "PATIENCE", 0)
        with progress.watched("retrying", lambda: 1 / 0) as advance:  # not asked for a total
            advance(5)
        assert capsys.readouterr().err == ""
        terminal(80)
        with progress.watched("retrying", lambda: 10) as advance:
            advance(5)
            advance(5)
        said = ANSI.sub("", capsys.readouterr().err)
        assert "retrying" in said and "10/10" in said and "/s" in said

    def test_ctrl_c_says_how_far_it_was(self, shop: App) -> None:
        from jobman_cli.operations import failed, selection

        real, calls = failed._retry, []

        def interrupted(parts: Any, ids: list[int], done: Any) -> None:
            if calls:
                raise KeyboardInterrupt
            calls.append(ids)
            real(parts, ids, done)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(selection, "BATCH", 1)
            patch.setattr(failed, "_retry", interrupted)
            result = shop("retry", "all")
        assert result.code == 130 and "stopped after 1" in result.err
        assert len(shop.ok("failed", "--json").json) == 2
        assert len(shop.ok("jobs", "--status", "failed", "--json").json) == 2
        assert "2 failed jobs queued" in shop.ok("retry", "all").out


class TestArchive:
    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        from jobman_cli.errors import InvalidOption

        for content in (b"x", b"\x1f\x8b", b""):
            (tmp_path / "x").write_bytes(content)
            if content:
                with pytest.raises(InvalidOption):
                    list(read_archive(tmp_path / "x"))
        with pytest.raises(InvalidOption):
            list(read_archive(tmp_path / "nowhere"))

    def test_a_batch_that_was_sent_again_is_in_it_once(self, tmp_path: Path) -> None:
        from jobman_cli.operations.archive import open_archive

        path = tmp_path / "x.gz"
        with open_archive(path) as archive:
            archive.write([("jobmans", {"id": 1})])
            archive.keep()
            archive.write([("jobmans", {"id": number}) for number in range(2, 500)])  # rolled back
            archive.write([("jobmans", {"id": 2})])
            archive.keep()
        assert [row["id"] for _, row in read_archive(path)] == [1, 2]
        assert path.stat().st_mode & 0o777 == 0o600


def complete(app: App, line: str) -> list[str]:
    """What bash proposes behind a line."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", "jobman_cli"],
        env=jobman_environment(
            {
                "_JOBMAN_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(words) - 1),
            }
        ),
        cwd=app.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.split()


def test_the_shell_completes(app: App) -> None:
    app.configure("modules: [jobs_of_a_test]\nsupervisors: {default: {queues: [default, mail]}}\n")
    assert complete(app, "jobman jobs --status c") == ["completed", "cancelled"]
    assert complete(app, "jobman jobs --type h") == ["hello"]
    assert complete(app, "jobman try h") == ["hello"]
    assert complete(app, "jobman dispatch sec") == ["secret"]
    assert complete(app, "jobman clear --queue ") == ["default", "mail", "other"]
    assert complete(app, "jobman req") == ["requeue"]
    app.configure("nonsense: 1\n")
    assert complete(app, "jobman jobs --type h") == []
    assert not (app.path / "var").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(app: App, shell: str) -> None:
    assert "jobman" in app.ok("--show-completion", shell).out
