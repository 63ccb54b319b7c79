"""The one Huey instance: one task, and a message that is an id and nothing else.

Huey pickles by default; here a message is nineteen digits, so nothing that lies in Redis can become code.
"""

from __future__ import annotations

from typing import Any, ClassVar

from huey.api import Huey, Task
from huey.exceptions import TaskTimeout
from huey.registry import Message

from jobman_cli.engine.message import member, parse_member

__all__ = ["IdSerializer", "JobmanHuey", "TaskTimeout"]


class IdSerializer:
    """Huey's ``Message`` to a padded id and back; rubbish becomes the id 0, which no job has."""

    def serialize(self, data: Any) -> bytes:
        """The message's id."""
        return member(int(data.id))

    def deserialize(self, data: bytes) -> Message:
        """A message for the one task."""
        return Message(id=str(parse_member(data) or 0), name=f"{RunJob.__module__}.{RunJob.__name__}")


class RunJob(Task):
    """The one task. The worker gives it a callable; a message from outside carries none.

    What Huey's own initializer would set for every task is the same for all of these: only what differs is
    set, because one is made for each attempt.
    """

    name = "RunJob"
    kwargs: ClassVar[dict[str, Any]] = {}
    eta = expires = expires_resolved = chord_config = on_complete = on_error = _deadline = None
    retries = retry_delay = retry_backoff = 0
    priority = None

    def __init__(
        self,
        args: tuple[Any, ...] | None = None,
        kwargs: object = None,
        id: str | None = None,
        *_others: object,
        timeout: float | None = None,
    ) -> None:
        self.args, self.id, self.timeout = args or (), id or "0", timeout

    @property
    def revoke_id(self) -> str:
        """Where Huey would keep that it was revoked."""
        return f"r:{self.id}"

    def execute(self) -> Any:
        """Run the job in the worker's hand."""
        return self.args[0](*self.args[1:]) if self.args else None


class JobmanHuey(Huey):
    """Huey without results and revocation: cancelling lives in the row, so asking costs no round trip."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, results=False, serializer=IdSerializer(), **options)
        self._registry.register(RunJob)

    def is_revoked(self, task: Any, timestamp: Any = None, peek: bool = True) -> bool:
        """Never: the claim has asked the row."""
        return False

    def _emit(self, signal: str, task: Any, *arguments: Any, **options: Any) -> None:
        receivers = self._signal.receivers
        if receivers.get(signal) or receivers["any"]:
            super()._emit(signal, task, *arguments, **options)

    def delete(self, key: Any) -> bool:
        """There is nothing to delete."""
        return False
