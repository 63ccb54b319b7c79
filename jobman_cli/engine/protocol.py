"""What an engine and a worker's receiver must be able to do; ``tests/contract`` holds both to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobman_cli.engine.health import LineSample, RedisFacts
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.link import Link

#: Sleeps so many seconds; True when the worker is to stop.
Pause = Callable[[float], bool]


@dataclass(slots=True)
class Ticket:
    """What a worker may try to claim: ids that a line gave, or (no ids) so many from the table."""

    ids: list[int] = field(default_factory=list)
    limit: int = 0


class Receiver(Protocol):
    """One worker's side of the lines."""

    def receive(self, limit: int, wait: float) -> Ticket | None:
        """Up to ``limit`` jobs to claim.

        Args:
            wait: Seconds to wait for a first one; 0 answers at once.

        Returns:
            None when there is nothing to claim.

        Raises:
            QueueUnavailable: when the lines cannot be reached.
        """
        ...

    def serve(self, queues: Sequence[str]) -> None:
        """Serve these queues from now on: some of its own are paused, or go on."""
        ...

    def look_again(self) -> None:
        """Something was put into a line by this very worker; the next ``receive`` looks."""
        ...

    def claim(self, connection: Any, worker: str, ticket: Ticket) -> list[Claim]:
        """Claim what the ticket names, inside the caller's transaction."""
        ...


class Rebuilding(Protocol):
    """A rebuild that this process owns, for as long as it renews it."""

    def renew(self) -> bool:
        """Own it for some seconds more; False when it is somebody else's by now."""
        ...

    def finish(self) -> bool:
        """Say that the lines are whole, unless it is somebody else's by now: then False."""
        ...


class Engine(Protocol):
    """Lines of job ids.

    Attributes:
        has_lines: False when the table is the line, and nothing can differ from it.
        name: ``database`` or ``redis``; stands in ``failed_jobs.connection``.
        huey: The Huey instance whose consumer runs the workers.
    """

    name: str
    huey: Any
    has_lines: bool

    def push(self, rows: Sequence[InLine]) -> None:
        """Put ids into their lines; twice is as good as once.

        Raises:
            QueueUnavailable: within 1 s, when the lines cannot be reached. The push may have arrived.
        """
        ...

    def remove(self, queue: str, ids: Sequence[int]) -> int:
        """Take ids out of a line.

        Returns:
            How many were in it.

        Raises:
            QueueUnavailable: when the lines cannot be reached.
        """
        ...

    def missing(self, rows: Sequence[InLine]) -> list[InLine]:
        """Those of ``rows`` that their lines do not hold.

        Raises:
            QueueUnavailable: when the lines cannot be reached.
        """
        ...

    def head(self, queue: str) -> tuple[int, int] | None:
        """``(rank, id)`` of the first member of a line; None when it is empty.

        Raises:
            QueueUnavailable: when the lines cannot be reached.
        """
        ...

    def begin_rebuild(self) -> Rebuilding | None:
        """Own the rebuild of lines that were lost or replaced.

        Returns:
            None when they are this server run's own, or somebody else rebuilds them.

        Raises:
            QueueUnavailable: when the lines cannot be reached.
        """
        ...

    def size(self, queue: str) -> int | None:
        """How many ids a line holds; None when the table is the line."""
        ...

    def receiver(self, queues: Sequence[str], link: Link, pause: Pause) -> Receiver:
        """A worker's receiver on its queues, in their order."""
        ...

    def check(self) -> None:
        """Make sure that the lines can be reached.

        Raises:
            QueueUnavailable: when they cannot.
        """
        ...

    def facts(self) -> RedisFacts | None:
        """What the server says of itself; None without a server of its own.

        Raises:
            QueueUnavailable: when it cannot be reached.
        """
        ...

    def sample(self) -> list[LineSample]:
        """Both ends of each line, left where they are.

        Raises:
            QueueUnavailable: when they cannot be reached.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
