"""The first impression: help, version, how long they take; and the reference, held to the commands."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_app import App
from processes import ROOT, jobman_environment

from jobman_cli.cli import main
from jobman_cli.cli.commands import COMMANDS
from jobman_cli.hooks import PluginInfo
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS

REFERENCE = (ROOT / "docs/reference/cli.md").read_text()
JSON_REFERENCE = (ROOT / "docs/reference/json.md").read_text()
SECTIONS = dict(re.findall(r"^## `jobman ([\w-]+)`\n(.*?)(?=^## |\Z)", REFERENCE, re.M | re.S))


def command_tree() -> dict[str, Any]:
    group: Any = typer.main.get_command(main.app)
    with group.make_context("jobman", ["config"]) as context:
        return {name: group.get_command(context, name) for name in COMMANDS}


def options_of(command: Any) -> set[str]:
    options = {each for param in command.params for each in param.opts if each.startswith("--")}
    for inner in getattr(command, "commands", {}).values():
        options |= options_of(inner)
    return options - {"--help"}


def test_help_lists_every_command(app: App) -> None:
    said = app.ok("--help").out
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.help)}$", said, re.M), name
    for name in COMMANDS:
        assert "--help" in app.ok(name, "--help").out


def test_the_list_says_what_the_docstrings_say() -> None:
    for name, command in command_tree().items():
        assert COMMANDS[name].help == (command.help or "").partition("\n")[0], name


def test_nothing_given_shows_the_help(app: App) -> None:
    result = app()
    assert result.code == 2 and "run-worker" in result.err


def test_version(app: App) -> None:
    assert re.fullmatch(r"jobman \S+\n", app.ok("--version").out)


def test_the_reference_names_every_command_and_option() -> None:
    tree = command_tree()
    assert set(SECTIONS) == set(tree)
    for name, command in tree.items():
        documented = set(re.findall(r"`(--[a-z-]+)", SECTIONS[name]))
        options = options_of(command)
        if name == "try":
            from jobman_cli.cli import trying
            from jobman_cli.core.jobtype import job

            options = options_of(trying.try_command(job("empty")(lambda: None)))
            documented -= {"--help", "--name", "--no-name", "--some-name", "--attrib-"}
        assert documented == options, name
        for inner in getattr(command, "commands", {}):
            assert f"`jobman {name} {inner}`" in SECTIONS[name]


def test_the_reference_names_the_global_options() -> None:
    part = REFERENCE.partition("## Global options")[2].partition("\n## ")[0]
    group: Any = typer.main.get_command(main.app)
    assert set(re.findall(r"`(--[a-z-]+)", part)) == options_of(group) | {"--help"}


def documented_keys(heading: str) -> list[str]:
    """The first column of the table with this first heading."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", JSON_REFERENCE, re.M)
    return re.findall(r"^\| `(\w+)` \|", table[1], re.M)


def test_the_reference_names_the_keys() -> None:
    keys = JSON_REFERENCE
    assert documented_keys("key") == list(JOBS.c.keys())
    assert documented_keys("failed") == list(FAILED_JOBS.c.keys())
    history = keys.partition("**`history`**")[2].partition("## A failed job")[0]
    for column in set(ATTEMPTS.c.keys()) - {"id", "jobman_id"}:
        assert f"`{column}`" in history
    plugin = keys.partition("**A plugin**")[2]
    assert re.findall(r"`(\w+)`", plugin)[1:] == list(PluginInfo.__dataclass_fields__)


def test_the_reference_names_the_exit_codes() -> None:
    errors = import_module("jobman_cli.errors")
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    part = REFERENCE.partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", part, re.M)} == codes | {0}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_it_answers_at_once(tmp_path: Path, option: str) -> None:
    environment = jobman_environment({"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": None})

    def seconds(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=tmp_path, check=True, capture_output=True
        )
        return time.perf_counter() - began

    for arguments in (("-c", "import typer"), ("-m", "jobman_cli", option)):
        seconds(*arguments)  # what is not compiled yet is now
    typers, ours = [], []
    for _ in range(7):  # in turns, so that both see the same machine
        typers.append(seconds("-c", "import typer"))
        ours.append(seconds("-m", "jobman_cli", option))
    assert min(ours) <= 3 * min(typers), (min(ours), min(typers))


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom jobman_cli.cli.main import run\nrun(['--help'])\n"
        "heavy = {'sqlalchemy', 'sqlmodel', 'huey', 'redis', 'pydantic', 'alembic', 'asyncio', 'rich'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=jobman_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
