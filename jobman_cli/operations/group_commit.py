"""Group commit: calls of threads that come at the same time are done together, by one of them.

Databases do so with their logs: who writes takes along what others have waiting. While only a few come, each
is done at once, by itself; the more threads come, the larger the groups. It has no thread of its own. Only
calls with an equal key meet; others go their own way. Who leads may let the next begin before its own end;
for the rest of what it does only its group waits.

A signal may raise an exception in a call anywhere (Ctrl-C, a job's timeout). So nobody relies on what another
was about to do. A call that waits is its own: it looks from time to time whether it may lead. One that is in
a group ends with its leader, whose first step towards its end is to say so. To be woken is but a hint.
"""

from __future__ import annotations

import os
import time
from _thread import RLock, allocate_lock, get_ident
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

from jobman_cli.errors import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")
PassOn = Callable[[], None]


class Pace(NamedTuple):
    """How calls follow each other.

    Attributes:
        few: While no more calls of a key come, each is done alone; more wait for those under way.
        groups: How many may be under way, calls that are done alone included, when some are in haste.
        haste: Seconds after which a call waits no longer, but begins beside those, if they are not too many.
    """

    few: int
    groups: int
    haste: float = 0.001


#: For a database in which many write at a time: two groups take more of the processor than one, but a commit
#: may take longer than all that. When it stands still, some connections of the pool are left for others.
SIDE_BY_SIDE = Pace(few=4, groups=8)
#: For one in which one writes after another in any case.
ONE_BY_ONE = Pace(few=1, groups=1)
#: After so many times its haste a call that is not the first in line looks whether the first does.
SECOND = 10
#: Calls in one group.
MOST = 32
#: Seconds after which who waits looks around, and who does not end no longer holds others up.
PATIENCE = 1.0

_NOTHING = object()


class _Call:
    """One call: what to do, and what came of it.

    Attributes:
        came: When it did, by the monotonic clock.
        leader: The call that does it, perhaps itself; None while it waits.
        group: The calls that it does, itself the first.
        passed: It no longer holds others up.
        over: It has ended, or is about to.
        turn: Let go of as a hint to look.
    """

    __slots__ = ("answer", "began", "came", "error", "group", "item", "leader", "over", "passed", "turn")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.answer: Any = _NOTHING
        self.error: Exception | None = None
        self.leader: _Call | None = None
        self.group: list[_Call] = []
        self.came, self.began = time.monotonic(), 0.0
        self.passed = self.over = False
        self.turn = allocate_lock()
        self.turn.acquire()

    def wake(self) -> None:
        """Give the hint."""
        with suppress(RuntimeError):  # it has been given
            self.turn.release()


class _Line:
    """The calls of one key. All is done under the state's lock; whatever is interrupted, the next mends.

    Attributes:
        crowd: The most calls that were there at a time, less one for each group since. Those that were done
            together come back one after another, and shall wait for each other again. A line that is empty
            for a moment is gone, and knows nothing of a crowd.
    """

    __slots__ = ("crowd", "pace", "under_way", "waiting")

    def __init__(self, pace: Pace) -> None:
        self.pace, self.crowd = pace, 0
        self.under_way: list[_Call] = []
        self.waiting: list[_Call] = []

    def tidy(self) -> None:
        late = time.monotonic() - PATIENCE
        self.under_way = [c for c in self.under_way if not (c.over or c.passed or c.began < late)]
        self.waiting = [c for c in self.waiting if not (c.over or c.leader)]
        self.crowd = max(self.crowd, sum(len(c.group) for c in self.under_way) + len(self.waiting))

    @property
    def has_room(self) -> bool:
        return not self.under_way or self.crowd <= self.pace.few

    @property
    def has_place(self) -> bool:
        """For one in haste."""
        return len(self.under_way) < self.pace.groups

    def may_lead(self, call: _Call) -> bool:
        late = time.monotonic() - call.came >= self.pace.haste
        return self.has_room or (self.has_place and late)

    def patience(self, call: _Call) -> float:
        """Seconds until a call that waits looks again. The first of them may have to begin by itself."""
        if not self.has_place:
            return PATIENCE
        haste = self.pace.haste
        return haste if call is self.waiting[0] else min(haste * SECOND, PATIENCE)

    def lead(self, call: _Call) -> None:
        """Let a call that waits lead, with others that wait, if it may."""
        self.tidy()
        if call.leader is not None or not self.may_lead(call):
            return
        self.crowd -= 1
        others = [each for each in self.waiting if each is not call]
        call.began, call.group = time.monotonic(), [call, *others[: MOST - 1]]
        for each in call.group:
            each.leader = call  # from here on it is this call's, and ends with it
        self.under_way = [*self.under_way, call]
        self.tidy()
        if self.waiting:
            self.waiting[0].wake()  # it is the first now


