"""The operations that the schedule may run, by the names that the configuration uses for them.

Each works in short transactions and tells ``progress`` after each, so it can be stopped between two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import ConfigurationError
from jobman_cli.operations.failed import flush, older_than
from jobman_cli.operations.metrics import thin_metrics
from jobman_cli.operations.parts import Parts
from jobman_cli.operations.progress import Progress
from jobman_cli.operations.prune import cutoff, prune
from jobman_cli.operations.requeue import requeue_unqueued
from jobman_cli.store.queries_failed import FailedFilter

#: The most days and hours that can be asked for: a hundred years.
_DAYS = 36525


@dataclass(frozen=True, slots=True)
class Chore:
    """One operation.

    Attributes:
        run: Given the parts, the options and ``progress``; returns what it did, in a few words.
        options: Name to the test of a value, and what the value must be.
        required: The options that must be given.
    """

    run: Callable[[Parts, Mapping[str, Any], Progress], str]
    options: Mapping[str, tuple[Callable[[Any], bool], str]] = field(default_factory=dict)
    required: tuple[str, ...] = ()


def check_chore(name: str, options: Mapping[str, Any]) -> None:
    """Make sure that an operation exists and takes these options.

    Raises:
        ConfigurationError: when it does not.
    """
    chore = CHORES.get(name)
    if chore is None:
        known = ", ".join(sorted(CHORES))
        raise ConfigurationError(
            f"there is no operation {name!r}{did_you_mean(name, CHORES)}; known: {known}"
        )
    for option, value in options.items():
        if option not in chore.options:
            near = did_you_mean(option, chore.options)
            raise ConfigurationError(f"the operation {name} has no option {option!r}{near}")
        fits, what = chore.options[option]
        if not fits(value):
            raise ConfigurationError(f"{option}: expected {what}, found {value!r}")
    if missing := [option for option in chore.required if options.get(option) is None]:
        raise ConfigurationError(f"the operation {name} needs the option `{missing[0]}`")


def run_chore(parts: Parts, name: str, options: Mapping[str, Any], progress: Progress) -> str:
    """Run an operation, in this very thread.

    Returns:
        What it did, in a few words.
    """
    return CHORES[name].run(parts, options, progress)


def _prune(parts: Parts, options: Mapping[str, Any], progress: Progress) -> str:
    unfinished = bool(options.get("unfinished"))
    number = prune(parts, cutoff(parts, options["days"]), unfinished=unfinished, progress=progress)
    return f"{number} job(s) deleted"


def _flush(parts: Parts, options: Mapping[str, Any], progress: Progress) -> str:
    wanted = older_than(parts, FailedFilter(), options["hours"])
    return f"{flush(parts, wanted, progress)} failed job(s) forgotten"


def _requeue(parts: Parts, options: Mapping[str, Any], progress: Progress) -> str:
    found = requeue_unqueued(parts, progress)
    return f"{found.pending + found.missing} job(s) pushed"


def _snapshot(parts: Parts, options: Mapping[str, Any], progress: Progress) -> str:
    gone = thin_metrics(parts)
    progress(gone)
    return f"{gone} row(s) of metrics rolled up"


def _number(most: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


CHORES: Mapping[str, Chore] = {
    "prune": Chore(
        _prune,
        {
            "days": (_number(_DAYS), f"a number of days from 0 to {_DAYS}"),
            "unfinished": (lambda value: isinstance(value, bool), "true or false"),
        },
        ("days",),
    ),
    "flush": Chore(
        _flush, {"hours": (_number(_DAYS * 24), f"a number of hours from 0 to {_DAYS * 24}")}, ("hours",)
    ),
    "requeue-unqueued": Chore(_requeue),
    "snapshot": Chore(_snapshot),
}
