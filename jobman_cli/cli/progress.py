"""How far a long command is: a bar on a terminal, with the rate and the time left; silence anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jobman_cli.cli import talk

#: Seconds of work before a bar is shown.
PATIENCE = 0.5


@contextmanager
def watched(title: str, total: Callable[[], int]) -> Iterator[Callable[[int], object]]:
    """A function to tell of items that are done.

    Ctrl-C says how many were: each batch is a transaction, so what is done is done and the rest as it was.

    Args:
        title: What is done to the items, such as ``retrying``.
        total: How many there are; asked on a terminal only.
    """
    done, began, bar, task = 0, time.monotonic(), None, None
    expected = total() if sys.stderr.isatty() else 0

    def advance(number: int) -> None:
        nonlocal done, bar, task
        done += number
        passed = time.monotonic() - began
        if bar is None and expected > done and passed >= PATIENCE:
            bar = _bar()
            task = bar.add_task(title, total=expected, completed=done, rate="")
            bar.start()
        if bar is not None:
            bar.update(task, completed=done, rate=f"{done / max(passed, 0.001):,.0f}/s")

    try:
        yield advance
    except KeyboardInterrupt:
        if bar is not None:
            bar.stop()
        talk.say(f"stopped after {done:,}; the rest is as it was: run the command again for it")
        raise
    finally:
        if bar is not None:
            bar.stop()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
