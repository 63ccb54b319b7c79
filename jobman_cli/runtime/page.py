"""A page of memory that a worker shares with its supervisor: which jobs run, and until when each may.

It is made before the fork. The worker writes it; the supervisor reads it when the worker has died, or a job
is long past its timeout. A sequence number makes a half-written place recognisable.

A worker that runs one job at a time has one place. One that runs many in an event loop has many, and says as
well whether the loop turns: a job that keeps the loop for itself keeps its neighbours from ending in time,
and it alone is to blame.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass

#: The head: in which place the job is that holds the loop (-1: unknown or none); since when the loop has been
#: held, or turned again; whether it is held.
_HEAD = struct.Struct("=qdB")
#: A place: sequence, id, claims, deadline, whether it is active.
_PLACE = struct.Struct("=QqqdB")
_SEQUENCE = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Running:
    """The job that was started last in one place.

    Attributes:
        deadline: When its time is up, by ``time.monotonic``; infinite without a timeout.
        active: False once its function has returned: its end may not be recorded yet.
    """

    job_id: int
    claims: int
    deadline: float
    active: bool


class Page:
    """One worker's page.

    Args:
        places: How many jobs it can name.
    """

    def __init__(self, places: int = 1) -> None:
        size = _HEAD.size + places * _PLACE.size
        self._memory = mmap.mmap(-1, math.ceil(size / mmap.PAGESIZE) * mmap.PAGESIZE)
        self._sequences = [0] * places
        self.turns()

    def start(self, job_id: int, claims: int, deadline: float, place: int = 0) -> None:
        """Say what runs in a place from now on."""
        at = _HEAD.size + place * _PLACE.size
        sequence = self._sequences[place] = self._sequences[place] + 2
        _PLACE.pack_into(self._memory, at, sequence | 1, job_id, claims, deadline, 1)
        _SEQUENCE.pack_into(self._memory, at, sequence)

    def end(self, place: int = 0) -> None:
        """The function of the job in this place has returned."""
        self._memory[_HEAD.size + (place + 1) * _PLACE.size - 1] = 0

    def turns(self, since: float = 0.0) -> None:
        """The event loop turns; ``since`` when, by ``time.monotonic``, if it was held before."""
        _HEAD.pack_into(self._memory, 0, -1, since, 0)

    def is_held(self, place: int | None, since: float) -> None:
        """The event loop has not turned ``since`` then; the job in ``place`` holds it, if that is known."""
        _HEAD.pack_into(self._memory, 0, -1 if place is None else place, since, 1)

    def read(self) -> list[Running]:
        """What was started last in each place, without those that are being written."""
        return [found for place in range(len(self._sequences)) if (found := self._at(place))]

    def overdue(self, now: float, grace: float) -> list[Running]:
        """The jobs for which this worker is to be killed: those past their timeout and the grace after it.

        When the loop is held, no timeout can strike: the job that holds it for longer than ``grace`` is the
        one, whether its own time is up or not. When it turns again, those whose time has run out meanwhile
        have the grace from then on.

        Args:
            now: By ``time.monotonic``.
            grace: Seconds.
        """
        place, since, held = _HEAD.unpack_from(self._memory, 0)
        running = self.read()
        late = [each for each in running if each.active and now >= max(each.deadline, since) + grace]
        if not late or not held or place < 0:
            return late
        holder = self._at(place)
        return [holder] if holder is not None and holder.active else late

    def _at(self, place: int) -> Running | None:
        at = _HEAD.size + place * _PLACE.size
        sequence, job_id, claims, deadline, active = _PLACE.unpack_from(self._memory, at)
        if sequence == 0 or sequence & 1:
            return None
        if _SEQUENCE.unpack_from(self._memory, at)[0] != sequence:  # one job's deadline, another's activity
            return None
        return Running(job_id, claims, deadline, bool(active))
