"""The doctor: look at the whole installation and say, point by point, what is well and what to do.

It changes nothing, not even a SQLite file that is to be made. Each check runs in a thread of its own for a
few seconds at the most: a server that is frozen costs that once, for what needs it is then left out.
A check that breaks is a failed check. What is checked stands in ``doctor_database`` and ``doctor_queue``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jobman_cli.engine.protocol import Engine
from jobman_cli.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_UNAVAILABLE, JobmanError
from jobman_cli.hooks.registry import Registry
from jobman_cli.settings import Settings
from jobman_cli.store.database import Database

#: Seconds that one check may take.
PATIENCE = 8.0

Verdict = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        verdict: ``skip`` when it could not be asked, because of an earlier failure.
        line: What was found, for people.
        remedy: What to do about it; None when there is nothing to do.
        code: What a command that ends in this failure exits with.
    """

    verdict: Verdict
    line: str
    remedy: str | None = None
    code: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """A finding with the name of its check."""

    check: str
    verdict: Verdict
    line: str
    remedy: str | None
    code: int


@dataclass(frozen=True, slots=True)
class Installation:
    """What is looked at. The parts are made inside the checks, because making them can fail.

    Attributes:
        database: The database, whatever its tables.
    """

    settings: Settings
    registry: Callable[[], Registry]
    database: Callable[[], Database]
    engine: Callable[[], Engine]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        run: Looks, and says what it found.
        needs: Names of checks without which it cannot be asked.
    """

    name: str
    run: Callable[[Installation], Finding]
    needs: tuple[str, ...] = ()


def ok(line: str) -> Finding:
    """All is well."""
    return Finding("ok", line)


def warn(line: str, remedy: str) -> Finding:
    """It works, but not as it should, or not for long."""
    return Finding("warn", line, remedy)


def fail(line: str, remedy: str, code: int = EXIT_FAILED) -> Finding:
    """Something does not work."""
    return Finding("fail", line, remedy, code)


def examine(installation: Installation, checks: Sequence[Check]) -> Iterator[Result]:
    """Run the checks in their order; each result comes as soon as it is there."""
    failed: set[str] = set()
    for check in checks:
        lacking = [name for name in check.needs if name in failed]
        if lacking:
            finding = Finding("skip", f"not asked: see {lacking[0]}")
            failed.add(check.name)
        else:
            finding = _bounded(check, installation, PATIENCE)
            if finding.verdict == "fail":
                failed.add(check.name)
        yield Result(check.name, finding.verdict, finding.line, finding.remedy, finding.code)


def examine_plugins(installation: Installation) -> Iterator[Result]:
    """Run the checks that plugins bring; one that says anything, or raises, has failed."""
    try:
        theirs: Mapping[str, Callable[[], str | None]] = installation.registry().doctor_checks()
    except JobmanError:
        return  # the check of the plugins has said so
    for name, check in theirs.items():
        yield from examine(installation, [Check(name, _of_plugin(check))])


def exit_code(results: Sequence[Result]) -> int:
    """0 if nothing failed; else the code that tells most: a server away, bad configuration, anything."""
    codes = {result.code for result in results if result.verdict == "fail"}
    return next((code for code in (EXIT_UNAVAILABLE, EXIT_CONFIG) if code in codes), max(codes, default=0))


def _of_plugin(check: Callable[[], str | None]) -> Callable[[Installation], Finding]:
    def run(_: Installation) -> Finding:
        wrong = check()
        return ok("well") if wrong is None else fail(str(wrong), "See the documentation of the plugin.")

    return run


def _bounded(check: Check, installation: Installation, patience: float) -> Finding:
    """What the check found, or that it broke, or that it took too long; then its thread is left behind."""
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.append(_guarded(check, installation)), daemon=True)
    thread.start()
    thread.join(patience)
    if found:
        return found[0]
    if not check.needs and check.name not in ("database", "redis"):
        return fail(f"no answer within {patience:g} s", "Find out what it waits for.")
    return fail(
        f"no answer within {patience:g} s: the server is frozen or far too slow",
        "Look at the server's own log and load.",
        EXIT_UNAVAILABLE,
    )


def _guarded(check: Check, installation: Installation) -> Finding:
    try:
        return check.run(installation)
    except JobmanError as error:
        line, _, more = error.message.partition("\n")
        return fail(line + (" …" if more else ""), error.hint, error.exit_code)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or "without a word"
        return fail(
            f"the check broke: {type(error).__name__}: {reason}",
            "Please report it to whoever made the check.",
        )
