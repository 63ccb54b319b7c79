"""What a supervisor tells its workers without a word: a shared page with a byte for each switch.

It is made before the fork. The first byte pauses everything; each queue has one of its own.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Sequence


class Switchboard:
    """Pauses, for the workers of one supervisor.

    Args:
        queues: The queues that any of its workers serves.
    """

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = tuple(dict.fromkeys(queues))
        self._memory = mmap.mmap(-1, max(mmap.PAGESIZE, len(self._queues) + 2))

    def pause_all(self, paused: bool) -> None:
        """Pause or continue everything."""
        self._set(0, paused)

    def pause_queues(self, paused: Collection[str]) -> None:
        """Pause these queues, and let the others go on."""
        for place, queue in enumerate(self._queues, 1):
            self._set(place, queue in paused)

    def open_queues(self, queues: Sequence[str]) -> tuple[str, ...]:
        """Those of ``queues`` from which jobs may be started now."""
        memory = self._memory
        if memory[0]:
            return ()
        return tuple(queue for queue in queues if not memory[self._queues.index(queue) + 1])

    @property
    def version(self) -> int:
        """A byte that changes with each change: cheap to ask at every turn."""
        return self._memory[len(self._queues) + 1]

    def _set(self, place: int, value: bool) -> None:
        if self._memory[place] != value:
            self._memory[place] = value
            self._memory[len(self._queues) + 1] = (self.version + 1) % 256
