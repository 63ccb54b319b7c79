"""A page of memory that a worker shares with its supervisor: which job runs, and until when it may.

It is made before the fork. The worker writes it; the supervisor reads it when the worker has died, or is
long past a timeout. A sequence number makes a half-written page recognisable.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

_FORMAT = struct.Struct("=QqqdB")


@dataclass(frozen=True, slots=True)
class Running:
    """The job that was started last.

    Attributes:
        deadline: When its time is up, by ``time.monotonic``; infinite without a timeout.
        active: False once its function has returned: its end may not be recorded yet.
    """

    job_id: int
    claims: int
    deadline: float
    active: bool


class Page:
    """One worker's page."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._sequence = 0

    def start(self, job_id: int, claims: int, deadline: float) -> None:
        """Say what runs from now on."""
        self._sequence += 2
        _FORMAT.pack_into(self._memory, 0, self._sequence | 1, job_id, claims, deadline, 1)
        struct.pack_into("=Q", self._memory, 0, self._sequence)

    def end(self) -> None:
        """The job's function has returned."""
        self._memory[_FORMAT.size - 1] = 0

    def read(self) -> Running | None:
        """What was started last; None when nothing ever was, or while it is being written."""
        sequence, job_id, claims, deadline, active = _FORMAT.unpack_from(self._memory, 0)
        if sequence == 0 or sequence & 1:
            return None
        return Running(job_id, claims, deadline, bool(active))
