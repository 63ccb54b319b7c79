"""The engine ``database``: the table is the line, there is no message and no second server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from huey.storage import BlackHoleStorage

from jobman_cli.engine.health import LineSample
from jobman_cli.engine.instance import JobmanHuey
from jobman_cli.engine.protocol import Pause, Ticket
from jobman_cli.store.lifecycle.claim import Claim, claim_line
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.link import Link

#: Seconds between two looks from the start of a line under load; see ``LineReceiver``.
FULL_LOOK = 1.0
#: Seconds between two looks at SQLite's change counter, which costs microseconds.
TICK = 0.005
#: Seconds between two looks at a server, at first and at the most.
SHORT_POLL, LONG_POLL = 0.05, 0.25


class DatabaseQueue:
    """Pushing is nothing to do: a row that is ``queued`` is in the line."""

    name = "database"
    has_lines = False

    def __init__(self, name: str) -> None:
        self.huey: Any = JobmanHuey(name, storage_class=BlackHoleStorage)

    def push(self, rows: Sequence[InLine]) -> None:
        """Nothing to do."""

    def remove(self, queue: str, ids: Sequence[int]) -> int:
        """Nothing to take out."""
        return 0

    def missing(self, rows: Sequence[InLine]) -> list[InLine]:
        """None: the row is its own message."""
        return []

    def head(self, queue: str) -> tuple[int, int] | None:
        """The rows tell."""
        return None

    def begin_rebuild(self) -> None:
        """Nothing can be lost."""
        return

    def size(self, queue: str) -> int | None:
        """The rows tell."""
        return None

    def receiver(self, queues: Sequence[str], link: Link, pause: Pause) -> LineReceiver:
        """A receiver that looks into the table."""
        return LineReceiver(queues, link, pause)

    def check(self) -> None:
        """Who reaches the database reaches the lines."""

    def facts(self) -> None:
        """There is no server of its own."""

    def sample(self) -> list[LineSample]:
        """The rows tell."""
        return []

    def close(self) -> None:
        """Nothing to close."""


class LineReceiver:
    """Claims from the table's line.

    Jobs that were taken leave dead index entries at the line's start until the database tidies up. So
    each look begins at the rank where the last one ended, and once a second (or when that finds too
    little) at the start, where a job of higher priority or a released one may stand.
    """

    def __init__(self, queues: Sequence[str], link: Link, pause: Pause) -> None:
        self._queues, self._link, self._pause = tuple(queues), link, pause
        self._after: dict[str, int] = {}
        self._next_full = 0.0
        self._poll = SHORT_POLL
        self._seen: int | None = None
        self._empty = False

    def receive(self, limit: int, wait: float) -> Ticket | None:
        """A ticket to look; after a look that found nothing, only when something may have changed."""
        if self._empty and (wait == 0 or not self._changed(wait)):
            return None
        return Ticket(limit=limit)

    def serve(self, queues: Sequence[str]) -> None:
        """Claim from these queues from now on."""
        self._queues, self._empty = tuple(queues), False

    def look_again(self) -> None:
        """The next look happens whatever the last one found."""
        self._empty = False

    def claim(self, connection: Any, worker: str, ticket: Ticket) -> list[Claim]:
        """Queue by queue, in their order, until the limit is reached."""
        now = time.monotonic()
        if now >= self._next_full:
            self._after.clear()
            self._next_full = now + FULL_LOOK
        claims: list[Claim] = []
        dialect = self._link.database.dialect
        for queue in self._queues:
            wanted = ticket.limit - len(claims)
            if wanted <= 0:
                break
            after = self._after.get(queue)
            found = claim_line(connection, dialect, worker, queue, wanted, after)
            if len(found) < wanted and after is not None:
                found += claim_line(connection, dialect, worker, queue, wanted - len(found), None)
            if found:
                self._after[queue] = max(claim.rank for claim in found)
            else:
                self._after.pop(queue, None)
            claims += found
        self._empty = not claims
        if claims:
            self._poll = SHORT_POLL
        return claims

    def _changed(self, wait: float) -> bool:
        """Wait until a look may find something; False when ``wait`` seconds passed or the worker stops."""
        counter = self._link.change_counter()
        if counter is None:
            self._poll, pause = min(self._poll * 1.5, LONG_POLL), self._poll
            return not self._pause(pause)
        until = time.monotonic() + wait
        while counter == self._seen:
            if time.monotonic() >= until or self._pause(TICK):
                self._seen = None  # look once in a while whatever the counter says
                return False
            counter = self._link.change_counter()
        self._seen = counter
        return True
