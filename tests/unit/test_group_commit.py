"""Calls that meet in a group: each is answered once, by its own answer, whatever becomes of who leads."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from threads import Threads

from jobman_cli.errors import StoreUnavailable
from jobman_cli.operations import group_commit
from jobman_cli.operations.group_commit import MOST, GroupCommit, Pace

KEY = "key"
FEW = 2


class Desk:
    """Answers with the double. Whoever comes alone waits for `door`.

    Args:
        groups: As in `Pace`; 1 leaves nothing to how slow this machine is.
    """

    def __init__(self, groups: int = 1, haste: float = 0.001) -> None:
        self.group, self.door = GroupCommit(Pace(FEW, groups, haste)), threading.Event()
        self.groups: list[list[int]] = []
        self.trouble: dict[int, BaseException] = {}
        self.threads: dict[int, int] = {}
        self._pool = Threads()

    def one(self, item: int, _pass_on: Any) -> int:
        assert self.door.wait(10)
        return self._answer(item)

    def some(self, items: list[int], _pass_on: Any) -> list[int | Exception]:
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

    def do(self, item: int, key: str = KEY) -> int:
        self.threads[item] = threading.get_ident()
        return self.group.do(key, item, self.one, self.some)

    @property
    def line(self) -> Any:
        return self.group._state.lines.get(KEY) or group_commit._Line(Pace(FEW, 1))

    def busy(self) -> list[Future[int]]:
        """Let all who may lead be at work."""
        calls: list[Future[int]] = []
        for number in range(FEW):
            calls += [self._pool.submit(self.do, -number)]
            wait_until(lambda n=number: len(self.line.under_way) == n + 1, 5, "a leader")
        return calls

    def send(self, *items: int) -> list[Future[int]]:
        """Have each item wait in a thread of its own, in this order; all who may lead are at work."""
        calls: list[Future[int]] = []
        for number, item in enumerate(items):
            calls += [self._pool.submit(self.do, item)]
            wait_until(lambda n=number: len(self.line.waiting) == n + 1, 5, "the call")
        return calls

    def until_empty(self) -> None:
        wait_until(lambda: not self.group._state.lines, 5, "all to have left")


def answer(call: Future[int]) -> Any:
    return call.exception(10) or call.result(0)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, nobody looks around of himself, unless a test will have it."""
    monkeypatch.setattr(group_commit, "PATIENCE", 60.0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_call_that_comes_alone_is_done_alone(desk: Desk) -> None:
    desk.door.set()
    assert [desk.do(item) for item in (1, 2, 3)] == [2, 4, 6]
    assert desk.groups == []
    desk.until_empty()


def test_those_that_wait_are_done_together(desk: Desk) -> None:
    first, rest = desk.busy(), desk.send(*range(1, 8))
    desk.door.set()
    assert [answer(call) for call in rest] == [2, 4, 6, 8, 10, 12, 14]
    assert [answer(call) for call in first] == [0, -2]
    assert desk.groups == [[1, 2, 3, 4, 5, 6, 7]]
    desk.until_empty()


def test_those_of_another_kind_go_their_own_way(desk: Desk) -> None:
    """They neither wait for the others nor meet them."""
    desk.busy()
    rest = desk.send(1, 2)
    free = Desk()
    free.group = desk.group
    free.door.set()
    assert free.do(5, "another") == 10
    desk.door.set()
    assert [answer(call) for call in rest] == [2, 4]


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


class Interrupt(BaseException):
    """As a signal's handler raises one."""


class Timeout(Exception):
    """As a job's timeout raises one."""


@pytest.mark.parametrize("error", [Interrupt, Timeout])
def test_nobody_waits_for_a_leader_that_was_interrupted(desk: Desk, error: type[BaseException]) -> None:
    """Nor is another given what was raised in its thread."""

    def some(_items: list[int], _pass_on: Any) -> list[int | Exception]:
        raise error

    desk.busy()
    desk.some = some  # type: ignore[method-assign]
    rest = desk.send(1, 2, 3)
    desk.door.set()
    answers = [answer(call) for call in rest]
    assert sorted(type(each).__name__ for each in answers) == sorted(
        [error.__name__, "StoreUnavailable", "StoreUnavailable"]
    )
    assert all("was interrupted" in each.message for each in answers if isinstance(each, StoreUnavailable))
    desk.until_empty()
    assert desk.do(5) == 10


def test_a_leader_alone_that_is_interrupted_hands_on(desk: Desk) -> None:
    desk.trouble = {0: Interrupt()}
    first, rest = desk.busy(), desk.send(1, 2)
    desk.door.set()
    assert isinstance(answer(first[0]), Interrupt)
    assert [answer(call) for call in rest] == [2, 4]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_that_waits_and_is_interrupted(desk: Desk, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    """It may lead the others by the time that it hears of it: they are told then, and do not wait."""
    monkeypatch.setattr(group_commit, "PATIENCE", 0.02)
    desk.busy()
    calls = desk.send(1, 2, 3)
    target = ctypes.c_ulong(desk.threads[which + 1])
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(Interrupt)) == 1
    desk.door.set()
    for number, call in enumerate(calls):
        got = answer(call)
        if number == which:
            assert isinstance(got, Interrupt)
        else:
            assert got == 2 * (number + 1) or isinstance(got, StoreUnavailable)
    desk.until_empty()


class Tripwire:
    """Raises in its thread at the n-th line of the module that it comes to.

    Not where Python lets no signal in: between a lock and its block, and at the first step of a `finally`.
    """

    LINES = Path(group_commit.__file__).read_text().splitlines()
    SAFE = ("with self.lock:", "call.over = True")

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: Any, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != group_commit.__file__:
            return None
        if event == "line" and self.LINES[frame.f_lineno - 1].strip() not in self.SAFE:
            self.left -= 1
            if self.left == 0:
                raise Interrupt
        return self


def traced(tracer: Any, do: Callable[[], int]) -> int:
    sys.settrace(tracer)
    try:
        return do()
    finally:
        sys.settrace(None)


def interrupted(desk: Desk, wire: Tripwire) -> int | None:
    """None when the wire struck."""
    try:
        return traced(wire, lambda: desk.do(1))
    except Interrupt:
        return None


@pytest.mark.parametrize("role", ["leads a group", "goes alone before a group", "is in a group"])
def test_an_interrupt_at_any_line(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else waits for ever, and no place is lost, wherever it strikes."""
    monkeypatch.setattr(group_commit, "PATIENCE", 0.01)
    for line in range(1, 500):
        desk, wire = Desk(), Tripwire(line)

        before = [-1] if role == "goes alone before a group" else [-1, -2]
        before += [-3] if role == "is in a group" else []
        first = []
        for item in before:
            first.append(desk._pool.submit(desk.do, item))
            wait_until(lambda item=item, desk=desk: item in desk.threads, 5, "a call")
            time.sleep(0.0005)  # to the place where it waits, or nearly: all that follows holds in any order
        call = desk._pool.submit(interrupted, desk, wire)
        time.sleep(0.001)  # likewise
        rest = [desk._pool.submit(desk.do, item) for item in (2, 3, 4)]
        time.sleep(0.001)  # likewise
        desk.door.set()
        for item, other in zip([*before, 2, 3, 4], [*first, *rest], strict=True):
            error = other.exception(5)
            assert isinstance(error, StoreUnavailable) or other.result(0) == 2 * item, line
        got = call.result(5)
        assert [desk.do(item) for item in (7, 8)] == [14, 16], line
        desk.until_empty()
        if got == 2 and wire.left > 0:
            break  # it came to its end without meeting the wire
    assert 20 < line < 499


def test_the_next_need_not_wait_for_what_comes_after(desk: Desk) -> None:
    """A push into a Redis that does not answer takes most of a second."""
    written = threading.Event()

    def slow(item: int, pass_on: Any) -> int:
        assert written.wait(10)
        pass_on()
        assert desk.door.wait(10)
        return item

    def some(items: list[int], pass_on: Any) -> list[int | Exception]:
        return [slow(item, pass_on) for item in items]

    first = [desk._pool.submit(desk.group.do, KEY, n, slow, some) for n in range(FEW)]
    wait_until(lambda: len(desk.line.under_way) == FEW, 5, "the leaders")
    rest = desk._pool.submit(desk.group.do, KEY, 7, lambda item, _: item, desk.some)
    wait_until(lambda: len(desk.line.waiting) == 1, 5, "the call")
    written.set()
    assert rest.result(5) == 7
    assert not any(call.done() for call in first)
    desk.door.set()
    assert [call.result(5) for call in first] == [*range(FEW)]
    desk.until_empty()


def test_who_is_in_the_middle_of_it_and_comes_again(desk: Desk) -> None:
    """As a signal's handler may, or a log's that sends its warnings by a job: also after it has passed on."""

    def again(item: int, pass_on: Any) -> int:
        before = desk.do(item)
        pass_on()
        return before + desk.do(item)

    desk.door.set()
    assert desk.group.do(KEY, 1, again, desk.some) == 4
    desk.until_empty()


def test_a_handler_in_a_thread_that_waits(desk: Desk) -> None:
    """What it interrupted cannot go on before it ends: it must not wait behind it."""
    first = desk.busy()
    got: list[int] = []

    def strike(frame: Any, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != group_commit.__file__:
            return None
        if not got and "acquire(timeout" in Tripwire.LINES[frame.f_lineno - 1]:
            got.append(desk.group.do(KEY, 5, lambda item, _: item, desk.some))
        return strike

    call = desk._pool.submit(traced, strike, lambda: desk.do(1))
    wait_until(lambda: got == [5], 5, "the handler to be done, while those ahead are not")
    desk.door.set()
    assert [answer(each) for each in (call, *first)] == [2, 0, -2]


def test_a_commit_that_takes_long_is_not_waited_for() -> None:
    """Those that came meanwhile begin beside it, still together."""
    desk = Desk(groups=8, haste=1.0)
    first, rest = desk.busy(), desk.send(1, 2, 3)
    assert [answer(call) for call in rest] == [2, 4, 6]
    assert desk.groups == [[1, 2, 3]]
    assert not any(call.done() for call in first)
    desk.door.set()
    assert [answer(call) for call in first] == [0, -2]
    desk.until_empty()


def test_who_is_one_too_many_for_a_group_in_haste_leads_the_next() -> None:
    desk = Desk(groups=8, haste=2.0)
    first, rest = desk.busy(), desk.send(*range(1, MOST + 4))
    assert [answer(call) for call in rest] == [2 * n for n in range(1, MOST + 4)]
    assert sorted(len(group) for group in desk.groups) == [3, MOST]
    desk.door.set()
    assert [answer(call) for call in first] == [0, -2]


def test_a_database_that_stands_still_gets_so_many_connections_and_no_more() -> None:
    """The rest of the pool is for others, and who gets none would fail. They begin when those end."""
    desk = Desk(groups=FEW + 2)
    held = desk.door

    def some(items: list[int], _pass_on: Any) -> list[int | Exception]:
        assert held.wait(10)
        return [item * 2 for item in items]

    desk.some = some  # type: ignore[method-assign]
    calls = desk.busy()
    for item in range(1, 7):
        calls.append(desk._pool.submit(desk.do, item))
        time.sleep(0.01)  # past its haste; what follows holds in any order
    wait_until(lambda: len(desk.line.under_way) == FEW + 2, 5, "as many as may be")
    calls += [desk._pool.submit(desk.do, 7)]
    wait_until(lambda: 7 in desk.threads, 5, "the call")
    time.sleep(0.02)  # past the haste of all that wait: one of them would have begun, if it might
    assert len(desk.line.under_way) == FEW + 2
    held.set()
    assert [answer(call) for call in calls[FEW:]] == [2, 4, 6, 8, 10, 12, 14]


def test_an_interrupt_at_any_line_of_who_is_in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next of them is in haste, too; he does not wait for who is slow."""
    monkeypatch.setattr(group_commit, "PATIENCE", 0.1)
    for line in range(1, 500):
        desk, quick, wire = Desk(groups=8, haste=0.005), Desk(), Tripwire(line)
        quick.group = desk.group
        quick.door.set()
        first = desk.busy()
        call = desk._pool.submit(interrupted, quick, wire)
        time.sleep(0.001)  # to where it waits, or nearly: what follows holds in any order
        rest = [quick._pool.submit(quick.do, item) for item in (2, 3)]
        for item, other in enumerate(rest, 2):
            error = other.exception(5)
            assert isinstance(error, StoreUnavailable) or other.result(0) == 2 * item, line
        got = call.result(5)
        assert not any(each.done() for each in first), line
        desk.door.set()
        assert [answer(each) for each in first] == [0, -2], line
        desk.until_empty()
        if got == 2 and wire.left > 0:
            break  # it came to its end without meeting the wire
    assert 20 < line < 499


def test_one_in_line_that_does_not_look_holds_nobody_up() -> None:
    """A signal's handler may run in its thread."""
    desk = Desk(groups=8, haste=0.01)
    first, over = desk.busy(), threading.Event()

    def strike(frame: Any, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != group_commit.__file__:
            return None
        if not over.is_set() and "acquire(timeout" in Tripwire.LINES[frame.f_lineno - 1]:
            assert over.wait(10)
        return strike

    call = desk._pool.submit(traced, strike, lambda: desk.do(1))
    wait_until(lambda: len(desk.line.waiting) == 1, 5, "the first in line")
    assert desk._pool.submit(desk.do, 2).result(5) == 4
    over.set()
    desk.door.set()
    assert [answer(each) for each in (call, *first)] == [2, 0, -2]


def test_those_of_a_crowd_wait_for_each_other_again(desk: Desk) -> None:
    """They come back one after another; each by itself would cost more than all together."""
    written, some = threading.Event(), desk.some

    def held(items: list[int], pass_on: Any) -> list[int | Exception]:
        assert written.wait(10)
        return some(items, pass_on)

    desk.some = held  # type: ignore[method-assign]
    first, rest = desk.busy(), desk.send(*range(1, 7))
    desk.door.set()
    assert [answer(call) for call in first] == [0, -2]
    desk.door.clear()
    wait_until(lambda: not desk.line.waiting, 5, "the group to be under way")
    again = desk.send(7)
    written.set()
    assert [answer(call) for call in rest] == [2, 4, 6, 8, 10, 12]
    wait_until(lambda: not desk.line.waiting, 5, "the first of them to be under way")
    again += desk.send(8, 9)
    desk.door.set()
    assert [answer(call) for call in again] == [14, 16, 18]
    assert desk.groups == [[1, 2, 3, 4, 5, 6], [8, 9]]


def test_a_crowd_that_is_gone_is_forgotten() -> None:
    """By one with each group."""
    line = group_commit._Line(Pace(FEW, 1))
    line.crowd = 5
    alone = []
    for number in range(6):
        pair = [group_commit._Call(number), group_commit._Call(number)]
        for call in pair:
            line.waiting = [*line.waiting, call]
            line.lead(call)
        alone.append(all(call.leader is call for call in pair))
        for call in pair:
            call.over = True
    assert alone == [False, False, True, True, True, True]


def test_one_that_does_not_end_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that a firewall has forgotten is silent for a whole lease."""
    monkeypatch.setattr(group_commit, "PATIENCE", 0.02)
    first = desk.busy()
    quick = Desk()
    quick.group = desk.group
    quick.door.set()
    began = time.monotonic()
    rest = [desk._pool.submit(quick.do, item) for item in range(5, 10)]
    assert sorted(call.result(5) for call in rest) == [10, 12, 14, 16, 18]
    assert time.monotonic() - began < 2
    assert not any(call.done() for call in first)
    desk.door.set()
    assert [answer(each) for each in first] == [0, -2]


def test_a_fork_starts_anew(desk: Desk) -> None:
    """It inherits no thread, so nobody there will end what was under way, nor let go of the lock."""
    calls = [*desk.busy(), *desk.send(1)]
    with desk.group._state.lock:
        pid = os.fork()
        if pid == 0:
            desk.door.set()
            threading.Timer(5, os._exit, [1]).start()
            os._exit(desk.do(21))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    desk.door.set()
    assert [answer(call) for call in calls] == [0, -2, 2]


def in_a_group(items: list[Any]) -> None:
    """Two are answered, two refused, together."""
    desk = Desk()
    first = desk.busy()

    def some(given: list[Any], _pass_on: Any) -> list[Any]:
        return [ValueError() if number % 2 else 1 for number, _ in enumerate(given)]

    threads = []
    for number, item in enumerate(items):
        threads.append(threading.Thread(target=quietly, args=(desk, item, some), daemon=True))
        threads[-1].start()
        wait_until(lambda n=number: len(desk.line.waiting) == n + 1, 5, "the call")
    desk.door.set()
    for thread in threads:
        thread.join(10)
    assert [answer(each) for each in first] == [0, -2]


def quietly(desk: Desk, item: Any, some: Any) -> None:
    with suppress(ValueError):
        desk.group.do(KEY, item, lambda *_: 1, some)


def test_nothing_is_kept(desk: Desk) -> None:
    """A process may have no garbage collection."""

    class Item:
        pass

    def refuse(*_: Any) -> Any:
        raise ValueError

    gc.collect()
    gc.disable()
    try:
        items = [Item() for _ in range(6)]
        seen = [weakref.ref(item) for item in items]
        assert desk.group.do(KEY, items[0], lambda *_: 1, lambda *_: [1]) == 1
        with suppress(ValueError):
            desk.group.do(KEY, items[1], refuse, lambda *_: [1])
        in_a_group(items[2:])
        del items
        assert [each() for each in seen] == [None] * 6
    finally:
        gc.enable()


def test_a_crowd(desk: Desk) -> None:
    """Every call gets its own answer, and is done once."""
    done: list[int] = []
    lock = threading.Lock()

    def one(item: int, pass_on: Any) -> int:
        return some([item], pass_on)[0]  # type: ignore[return-value]

    def some(items: list[int], pass_on: Any) -> list[int | Exception]:
        with lock:
            done.extend(items)
        time.sleep(0.0002)  # as a statement takes: others come meanwhile
        pass_on()
        time.sleep(0.0001)  # as a push takes
        return [item + 1 for item in items]

    def ask(start: int) -> bool:
        numbers = range(start, start + 500)
        return [desk.group.do(KEY, number, one, some) for number in numbers] == [n + 1 for n in numbers]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(0, 8000, 500)))
    assert sorted(done) == list(range(8000))
    desk.until_empty()
