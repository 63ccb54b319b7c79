"""The delay after a failed attempt."""

from hypothesis import given
from hypothesis import strategies as st

from jobman_cli.core.backoff import EXPONENTIAL_CAP, backoff_delay


def base(backoff, attempt):
    return backoff_delay(backoff, attempt, lambda: 1.0)


def test_each_attempt_has_its_base_and_the_last_repeats():
    assert [base((1, 5, 10), attempt) for attempt in (1, 2, 3, 4, 99)] == [1, 5, 10, 10, 10]


def test_without_a_list_it_doubles_up_to_an_hour():
    assert [base((), attempt) for attempt in (1, 2, 3, 12, 13, 14, 10**9)] == [
        1,
        2,
        4,
        2048,
        3600,
        3600,
        3600,
    ]


def test_zero_means_at_once():
    assert backoff_delay([0], 1, lambda: 0.5) == 0


def test_the_jitter_is_full():
    assert backoff_delay([10], 1, lambda: 0.0) == 0
    assert backoff_delay([10], 1, lambda: 0.25) == 2.5


@given(
    st.lists(st.floats(0, 1e9), max_size=5),
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
)
def test_it_stays_between_zero_and_the_base(backoff, attempt, number):
    delay = backoff_delay(backoff, attempt, lambda: number)
    assert 0 <= delay <= max([*backoff, 0] if backoff else [EXPONENTIAL_CAP])
