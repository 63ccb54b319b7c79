"""A stopwatch that always runs for exactly one stage: the innermost of those that are entered.

It reads two clocks, of the wall and of this thread's processor time; their difference is waiting.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Stage:
    """Seconds, and how often it was entered."""

    wall: float = 0.0
    cpu: float = 0.0
    entered: int = 0


class Stopwatch:
    """Measures the thread that was named last by `follow`; others pass through."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self._stack: list[str] = []
        self._wall = self._cpu = 0.0
        self._thread = 0

    def follow(self) -> None:
        """Measure the calling thread, from zero."""
        self._thread = threading.get_ident()
        self.reset()

    def reset(self) -> None:
        self.stages = {}
        self._wall, self._cpu = time.perf_counter(), time.thread_time()

    @property
    def top(self) -> str:
        return self._stack[-1] if self._stack else ""

    def enter(self, name: str) -> None:
        if threading.get_ident() == self._thread:
            self._credit()
            self._stack.append(name)
            self.stages.setdefault(name, Stage()).entered += 1

    def leave(self) -> None:
        if threading.get_ident() == self._thread and self._stack:
            self._credit()
            self._stack.pop()

    def _credit(self) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        if self._stack:
            stage = self.stages.setdefault(self._stack[-1], Stage())
            stage.wall += wall - self._wall
            stage.cpu += cpu - self._cpu
        self._wall, self._cpu = wall, cpu

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Time every call of that function, method or name in a module."""
        original: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.enter(name)
            try:
                return original(*args, **kwargs)
            finally:
                self.leave()

        setattr(owner, attribute, timed)

    def wrap_generator(self, owner: Any, attribute: str, name: str) -> None:
        """The same for a generator that is driven from start to end by one caller."""
        original: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.enter(name)
            try:
                return (yield from original(*args, **kwargs))
            finally:
                self.leave()

        setattr(owner, attribute, timed)

    def price(self, calls: int = 20_000) -> float:
        """Seconds that one timed call costs by itself."""
        holder = type("Holder", (), {"nothing": staticmethod(lambda: None)})
        began = time.perf_counter()
        for _ in range(calls):
            holder.nothing()
        plain = time.perf_counter() - began
        other = Stopwatch()
        other.follow()
        other.wrap(holder, "nothing", "nothing")
        began = time.thread_time()
        for _ in range(calls):
            holder.nothing()
        return max(0.0, time.thread_time() - began - plain) / calls
