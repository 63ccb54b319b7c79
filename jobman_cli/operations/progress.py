"""How an operation that may take long says how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the number of items done since the last call.
Progress = Callable[[int], object]


def ignore(_number: int) -> None:
    """Nobody watches."""
