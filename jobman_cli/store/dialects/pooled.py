"""Connections that wait in a pool, and what became of them meanwhile."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError


def replace_ended(engine: Engine, number: Callable[[Any], int]) -> None:
    """Let the pool connect anew where the server has ended a connection, as it does when it restarts.

    A server says nothing to who asks nothing, so what can be read from a waiting connection is its end. To
    look takes no trip; without it, the first call after a restart would fail, and not know what it did.

    Args:
        engine: A new engine.
        number: Gives the file descriptor of a driver's connection, or a negative one if it is closed.
    """

    @event.listens_for(engine, "checkout")
    def look(connection: Any, _record: Any, _proxy: Any) -> None:
        descriptor = number(connection)
        if descriptor < 0 or _can_be_read(descriptor):
            raise InvalidatePoolError


def _can_be_read(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
