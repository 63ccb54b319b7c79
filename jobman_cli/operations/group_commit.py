"""Group commit: calls of threads that come at the same time are done together, by one of them.

Databases do so with their logs: who writes takes along what others have waiting. A call that finds nobody at
work is done at once, by itself; the more threads come, the larger the groups. It has no thread of its own, no
timer, and nothing to set.

A signal may interrupt a call anywhere (Ctrl-C, a job's timeout). Whoever leads lets go of its group then, and
nobody waits for ever.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, get_ident
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from jobman_cli.errors import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")

#: Groups under way at the same time: while one waits for the servers, the next is put together.
LEADERS = 2
#: Calls in one group.
MOST = 32

_NOTHING = object()


class _Call:
    """One call: what to do, and what came of it; or the group that it is to lead, itself the first."""

    __slots__ = ("answer", "begun", "error", "group", "item", "thread", "turn")

    def __init__(self, item: Any, thread: int) -> None:
        self.item, self.thread = item, thread
        self.answer: Any = _NOTHING
        self.error: Exception | None = None
        self.group: list[_Call] = []
        self.begun = False
        self.turn = allocate_lock()
        self.turn.acquire()


class _State:
    """One process's: what a fork inherits of it belongs to threads that it has not got.

    Attributes:
        leading: The calls that lead, by their threads.
    """

    __slots__ = ("leading", "lock", "pid", "waiting")

    def __init__(self) -> None:
        self.pid, self.lock = os.getpid(), allocate_lock()
        self.leading: dict[int, _Call] = {}
        self.waiting: list[_Call] = []


class GroupCommit:
    """Puts calls into groups. Calls of one object may meet in a group."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = _State()

    def do(self, item: T, one: Callable[[T], R], some: Callable[[list[T]], list[R | Exception]]) -> R:
        """Do ``one(item)``, or have it done in a group.

        Args:
            one: Does an item by itself. It must not come here again.
            some: Does several; gives for each, in their order, its answer or its exception.

        Raises:
            StoreUnavailable: when whoever led the group was interrupted; it may have been done.
            Exception: what came of the item.
        """
        if (state := self._state).pid != os.getpid():
            state = self._state = _State()
        call = _Call(item, get_ident())
        if (stray := state.leading.get(call.thread)) is not None:
            _leave(state, stray)  # it was interrupted while it did so
        try:
            with state.lock:
                state.waiting.append(call)
                if len(state.leading) < LEADERS:
                    _lead(state)
            if not call.group:
                call.turn.acquire()  # until it is done, or is to lead
            if call.group:
                call.begun = True
                if len(call.group) == 1:
                    call.answer = one(item)
                else:
                    _do(call.group, some)
        finally:
            _leave(state, call)
        if call.error is not None:
            raise call.error
        if call.answer is _NOTHING:
            raise StoreUnavailable("the thread that wrote this job with its own was interrupted")
        return cast("R", call.answer)


def _do(group: list[_Call], some: Callable[[list[Any]], list[Any]]) -> None:
    for call, answer in zip(group, some([call.item for call in group]), strict=True):
        if isinstance(answer, Exception):
            call.error = answer
        else:
            call.answer = answer


def _lead(state: _State) -> _Call:
    """Have the first that waits lead, with others that wait; the lock is held."""
    group, state.waiting = state.waiting[:MOST], state.waiting[MOST:]
    first = group[0]
    state.leading[first.thread], first.group = first, group
    return first


def _leave(state: _State, call: _Call) -> None:
    """End a call, however it ended: let go of its group, and have another lead the next."""
    if call.begun:
        for other in call.group[1:]:
            with suppress(RuntimeError):  # it is gone already
                other.turn.release()
    first = None
    with state.lock:
        if call.group:
            state.leading.pop(call.thread, None)
            if not call.begun:
                state.waiting[:0] = call.group[1:]
        elif call in state.waiting:
            state.waiting.remove(call)
        if state.waiting and len(state.leading) < LEADERS:
            first = _lead(state)
    if first is not None:
        first.turn.release()
