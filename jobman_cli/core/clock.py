"""A job's place in its line, as one integer.

``rank = queued_ms - priority * 10**12``: a priority step outweighs 31 years of waiting, and every rank
is exact in a double, which is what Redis keeps as a sorted set's score.
"""

from __future__ import annotations

PRIORITY_STEP = 10**12
MIN_PRIORITY, MAX_PRIORITY = -1000, 1000

#: Digits of the zero-padded id that is a queue's member: the widest signed 64-bit integer.
ID_WIDTH = 19


def rank(queued_ms: int, priority: int) -> int:
    """The place in the line of a job queued at ``queued_ms`` (milliseconds since 1970, UTC)."""
    return queued_ms - priority * PRIORITY_STEP


def waited(rank: int, until: float) -> float:
    """Seconds from joining the line to ``until`` (seconds since 1970); 0 where two clocks make it negative.

    The priority goes out by the division, because nobody waits for a whole step (31 years).
    """
    wait = (until * 1000.0 - rank) % PRIORITY_STEP
    return wait / 1000.0 if wait < PRIORITY_STEP / 2 else 0.0
