"""Balancing against a load table whose answers were worked out by hand from Horizon's formula."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobman_cli.core.balance import Limits, Load, share, spread_evenly, step


def test_simple_splits_evenly_and_leaves_no_queue_without_a_worker() -> None:
    assert spread_evenly(["a", "b"], 10) == {"a": 5, "b": 5}
    assert spread_evenly(["a", "b", "c"], 10) == {"a": 3, "b": 3, "c": 3}
    assert spread_evenly(["a", "b", "c"], 2) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(
    ("pools", "by_time", "wanted"),
    [
        # 30 x 1 s against 10 x 1 s of 10 workers: 7.5 and 2.5, rounded up.
        ({"a": Load(1, 30, 1.0), "b": Load(1, 10, 1.0)}, True, {"a": 8, "b": 3}),
        # The same numbers, but b's jobs take nine times as long: 30 against 90.
        ({"a": Load(1, 30, 1.0), "b": Load(1, 10, 9.0)}, True, {"a": 3, "b": 8}),
        # By size the runtimes do not count.
        ({"a": Load(1, 30, 1.0), "b": Load(1, 10, 9.0)}, False, {"a": 8, "b": 3}),
        # Nothing known of the runtimes: whoever has work wants everything.
        ({"a": Load(1, 5), "b": Load(1, 0)}, True, {"a": 10, "b": 1}),
        ({"a": Load(4, 0, 2.0), "b": Load(4, 0, 2.0)}, True, {"a": 1, "b": 1}),
    ],
)
def test_shares_worked_out_by_hand(pools: dict[str, Load], by_time: bool, wanted: dict[str, int]) -> None:
    assert share(pools, Limits(least=1, most=10, shift=1), by_time=by_time) == wanted


def test_a_step_moves_by_the_shift_only() -> None:
    limits = Limits(least=1, most=10, shift=2)
    assert step({"a": Load(1, 100, 1.0), "b": Load(1, 0, 1.0)}, limits, by_time=True) == {"a": 3, "b": 1}
    assert step({"a": Load(8, 0, 1.0), "b": Load(2, 0, 1.0)}, limits, by_time=True) == {"a": 6, "b": 1}


def test_one_pool_leaves_room_for_the_others_least() -> None:
    limits = Limits(least=2, most=10, shift=10)
    assert step({"a": Load(2, 1000, 1.0), "b": Load(2, 0, 1.0)}, limits, by_time=True) == {"a": 8, "b": 2}


def test_a_full_supervisor_gives_before_it_takes() -> None:
    """b must shrink before a may grow: the sum stays within the most."""
    limits = Limits(least=1, most=4, shift=1)
    now = {"a": Load(1, 50, 1.0), "b": Load(3, 0, 1.0)}
    first = step(now, limits, by_time=True)
    assert first == {"a": 1, "b": 2}
    second = step({"a": Load(1, 50, 1.0), "b": Load(2, 0, 1.0)}, limits, by_time=True)
    assert second == {"a": 2, "b": 1}


loads = st.builds(Load, st.integers(0, 20), st.integers(0, 10_000), st.floats(0, 100))


@given(
    st.dictionaries(st.sampled_from("abcdef"), loads, min_size=1),
    st.integers(0, 3),
    st.integers(1, 30),
    st.integers(1, 5),
    st.booleans(),
)
def test_a_step_keeps_every_limit(
    pools: dict[str, Load], least: int, most: int, shift: int, by_time: bool
) -> None:
    limits = Limits(least, max(most, least * len(pools)), shift)
    after = step(pools, limits, by_time=by_time)
    before = sum(load.workers for load in pools.values())
    assert sum(after.values()) <= max(limits.most, before, least * len(pools))
    for name, load in pools.items():
        assert after[name] >= min(load.workers, least)
        assert after[name] - load.workers <= max(shift, least - load.workers)
        assert load.workers - after[name] <= shift
