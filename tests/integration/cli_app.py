"""The command line in this process: an application in a directory of its own, and `jobman` called in it."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobman_cli.cli.main import run

JOBS = """
import enum
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from jobman_cli import Context, job


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: float = 2


@job("hello", tries=3, backoff=[3600])
def hello(ctx: Context, name: str = "world", boom: int = 0) -> str:
    '''Say hello.

    It greets whom it is told to.

    Args:
        name: Whom to greet.
        boom: Attempts that fail.
    '''
    ctx.log(f"Hello, {name}")
    ctx.progress(1, 2)
    if ctx.attempt <= boom:
        raise ValueError(f"boom {name}")
    return "greeted"


@job("kinds")
def kinds(
    number: int,
    either: int | str = 3,
    when: date | None = None,
    colour: Colour = Colour.RED,
    literal: Literal[1, "two"] = 1,
    items: list[int] = [1],
    words: tuple[str, ...] = (),
    point: Point = Point(x=1),
    mapping: dict[str, int] = {},
    loud: bool = True,
    maybe: bool | None = None,
    points: list[Point] = [],
    anything: Any = None,
    ratio: float = 1.5,
    pair: tuple[int, str] = (1, "a"),
    few: Annotated[int, Field(ge=1, le=3)] = 2,
    long_name: str | None = None,
) -> None:
    "Take all kinds."


@job("alone", unique=["name"])
def alone(name: str = "world", note: str = "") -> None:
    "Be one at a time to a name."


@job("collide")
def collide(queue: str = "q", wait: bool = False, tag: list[str] = [], json: int = 0, help: str = "") -> None:
    "Have parameters named like options of try."


@job("secret")
def secret(password: str = "", nested: dict[str, str] = {}) -> None:
    "Take secrets."


@job("quick", timeout=0.3)
def quick() -> None:
    import time

    time.sleep(3600)


@job("elsewhere", queue="other")
def elsewhere() -> None: ...
"""


@dataclass(frozen=True)
class Result:
    """What one call of the command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class App:
    """A project directory with a configuration and a module of jobs."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys = path, capsys
        self.configure("modules: [jobs_of_a_test]\n")
        self.module("jobs_of_a_test", JOBS)

    def configure(self, text: str) -> None:
        (self.path / "jobman.yaml").write_text(textwrap.dedent(text))

    def module(self, name: str, source: str) -> None:
        (self.path / f"{name}.py").write_text(textwrap.dedent(source))

    def __call__(self, *arguments: str | int) -> Result:
        self._capsys.readouterr()
        code = run([str(each) for each in arguments])
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    def ok(self, *arguments: str | int) -> Result:
        result = self(*arguments)
        assert result.code == 0, result
        return result

    def refused(self, code: int, *arguments: str | int) -> str:
        """It exits so, prints no data, and says what was wrong and what to do; returns what it said."""
        result = self(*arguments)
        assert result.code == code, result
        assert result.out == "", result
        assert "error: " in result.err and "hint: " in result.err, result
        return result.err

    def count(self) -> int:
        return len(self.ok("jobs", "--json").json)
