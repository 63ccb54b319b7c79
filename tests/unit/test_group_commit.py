"""Calls that meet in a group: each is answered once, by its own answer, whatever becomes of who leads."""

from __future__ import annotations

import ctypes
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from processes import wait_until

from jobman_cli.errors import StoreUnavailable
from jobman_cli.operations import group_commit
from jobman_cli.operations.group_commit import LEADERS, MOST, GroupCommit


class Desk:
    """Answers with the double. The first `LEADERS` calls, which come alone, wait for `door`."""

    def __init__(self) -> None:
        self.group, self.door = GroupCommit(), threading.Event()
        self.groups: list[list[int]] = []
        self.trouble: dict[int, BaseException] = {}
        self._pool = ThreadPoolExecutor(100)

    def one(self, item: int) -> int:
        assert self.door.wait(10)
        return self._answer(item)

    def some(self, items: list[int]) -> list[int | Exception]:
        self.groups.append(items)
        answers: list[int | Exception] = []
        for item in items:
            try:
                answers.append(self._answer(item))
            except Exception as error:
                answers.append(error)
        return answers

    def _answer(self, item: int) -> int:
        if item in self.trouble:
            raise self.trouble[item]
        return item * 2

    def busy(self) -> list[Future[int]]:
        """Let all who may lead be at work."""
        calls: list[Future[int]] = []
        for number in range(LEADERS):
            calls += [self._pool.submit(self.group.do, -number, self.one, self.some)]
            wait_until(lambda n=number: len(self.group._state.leading) == n + 1, 5, "a leader")
        return calls

    def send(self, *items: int) -> list[Future[int]]:
        """Have each item wait in a thread of its own, in this order; all who may lead are at work."""
        calls: list[Future[int]] = []
        for number, item in enumerate(items):
            calls += [self._pool.submit(self.group.do, item, self.one, self.some)]
            wait_until(lambda n=number: len(self.group._state.waiting) == n + 1, 5, "the call")
        return calls

    def until_empty(self) -> None:
        state = self.group._state
        wait_until(lambda: not state.leading and not state.waiting, 5, "all to have left")


def answer(call: Future[int]) -> Any:
    return call.exception(10) or call.result(0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_call_that_comes_alone_is_done_alone(desk: Desk) -> None:
    desk.door.set()
    assert [desk.group.do(item, desk.one, desk.some) for item in (1, 2, 3)] == [2, 4, 6]
    assert desk.groups == []


def test_those_that_wait_are_done_together(desk: Desk) -> None:
    first, rest = desk.busy(), desk.send(*range(1, 8))
    desk.door.set()
    assert [answer(call) for call in rest] == [2, 4, 6, 8, 10, 12, 14]
    assert [answer(call) for call in first] == [0, -2]
    assert desk.groups == [[1, 2, 3, 4, 5, 6, 7]]
    desk.until_empty()


def test_a_group_has_its_bounds(desk: Desk) -> None:
    desk.busy()
    rest = desk.send(*range(1, MOST + 3))
    desk.door.set()
    assert [answer(call) for call in rest] == [2 * n for n in range(1, MOST + 3)]
    assert sorted(len(group) for group in desk.groups) == [2, MOST]


def test_one_that_fails_fails_alone(desk: Desk) -> None:
    desk.trouble = {2: ValueError("two"), 3: KeyError("three")}
    desk.busy()
    rest = desk.send(1, 2, 3, 4)
    desk.door.set()
    assert [answer(call) for call in rest] == [2, desk.trouble[2], desk.trouble[3], 8]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a fault of ours")])
def test_nobody_waits_for_a_leader_that_was_interrupted(desk: Desk, error: BaseException) -> None:
    def some(_items: list[int]) -> list[int | Exception]:
        raise error

    desk.busy()
    desk.some = some  # type: ignore[method-assign]
    rest = desk.send(1, 2, 3)
    desk.door.set()
    assert answer(rest[0]) is error
    for call in rest[1:]:
        assert isinstance(answer(call), StoreUnavailable)
        assert "was interrupted" in answer(call).message
    desk.until_empty()
    assert desk.group.do(5, desk.one, desk.some) == 10


def test_a_leader_alone_that_is_interrupted_hands_on(desk: Desk) -> None:
    desk.trouble = {0: KeyboardInterrupt()}
    first, rest = desk.busy(), desk.send(1, 2)
    desk.door.set()
    assert isinstance(answer(first[0]), KeyboardInterrupt)
    assert [answer(call) for call in rest] == [2, 4]


class Interrupt(BaseException):
    """As a signal's handler raises one."""


def interrupt(thread_id: int) -> None:
    """Raise in a thread, as soon as it comes back to Python."""
    assert (
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(Interrupt))
        == 1
    )


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_that_waits_and_is_interrupted(desk: Desk, which: int) -> None:
    """The first is to lead the others by the time that it hears of it; they are done all the same."""
    desk.busy()
    calls = desk.send(1, 2, 3)
    interrupt(desk.group._state.waiting[which].thread)
    desk.door.set()
    for number, call in enumerate(calls):
        if number == which:
            assert isinstance(answer(call), Interrupt)
        else:
            assert answer(call) == 2 * (number + 1)
    desk.until_empty()


def test_a_leader_that_was_interrupted_while_it_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had to do is done when its thread comes again: no place to lead is lost."""

    def broken(_state: Any, _call: Any) -> None:
        raise Interrupt

    desk.door.set()
    with monkeypatch.context() as patch:
        patch.setattr(group_commit, "_leave", broken)
        with pytest.raises(Interrupt):
            desk.group.do(1, desk.one, desk.some)
    assert len(desk.group._state.leading) == 1
    assert desk.group.do(2, desk.one, desk.some) == 4
    desk.until_empty()


def test_a_fork_starts_anew(desk: Desk) -> None:
    """It inherits no thread, so nobody there will end what was under way, nor let go of the lock."""
    calls = [*desk.busy(), *desk.send(1)]
    with desk.group._state.lock:
        pid = os.fork()
        if pid == 0:
            desk.door.set()
            os._exit(desk.group.do(21, desk.one, desk.some))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    desk.door.set()
    assert [answer(call) for call in calls] == [0, -2, 2]


def test_a_crowd(desk: Desk) -> None:
    """Every call gets its own answer, and is done once."""
    desk.door.set()
    done: list[int] = []
    lock = threading.Lock()

    def one(item: int) -> int:
        return some([item])[0]  # type: ignore[return-value]

    def some(items: list[int]) -> list[int | Exception]:
        with lock:
            done.extend(items)
        return [item + 1 for item in items]

    def ask(start: int) -> bool:
        numbers = range(start, start + 500)
        return [desk.group.do(number, one, some) for number in numbers] == [n + 1 for n in numbers]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(0, 8000, 500)))
    assert sorted(done) == list(range(8000))
    desk.until_empty()
