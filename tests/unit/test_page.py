"""The page that a worker shares with its supervisor."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jobman_cli.runtime import page as pages
from jobman_cli.runtime.page import Page


def ids(page: Page, now: float) -> list[int]:
    return [each.job_id for each in page.overdue(now, grace=5.0)]


def test_it_names_what_was_started_last_in_each_place():
    page = Page(3)
    assert page.read() == []
    page.start(7, 1, math.inf)
    page.start(8, 2, 100.0, place=2)
    page.start(9, 1, 100.0, place=2)
    page.end(2)
    assert [(each.job_id, each.claims, each.active) for each in page.read()] == [(7, 1, True), (9, 1, False)]


def test_a_job_is_overdue_when_its_time_and_the_grace_are_up():
    page = Page(2)
    page.start(1, 1, 100.0)
    page.start(2, 1, math.inf, place=1)
    assert ids(page, 104.9) == []
    assert ids(page, 105.0) == [1]
    page.end()
    assert ids(page, 999.0) == []


def test_whoever_holds_the_loop_is_to_blame_and_nobody_else():
    page = Page(3)
    page.start(1, 1, 100.0)
    page.start(2, 1, 101.0, place=1)
    page.start(3, 1, math.inf, place=2)
    page.is_held(2, since=99.0)
    assert ids(page, 104.9) == []
    assert ids(page, 105.0) == [3], "although it has no timeout: the others cannot end because of it"
    page.is_held(None, since=99.0)
    assert ids(page, 106.0) == [1, 2], "nobody knows better"


def test_a_hold_counts_from_its_own_beginning():
    page = Page(2)
    page.start(1, 1, 100.0)
    page.start(2, 1, math.inf, place=1)
    page.is_held(1, since=103.0)
    assert ids(page, 107.9) == []
    assert ids(page, 108.0) == [2]


def test_when_the_loop_turns_again_those_that_are_late_have_the_grace():
    page = Page(2)
    page.start(1, 1, 100.0)
    page.is_held(1, since=99.0)
    page.turns(since=120.0)
    assert ids(page, 124.9) == []
    assert ids(page, 125.0) == [1]


def test_what_is_written_while_it_is_read_is_left_out(monkeypatch: pytest.MonkeyPatch):
    """The deadline of a job of long ago and the activity of the one that begins now: nobody is overdue."""
    page, place = Page(), pages._PLACE
    page.start(1, 1, 100.0)
    page.end()

    class Slow:
        size, pack_into = place.size, place.pack_into

        @staticmethod
        def unpack_from(memory: Any, at: int) -> tuple[Any, ...]:
            read = place.unpack_from(memory, at)
            page.start(2, 1, math.inf)
            return (*read[:-1], place.unpack_from(memory, at)[-1])

    monkeypatch.setattr(pages, "_PLACE", Slow)
    assert ids(page, 200.0) == []
    monkeypatch.undo()
    assert [each.job_id for each in page.read()] == [2]
