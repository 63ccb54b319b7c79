"""How one attempt ended, and the two exceptions with which a job ends it on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Retry(Exception):
    """Raised by a job that wants a later attempt; it counts as a try.

    Args:
        message: Why, kept as the job's ``error_message``.
        after: Seconds until the next attempt; ``None`` takes the job type's backoff.
    """

    def __init__(
        self, message: str = "the job asked for another attempt", *, after: float | None = None
    ) -> None:
        if after is not None and not 0 <= after < 10**9:
            raise ValueError(f"Retry(after={after!r}): give a number of seconds, 0 or more")
        self.after = after
        super().__init__(message)


class Fail(Exception):
    """Raised by a job that gives up: it fails now, whatever tries are left."""


class OutcomeKind(StrEnum):
    """The ways in which an attempt ends. The values stand in ``jobman_attempts.outcome``."""

    COMPLETED = "completed"
    ERROR = "error"  # an exception; tried again while tries are left
    TIMEOUT = "timeout"  # ran past its timeout; the same
    RETRY = "retry"  # the job asked for it; the same
    FAIL = "fail"  # the job gave up; final
    RELEASED = "released"  # interrupted; given back, the attempt is not counted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the runner says of an attempt; the store turns it into the row's next state.

    Attributes:
        kind: How it ended.
        code: The ``completed_code``, for a completed attempt.
        error_message: One line, for one that did not complete.
        exception: The traceback as text.
        delay: Seconds until the next attempt, should there be one.
    """

    kind: OutcomeKind
    code: str | None = None
    error_message: str | None = None
    exception: str | None = None
    delay: float = 0.0


COMPLETED = Outcome(OutcomeKind.COMPLETED)
