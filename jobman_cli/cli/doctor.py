"""``jobman doctor``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.session import jobman_of
from jobman_cli.errors import EXIT_CONFIG, ConfigurationError

if TYPE_CHECKING:
    from jobman_cli.operations.doctor import Finding, Installation, Result

_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "skip": "2"}


def doctor(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False
) -> None:
    """Check the whole installation, and say what is to be done.

    Nothing is changed. The exit code is 0 when all is well or there are only warnings, 1 when something
    failed, 69 when a server cannot be reached, 78 when the configuration, a plugin or the tables are bad.
    """
    from jobman_cli.operations.doctor import exit_code

    results: list[Result] = []
    for result in _examine(ctx):
        results.append(result)
        if not as_json:
            _write(result)
    if as_json:
        output.write_json(
            [{key: value for key, value in asdict(each).items() if key != "code"} for each in results]
        )
    else:
        _sum_up(results)
    raise typer.Exit(exit_code(results))


def _examine(ctx: typer.Context) -> Iterator[Result]:
    from jobman_cli.operations.doctor import Check, Installation, Result, examine, examine_plugins
    from jobman_cli.operations.doctor_queue import CHECKS

    try:
        jobman = jobman_of(ctx)
    except ConfigurationError as error:
        yield Result("configuration", "fail", error.message, error.hint, EXIT_CONFIG)
        return
    installation = Installation(
        jobman.settings, lambda: jobman.registry, lambda: jobman.bare_database, lambda: jobman.engine
    )
    yield from examine(installation, [*CHECKS, Check("dashboard", _dashboard)])
    yield from examine_plugins(installation)


def _dashboard(_: Installation) -> Finding:
    """What the pages take from npm is there."""
    from jobman_cli.operations.doctor import ok, warn

    try:
        from jobman_cli.dashboard.view import ASSETS
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "jobman_cli":
            raise
        return ok(f"not installed ({error.name} is missing); the extra has it: 'jobman-cli[dashboard]'")
    if ASSETS.exists():
        return ok("its pages have their scripts")
    return warn(
        f"{ASSETS.parent} has no built assets: pages work, but are not live and their charts are still",
        "In a checkout: `make frontend` (Node.js 18 or newer); else install a wheel, which has them: "
        "pip install --force-reinstall 'jobman-cli[dashboard]'.",
    )


def _write(result: Result) -> None:
    first, *more = talk.harmless(result.line, lines=True).split("\n")
    verdict = talk.painted(result.verdict.ljust(4), _COLOURS[result.verdict], sys.stdout)
    lines = [f"{verdict}  {talk.harmless(result.check)}: {first}"]
    lines += [f"      {line}" for line in more]
    if result.remedy and result.verdict != "ok":
        lines.append(f"      → {talk.harmless(result.remedy)}")
    output.write("\n".join(lines))


def _sum_up(results: list[Result]) -> None:
    failed = sum(result.verdict == "fail" for result in results)
    warned = sum(result.verdict == "warn" for result in results)
    if failed or warned:
        talk.say(f"{failed} failed, {warned} to be warned of, {len(results)} checks")
    else:
        talk.say(f"all is well: {len(results)} checks")
