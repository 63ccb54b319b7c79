"""Bound what is asked of a server by a timer of this process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Overdue(BaseException):
    """Guarded work took longer than it may.

    No ``Exception``: a connection on which it struck has a query underway, and SQLAlchemy then throws the
    connection away instead of asking it for a rollback.
    """


@contextmanager
def guarded(seconds: float) -> Iterator[None]:
    """Bound what is done inside: a stopped server can block a query past its own timeouts.

    Raises:
        Overdue: after so many seconds. Main thread only.
    """

    def ring(_signum: int, _frame: object) -> None:
        raise Overdue(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again, should the clearing up hang as well
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
