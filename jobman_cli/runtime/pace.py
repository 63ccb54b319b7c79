"""How many jobs a worker claims at once.

It aims at ``TURN`` seconds of work a turn. Only job types known to be short are claimed in advance: what
a crash can repeat is then a few milliseconds of work.
"""

from __future__ import annotations

TURN = 0.005
MOST = 64
#: The weight of the latest duration in a type's average.
WEIGHT = 0.2


class Pace:
    """Durations by job type, and the number that follows from them.

    Args:
        most: The largest number; 1 records each job in a transaction of its own.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_type: dict[str, float] = {}
        self._average: float | None = None
        self._limit = 1

    def learn(self, job_type: str, seconds: float) -> None:
        """Take in how long a job ran."""
        known = self._by_type.get(job_type)
        # Slow runs count at once, fast ones slowly: a type is short only while it stays short.
        self._by_type[job_type] = (
            seconds if known is None or seconds > known else known + WEIGHT * (seconds - known)
        )
        average = self._average
        self._average = seconds if average is None else average + WEIGHT * (seconds - average)

    def limit(self) -> int:
        """How many to claim now; it at most doubles from turn to turn."""
        if self._average is None:
            return 1
        fitting = min(TURN / self._average, self._most) if self._average > 0 else self._most
        self._limit = max(1, min(int(fitting), self._limit * 2))
        return self._limit

    def is_short(self, job_type: str) -> bool:
        """True for a type whose jobs are known to fit into a turn."""
        known = self._by_type.get(job_type)
        return known is not None and known <= TURN