class _State:
    """One process's: what a fork inherits of it belongs to threads that it has not got.

    Attributes:
        inside: The threads that are in the middle of a call.
    """

    __slots__ = ("inside", "lines", "lock", "pace", "pid")

    def __init__(self, pace: Pace) -> None:
        self.pid, self.lock, self.pace = os.getpid(), RLock(), pace
        self.lines: dict[Hashable, _Line] = {}
        self.inside: set[int] = set()

    def look(self, key: Hashable, call: _Call) -> float:
        """Let a call wait, unless it may lead.

        Returns:
            The seconds after which it should look again.
        """
        with self.lock:
            line = self.lines.get(key) or self.lines.setdefault(key, _Line(self.pace))
            if call not in line.waiting:
                line.waiting = [*line.waiting, call]
            line.lead(call)
            return 0.0 if call.leader is not None else line.patience(call)

    def pass_on(self, key: Hashable, call: _Call) -> None:
        """This call no longer holds others up: wake the first that waits."""
        call.passed = True
        with self.lock:
            if (line := self.lines.get(key)) is None:
                return
            line.tidy()
            if line.waiting and line.may_lead(line.waiting[0]):
                line.waiting[0].wake()
            if not (line.waiting or line.under_way):
                self.lines.pop(key, None)


class GroupCommit:
    """Puts calls into groups. Calls of one object may meet in a group."""

    __slots__ = ("_state",)

    def __init__(self, pace: Pace) -> None:
        self._state = _State(pace)

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
            some: Does several likewise; gives for each, in their order, its answer or its exception. What it
                raises itself is its leader's alone.

        Raises:
            StoreUnavailable: when whoever led the group was interrupted; it may have been done.
            Exception: what came of the item.
        """
        if (state := self._state).pid != os.getpid():
            state = self._state = _State(state.pace)
        thread = get_ident()
        if thread in state.inside:  # a signal's handler, or a destructor: what it interrupted cannot go on
            return one(item, nobody)
        call = _Call(item)
        try:
            state.inside.add(thread)
            patience = state.look(key, call)
            while call.leader is None:
                call.turn.acquire(timeout=patience)
                patience = state.look(key, call)
            if call.leader is not call:
                _await(call, call.leader)
            elif len(call.group) == 1:
                return one(item, partial(state.pass_on, key, call))
            else:
                _do(call.group, some, partial(state.pass_on, key, call))
        finally:
            call.over = True
            _leave(state, key, call, thread)
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


def _await(call: _Call, leader: _Call) -> None:
    while call.answer is _NOTHING and call.error is None and not leader.over:
        call.turn.acquire(timeout=PATIENCE)


def _do(group: list[_Call], some: Callable[[list[Any], PassOn], list[Any]], pass_on: PassOn) -> None:
    answers = some([call.item for call in group], pass_on)
    for call, answer in zip(group, answers, strict=True):
        if isinstance(answer, Exception):
            call.error = answer
        else:
            call.answer = answer
    del call, answer, answers  # an error's frames shall not hold them


def _leave(state: _State, key: Hashable, call: _Call, thread: int) -> None:
    """Wake those whom it has done, and who waits for it."""
    group, call.group, call.leader = call.group, [], None
    for other in group[1:]:
        other.wake()
    state.pass_on(key, call)
    state.inside.discard(thread)
