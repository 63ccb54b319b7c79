"""How many inputs a fuzz tries: some in each run of the tests, as many as FUZZ_INPUTS says in `make fuzz`."""

from __future__ import annotations

import os
from collections import Counter

#: Inputs of each kind in the long profile; 0 is the short one.
INPUTS = int(os.environ.get("FUZZ_INPUTS", "0"))
#: What was tried in this run, by kind; the summary prints it.
TRIED: Counter[str] = Counter()


def many(few: int, share: float = 1.0) -> int:
    """How many examples a test takes.

    Args:
        few: In a usual run, and at the least.
        share: Of its kind's inputs in the long profile.
    """
    return max(few, round(INPUTS * share))


def patience(seconds: float) -> float:
    """A test's time limit, which in the long profile is another."""
    return 7200.0 if INPUTS else seconds


def tried(kind: str, number: int = 1) -> None:
    """Count inputs: ``config``, ``attribs``, ``CLI``, ``HTTP`` or ``queue``."""
    TRIED[kind] += number
