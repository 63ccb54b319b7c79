"""Percentiles from buckets: within the bound that is stated, whatever the values."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobman_cli.core.histogram import (
    BUCKETS,
    ERROR,
    SHORTEST,
    STEPS,
    Histogram,
    add_values,
    bucket,
    merge,
    middle,
    percentile,
)


def counted(*values: float) -> Histogram:
    histogram: Histogram = {}
    add_values(histogram, sorted(values))
    return histogram


def test_the_bound_is_what_the_page_says() -> None:
    assert 0.09 < ERROR < 0.091
    assert SHORTEST * 2 ** (BUCKETS / STEPS) > 120 * 86_400


def test_percentiles_by_hand() -> None:
    # 100 attempts: 90 of 10 ms, 9 of 1 s, one of 60 s. By nearest rank p50 = p90 = 10 ms, p95 = p99 = 1 s.
    histogram = counted(*[0.01] * 90, *[1.0] * 9, 60.0)
    assert histogram == {bucket(0.01): 90, bucket(1.0): 9, bucket(60.0): 1}
    for share, exact in ((0.5, 0.01), (0.9, 0.01), (0.91, 1.0), (0.95, 1.0), (0.99, 1.0), (1.0, 60.0)):
        assert percentile(histogram, share) == pytest.approx(exact, rel=ERROR)
    # 10 µs × 2^(66/4) = 0.927 s and 10 µs × 2^(67/4) = 1.102 s: 1 s is in bucket 66, shown as 1.011 s.
    assert bucket(1.0) == 66
    assert middle(66) == pytest.approx(1e-5 * 2 ** (66.5 / 4))


def test_edges() -> None:
    assert percentile({}, 0.5) is None
    assert counted(0.0, 1e-9, SHORTEST) == {0: 3}
    assert percentile(counted(0.0), 0.5) == SHORTEST
    assert percentile(counted(0.0), 0.5, most=0.0) == 0.0
    assert percentile(counted(1e12), 0.5) < 1e12
    assert list(counted(1e12)) == [BUCKETS - 1]


def test_a_bound_belongs_to_the_bucket_below() -> None:
    for index in range(BUCKETS - 1):
        upper = SHORTEST * 2 ** ((index + 1) / STEPS)
        assert bucket(upper) == index
        assert counted(upper, math.nextafter(upper, math.inf)) == {index: 1, index + 1: 1}


@given(st.lists(st.floats(SHORTEST, 1e7), min_size=1, max_size=200), st.floats(0.01, 1))
def test_always_within_the_bound(values: list[float], share: float) -> None:
    values.sort()
    exact = values[max(1, math.ceil(share * len(values) - 1e-9)) - 1]
    found = percentile(counted(*values), share, values[-1])
    assert found is not None
    assert abs(found - exact) <= exact * ERROR * 1.0001
    histogram: Histogram = {}
    for value in values:
        histogram[bucket(value)] = histogram.get(bucket(value), 0) + 1
    assert histogram == counted(*values)


def test_adding_up_loses_nothing() -> None:
    numbers = random.Random(1)
    some = [[numbers.lognormvariate(-3, 2) for _ in range(500)] for _ in range(4)]
    whole: Histogram = {}
    for values in some:
        merge(whole, counted(*values))
    assert whole == counted(*[value for values in some for value in values])
