"""Group commit: calls of threads that come at the same time are done together, by one of them.

Databases do so with their logs: who writes takes along what others have waiting. A call that finds nobody at
work is done at once, by itself; the more threads come, the larger the groups. It has no thread of its own, no
timer, and nothing to set. Only calls with an equal key meet: those of another go their own way. Who leads may
let the next begin before its own end; for the rest of what it does only its group waits.

A signal may raise an exception in a call anywhere (Ctrl-C, a job's timeout). So nobody relies on being woken:
who has waited for `PATIENCE` looks whether its leader is gone, or whether it ought to lead itself.
"""

from __future__ import annotations

import os
from _thread import RLock, allocate_lock, get_ident
from collections.abc import Callable, Hashable
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any, TypeVar, cast

from jobman_cli.errors import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")
PassOn = Callable[[], None]

#: As many calls of a key are each done alone; more wait until one group is done, and are the next.
FEW = 2
#: Calls in one group.
MOST = 32
#: Seconds after which who waits looks around.
PATIENCE = 1.0

_NOTHING = object()


class _Call:
    """One call: what to do, and what came of it.

    Attributes:
        group: The calls that it does, itself the first; empty while it waits, and when another does it.
        leader: The call that does it.
        over: It has ended, or is about to.
        turn: Held until it is done, or is to lead.
    """

    __slots__ = ("answer", "error", "group", "item", "leader", "over", "thread", "turn")

    def __init__(self, item: Any) -> None:
        self.item, self.thread = item, get_ident()
        self.answer: Any = _NOTHING
        self.error: Exception | None = None
        self.group: list[_Call] = []
        self.leader: _Call | None = None
        self.over = False
        self.turn = allocate_lock()
        self.turn.acquire()

    @property
    def is_decided(self) -> bool:
        """It need not wait any longer: it is done, is to lead, or its leader is gone."""
        if self.group or self.answer is not _NOTHING or self.error is not None:
            return True
        return self.leader is not None and self.leader.over


class _Line:
    """The calls of one key."""

    __slots__ = ("leading", "waiting")

    def __init__(self) -> None:
        self.leading: list[_Call] = []
        self.waiting: list[_Call] = []

    def lead(self) -> _Call | None:
        """Have the first that waits lead, with others that wait, if there is a place; the lock is held."""
        self.leading = [call for call in self.leading if not call.over]
        waiting = [call for call in self.waiting if not call.over]
        busy = sum(len(call.group) for call in self.leading)
        if busy and busy + len(waiting) > FEW:
            return None
        group, self.waiting = waiting[:MOST], waiting[MOST:]
        if not group:
            return None
        self.leading.append(group[0])
        for call in group[1:]:
            call.leader = group[0]
        group[0].group = group
        return group[0]


class _State:
    """One process's: what a fork inherits of it belongs to threads that it has not got."""

    __slots__ = ("lines", "lock", "pid")

    def __init__(self) -> None:
        self.pid, self.lock = os.getpid(), RLock()
        self.lines: dict[Hashable, _Line] = {}

    def advance(self, key: Hashable, call: _Call | None = None) -> None:
        """Let ``call`` wait; and let whoever may lead now begin."""
        with self.lock:
            line = self.lines.get(key) or self.lines.setdefault(key, _Line())
            if call is not None:
                line.waiting.append(call)
            first = line.lead()
            if not (line.leading or line.waiting):
                self.lines.pop(key, None)
        if first is not None and first is not call:
            with suppress(RuntimeError):  # it knows already
                first.turn.release()

    def pass_on(self, key: Hashable, call: _Call) -> None:
        """Let others lead, although this call is not over."""
        with self.lock:
            if (line := self.lines.get(key)) is not None:
                line.leading = [each for each in line.leading if each is not call]
        self.advance(key)

    def leads(self, key: Hashable, thread: int) -> bool:
        """Whether this thread is in the middle of a group."""
        line = self.lines.get(key)
        return line is not None and any(c.thread == thread and not c.over for c in line.leading)


class GroupCommit:
    """Puts calls into groups. Calls of one object may meet in a group."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = _State()

    def do(
        self,
        key: Hashable,
        item: T,
        one: Callable[[T, PassOn], R],
        some: Callable[[list[T], PassOn], list[R | Exception]],
    ) -> R:
        """Do ``one(item, pass_on)``, or have it done in a group.

        Args:
            key: Of items that may be done together.
            one: Does an item by itself. It may call ``pass_on()`` when the next may begin.
            some: Does several likewise; gives for each, in their order, its answer or its exception.

        Raises:
            StoreUnavailable: when whoever led the group was interrupted; it may have been done.
            Exception: what came of the item.
        """
        if (state := self._state).pid != os.getpid():
            state = self._state = _State()
        call = _Call(item)
        if state.leads(key, call.thread):
            return one(item, nobody)  # a signal's handler has work of its own
        try:
            state.advance(key, call)
            while not call.is_decided:
                if not call.turn.acquire(timeout=PATIENCE):
                    state.advance(key)
            if len(call.group) == 1:
                return one(item, partial(state.pass_on, key, call))
            if call.group:
                _do(call.group, some, partial(state.pass_on, key, call))
        finally:
            call.over = True
            _leave(state, key, call)
        if (error := call.error) is not None:
            try:
                raise error
            finally:
                del call, error  # or they would hold each other
        if call.answer is _NOTHING:
            raise StoreUnavailable("the thread that wrote this job with its own was interrupted")
        return cast("R", call.answer)


def nobody() -> None:
    """Nobody is to begin: this call does not lead."""


def _do(group: list[_Call], some: Callable[[list[Any], PassOn], list[Any]], pass_on: PassOn) -> None:
    try:
        answers = some([call.item for call in group], pass_on)
    except Exception as error:
        for call in group[1:]:
            call.error = copy(error)
        raise
    for call, answer in zip(group, answers, strict=True):
        if isinstance(answer, Exception):
            call.error = answer
        else:
            call.answer = answer


def _leave(state: _State, key: Hashable, call: _Call) -> None:
    """Wake those whom it has done, and whoever is to lead next."""
    for other in call.group[1:]:
        with suppress(RuntimeError):  # it knows already
            other.turn.release()
    state.advance(key)
    call.group = []
