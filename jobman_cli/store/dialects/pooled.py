"""Connections that wait in a pool, and what became of them meanwhile."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError


def replace_ended(engine: Engine, socket_of: Callable[[Any], int]) -> None:
    """Let the pool connect anew where the server has ended a connection, as it does when it restarts.

    A server says nothing to who asks nothing, so what can be read from a waiting connection is its end. To
    look takes no trip; without it, the first call after a restart would fail, and not know what it did.

    Args:
        engine: A new engine.
        socket_of: Gives the file descriptor of a driver's connection; -1 if it is not fit to be used.
    """

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        if "waited" not in record.info:  # a new one: the server may still have a word to say
            record.info["waited"] = True
            return
        descriptor = socket_of(connection)
        if descriptor < 0:
            raise DisconnectionError
        if _can_be_read(descriptor):
            raise InvalidatePoolError


def _can_be_read(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # eventlet takes it away
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
