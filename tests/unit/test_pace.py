"""How many jobs a worker claims at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobman_cli.runtime.pace import MOST, TURN, Pace


def taught(*durations: float, most: int = MOST) -> Pace:
    pace = Pace(most)
    for seconds in durations:
        pace.learn("t", seconds)
    return pace


def settled(pace: Pace) -> int:
    return [pace.limit() for _ in range(10)][-1]


def test_it_begins_with_one():
    assert [Pace().limit() for _ in range(3)] == [1, 1, 1]


def test_it_at_most_doubles_from_turn_to_turn():
    pace = taught(0.00001)
    assert [pace.limit() for _ in range(8)] == [2, 4, 8, 16, 32, 64, 64, 64]


def test_it_aims_at_a_turn_of_work():
    assert settled(taught(*[0.0005] * 20)) == 10
    assert settled(taught(*[0.004] * 20)) == 1
    assert settled(taught(*[10.0] * 20)) == 1


def test_jobs_too_fast_for_the_clock():
    assert settled(taught(0.0, 0.0)) == MOST


def test_one_each_stays_one():
    assert settled(taught(*[0.00001] * 50, most=1)) == 1


def test_a_surprise_brings_it_down_at_once_and_it_comes_back():
    pace = taught(*[0.00001] * 50)
    assert settled(pace) == MOST
    pace.learn("t", 5.0)
    assert pace.limit() == 1
    for _ in range(100):
        pace.learn("t", 0.00001)
    assert settled(pace) == MOST


def test_only_what_was_seen_to_be_short_is_short():
    pace = taught(TURN)
    assert pace.is_short("t")
    assert not pace.is_short("never seen")
    pace.learn("t", TURN * 10)
    assert not pace.is_short("t"), "one slow run is enough"
    pace.learn("t", 0.0001)
    assert not pace.is_short("t"), "one fast run is not"
    for _ in range(20):
        pace.learn("t", 0.0001)
    assert pace.is_short("t")


def test_types_are_told_apart():
    pace = taught(0.0001)
    pace.learn("other", 1.0)
    assert pace.is_short("t")
    assert not pace.is_short("other")


@given(st.lists(st.floats(0, 1e6), max_size=30), st.integers(1, MOST))
def test_it_stays_within_its_bounds(durations, most):
    pace = taught(most=most)
    before = 1
    for seconds in durations:
        pace.learn("t", seconds)
        now = pace.limit()
        assert 1 <= now <= min(most, before * 2)
        before = now
