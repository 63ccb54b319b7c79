"""Group commit: calls of threads that come at the same time are done together, by one of them.

Databases do so with their logs: who writes takes along what others have waiting. A call that finds nobody at
work is done at once, by itself; the more threads come, the larger the groups. It has no thread of its own, no
timer, and nothing to set.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any, TypeVar, cast

from jobman_cli.errors import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")

#: Groups under way at the same time: while one waits for the servers, the next is put together.
LEADERS = 2
#: Calls in one group.
MOST = 32


class _Call:
    """One call: what to do, and its answer; or the group that it is to lead."""

    __slots__ = ("answer", "error", "group", "item", "turn")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.answer: Any = None
        self.error: Exception | None = None
        self.group: list[_Call] | None = None
        self.turn: Any = None


class _State:
    """One process's: what a fork inherits of it belongs to threads that it has not got."""

    __slots__ = ("leading", "lock", "pid", "waiting")

    def __init__(self) -> None:
        self.pid, self.lock = os.getpid(), allocate_lock()
        self.leading = 0
        self.waiting: list[_Call] = []


class GroupCommit:
    """Puts calls into groups. Calls of one object may meet in a group."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = _State()

    def do(self, item: T, one: Callable[[T], R], some: Callable[[list[T]], list[R | Exception]]) -> R:
        """Do ``one(item)``, or have it done in a group.

        Args:
            one: Does an item by itself.
            some: Does several; gives for each, in their order, its answer or its exception.

        Raises:
            StoreUnavailable: when whoever led the group was interrupted; it may have been done.
            Exception: what came of the item.
        """
        if (state := self._state).pid != os.getpid():
            state = self._state = _State()
        call = _Call(item)
        with state.lock:
            if state.leading < LEADERS:
                state.leading += 1
                call.group = [call]
            else:
                call.turn = allocate_lock()
                call.turn.acquire()
                state.waiting.append(call)
        if call.turn is not None:
            call.turn.acquire()  # until it is done, or is to lead
        if (group := call.group) is not None:
            try:
                if len(group) == 1:
                    return one(item)
                _do(group, some)
            finally:
                _hand_on(state)
                for other in group[1:]:
                    other.turn.release()
        if call.error is not None:
            raise call.error
        return cast("R", call.answer)


def _do(group: list[_Call], some: Callable[[list[Any]], list[Any]]) -> None:
    for call in group[1:]:
        call.error = StoreUnavailable("the thread that wrote this job with its own was interrupted")
    for call, answer in zip(group, some([call.item for call in group]), strict=True):
        if isinstance(answer, Exception):
            call.error = answer
        else:
            call.error, call.answer = None, answer


def _hand_on(state: _State) -> None:
    """Let the first that waits lead the others; or nobody, when nobody waits."""
    with state.lock:
        if not state.waiting:
            state.leading -= 1
            return
        group, state.waiting = state.waiting[:MOST], state.waiting[MOST:]
    group[0].group = group
    group[0].turn.release()
