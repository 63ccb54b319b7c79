"""How long a job waits after a failed attempt. Pure: the caller gives the randomness."""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: The longest base delay of a job type that gives no backoff, in seconds.
EXPONENTIAL_CAP = 3600.0

# 2**12 is beyond the cap; a larger exponent would only risk an overflow.
_LAST_EXPONENT = 12


def backoff_delay(backoff: Sequence[float], attempt: int, random: Callable[[], float]) -> float:
    """The delay before the next attempt: full jitter, uniform between 0 and the attempt's base.

    Full jitter spreads the retries of jobs that failed together over the whole interval; in the
    simulations of its source it needs the fewest calls of the variants compared. Source: Marc Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        backoff: Base delays in seconds, one for each failed attempt; the last one repeats. Empty means
            1, 2, 4, … seconds, at most an hour.
        attempt: The number of the attempt that failed, from 1.
        random: Gives a number in [0, 1), such as ``random.random``.

    Returns:
        Seconds to wait, 0 or more.
    """
    step = max(attempt, 1) - 1
    if backoff:
        base = float(backoff[min(step, len(backoff) - 1)])
    else:
        base = min(2.0 ** min(step, _LAST_EXPONENT), EXPONENTIAL_CAP)
    return base * random()
