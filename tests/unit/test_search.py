"""The search box's language: what is written is read again, and nonsense is explained."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobman_cli.core.states import Status
from jobman_cli.core.values import MAX_ID
from jobman_cli.dashboard.search import OF_FAILED, QUALIFIERS, Search, read_search, write_search
from jobman_cli.errors import UsageError

TEXTS = st.text(st.characters(blacklist_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=60)
IDS = st.none() | st.integers(1, MAX_ID)
TIMES = st.none() | st.sampled_from(["2h", "1.5d", "2030-01-31", "2030-01-31T12:00+08:00"])
QUEUES = st.none() | st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True)
SEARCHES = st.builds(
    Search,
    statuses=st.sets(st.sampled_from([each.value for each in Status])).map(lambda some: tuple(sorted(some))),
    type=st.none() | TEXTS,
    queue=QUEUES,
    tag=st.none() | TEXTS,
    id=IDS,
    error=st.none() | TEXTS,
    before=IDS,
    since=TIMES,
    until=TIMES,
)
PIECES = st.sampled_from(
    [*(f"{each}:" for each in QUALIFIERS), '"', "\\", " ", "failed", "2h", "1", "x", "\0"]
)


@given(SEARCHES)
def test_what_is_written_is_read_again(search: Search) -> None:
    assert read_search(write_search(search)) == search


@given(st.text(max_size=200) | st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join))
def test_anything_is_read_or_explained(text: str) -> None:
    for known in (tuple(QUALIFIERS), OF_FAILED):
        try:
            search = read_search(text, known)
        except UsageError as error:
            assert error.message and error.hint
            continue
        assert read_search(write_search(search), known) == search


def test_words_are_text_in_the_error() -> None:
    assert read_search("connection  refused") == Search(error="connection refused")
    assert read_search("ValueError: odd http://x:80") == Search(error="ValueError: odd http://x:80")
    assert read_search('"a \\"b\\" c"').error == 'a "b" c'
    assert read_search("C:\\temp") == Search(error="C:\\temp")
    assert read_search("") == read_search("  ") == Search()


def test_states_add_up() -> None:
    assert read_search("status:failed status:cancelled,failed").statuses == ("cancelled", "failed")
    assert Search(statuses=("failed", "queued")).finished == ("failed",)
    assert Search().finished == ("cancelled", "completed", "failed")


@pytest.mark.parametrize(
    ("text", "qualifier", "takes"),
    [
        ("status:odd", "status:", "scheduled, running"),
        ("status:,", "status:", "such as status:failed"),
        ("type:", "type:", "type:send-mail"),
        ("type:a type:b", "type:", "twice"),
        ('tag:"a" tag:b', "tag:", "twice"),
        ("queue:a/b", "queue:", "letters, digits"),
        ("id:x", "id:", "whole number"),
        ("before:0", "before:", "whole number"),
        (f"id:{MAX_ID + 1}", "id:", "whole number"),
        ("since:soon", "since:", "2030-01-31"),
        ("error:a b", "error:", "ask for the same"),
        ("stauts:failed", "stauts:", "status: is one"),
        ('tag:"open', '"', "not closed"),
        ('"a"b', '"', "not closed"),
        ("x" * 1001, "too long", "1000"),
    ],
)
def test_nonsense_is_explained(text: str, qualifier: str, takes: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_search(text)
    said = f"{caught.value.message} {caught.value.hint}"
    assert qualifier in said and takes in said


def test_what_cannot_be_asked_for_here_is_said() -> None:
    with pytest.raises(UsageError, match="status: cannot be asked for here"):
        read_search("status:failed", OF_FAILED)
