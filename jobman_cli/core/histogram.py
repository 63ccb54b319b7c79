"""Histograms of seconds with buckets that grow by a constant factor, and percentiles read from them.

A bucket is four to the octave: its upper bound is 2^¼ (19 %) above its lower one. A value is shown as the
geometric middle of its bucket, so it is off by 2^⅛ at the most: **9.1 %** of itself, from 10 µs to four
months. Histograms of one metric add up exactly, whoever counted, whenever; an average of percentiles would
mean nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

#: Seconds; what is shorter counts as this.
SHORTEST = 1e-5
#: Buckets in an octave, and how many there are in all.
STEPS, BUCKETS = 4, 160

#: The most by which a percentile differs from the value that it stands for, as a part of that value.
ERROR = 2 ** (1 / (2 * STEPS)) - 1

#: Bucket to how many values; a histogram without empty buckets.
Histogram = dict[int, int]

_BOUNDS = tuple(SHORTEST * 2 ** (index / STEPS) for index in range(1, BUCKETS))


def bucket(seconds: float) -> int:
    """The bucket of a value: the first whose upper bound is not below it."""
    return bisect_left(_BOUNDS, seconds)


def middle(index: int) -> float:
    """The value, in seconds, by which a bucket is shown."""
    return SHORTEST * 2 ** ((index + 0.5) / STEPS) if index else SHORTEST


def add_values(histogram: Histogram, ordered: Sequence[float]) -> None:
    """Count values, which must be in ascending order: a step for each bucket, not for each value."""
    at, end = 0, len(ordered)
    while at < end:
        index = bucket(ordered[at])
        after = _after(ordered, index, at, end)
        histogram[index] = histogram.get(index, 0) + after - at
        at = after


def _after(ordered: Sequence[float], index: int, at: int, end: int) -> int:
    if index == len(_BOUNDS):
        return end
    # Values that equal the bound belong below it.
    return bisect_left(ordered, math.nextafter(_BOUNDS[index], math.inf), at, end)


def merge(histogram: Histogram, other: Mapping[int, int]) -> Histogram:
    """Add ``other`` to ``histogram``, and return it."""
    for index, count in other.items():
        histogram[index] = histogram.get(index, 0) + count
    return histogram


def percentile(histogram: Mapping[int, int], share: float, most: float = math.inf) -> float | None:
    """The value below or at which a share of all values lies (nearest rank), in seconds.

    Args:
        share: 0.95 for the 95th percentile.
        most: The greatest value that was counted, if it is known.

    Returns:
        The value, off by ``ERROR`` at the most; None when nothing was counted.
    """
    total = sum(histogram.values())
    if not total:
        return None
    left = max(1, math.ceil(share * total - 1e-9))
    for index in sorted(histogram):
        left -= histogram[index]
        if left <= 0:
            return min(middle(index), most)
    raise AssertionError("unreachable")
