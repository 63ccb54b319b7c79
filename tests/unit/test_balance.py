"""Balancing against a load table whose answers were worked out by hand from Horizon's formula."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobman_cli.core.balance import Limits, Load, share, spread_evenly, step
from jobman_cli.operations.metrics import QueueState
from jobman_cli.runtime.consumer.balancer import Balancer
from jobman_cli.settings.blocks import Block
from jobman_cli.settings.model import SUPERVISOR_DEFAULTS


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


def test_a_worker_that_is_ending_keeps_its_room() -> None:
    """However the pools are ordered: b's third worker may be in an hour's job."""
    limits = Limits(least=1, most=4, shift=1)
    now = {"b": Load(3, 0, 1.0), "a": Load(1, 50, 1.0)}
    assert step(now, limits, by_time=True) == {"b": 2, "a": 1}


def test_who_wants_least_comes_first() -> None:
    """As in Horizon: there is room for one, and who wants three gets it, not who wants nine."""
    limits = Limits(least=1, most=10, shift=1)
    now = {"a": Load(8, 80, 1.0), "b": Load(1, 20, 1.0)}
    assert step(now, limits, by_time=True) == {"a": 8, "b": 2}


def block(**options: Any) -> Block:
    return Block(**{"name": "default", **SUPERVISOR_DEFAULTS, "queues": ("a", "b"), **options})


def queue(name: str, size: int, runtime: float | None = 1.0) -> QueueState:
    return QueueState(name, size, 1.0, False, 1, runtime, None)


def test_the_pools_of_each_way_to_balance() -> None:
    assert Balancer(block(min_processes=2)).begin() == {("a",): 2, ("b",): 2}
    assert Balancer(block(balance="off")).begin() == {("a", "b"): 1}
    simple = Balancer(block(balance="simple", max_processes=5))
    assert (simple.begin(), simple.is_due) == ({("a",): 2, ("b",): 2}, False)


def test_a_paused_queue_draws_nobody_and_gives_up_its_workers() -> None:
    states = {"a": queue("a", 1000), "b": queue("b", 1)}
    balancer = Balancer(block())
    assert balancer.decide(states, {("a",): 3, ("b",): 1}, paused={"a"}) == {("a",): 2, ("b",): 1}
    assert not balancer.is_due, "the cooldown has begun"
    together = Balancer(block(balance="off"))
    assert together.decide(states, {("a", "b"): 2}, paused={"a", "b"}) == {("a", "b"): 1}
    assert together.decide(states, {("a", "b"): 2}, paused={"a"}) == {("a", "b"): 3}


def test_a_hundred_steps_of_a_simulated_load() -> None:
    """A flood in b after a's: workers follow it one at a time, and never are more than the most."""
    balancer = Balancer(block(max_processes=5))
    workers = balancer.begin()
    waits = {"a": 60, "b": 0}
    course = []
    for moment in range(100):
        if moment == 20:
            waits["b"] = 90
        states = {name: queue(name, size) for name, size in waits.items()}
        after = balancer.decide(states, workers, ())
        assert all(abs(after[pool] - workers[pool]) <= 1 for pool in after)
        workers = after
        assert sum(workers.values()) <= 5
        for (name,), number in workers.items():
            waits[name] = max(waits[name] - number, 0)
        course.append(tuple(workers.values()))
    assert course[:4] == [(2, 1), (3, 1), (4, 1), (4, 1)]
    assert (1, 4) in course[20:40]
    assert course[-1] == (1, 1) and waits == {"a": 0, "b": 0}


def test_a_new_pool_waits_for_room_and_gets_it() -> None:
    """Its least is no excuse for more workers than the most; who sits in its place goes."""
    limits, b = Limits(2, 4, 1), Load(3, 100, 10.0)
    assert step({"a": Load(0, 0, 0.0), "b": b}, limits, by_time=True) == {"a": 1, "b": 2}
    assert step({"a": Load(1, 0, 0.0), "b": Load(2, 100, 10.0)}, limits, by_time=True) == {"a": 2, "b": 2}


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
