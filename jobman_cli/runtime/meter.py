"""What a worker counts in memory: how its attempts ended, how long they ran, and how long they had waited.

The turn hands over what was recorded, as whole batches; the watch thread takes the sums every few
seconds and writes them to ``jobman_metrics``. So a count costs a job some tenths of a microsecond and no
statement. A worker that is killed takes the counts since its last flush with it, never a job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from jobman_cli.core.clock import PRIORITY_STEP
from jobman_cli.core.histogram import add_values
from jobman_cli.core.outcome import OutcomeKind
from jobman_cli.store.lifecycle.finish import Finish, is_final
from jobman_cli.store.lifecycle.metrics import MINUTE, Count, CountKey

#: Seconds between two flushes.
FLUSH = 5.0
#: How many values of one cell may wait: a worker that is ten times as fast needs no more memory.
MANY = 4096

_COMPLETED = OutcomeKind.COMPLETED
_STEP = float(PRIORITY_STEP)
#: A remainder above this is a wait below zero: the database's clock is ahead of the worker's.
_FUTURE = _STEP / 2


class _Cell:
    """One minute's counts of one type and queue; the values wait here until they are sorted into buckets."""

    __slots__ = ("count", "failed", "runtimes", "waits")

    def __init__(self) -> None:
        self.count = Count()
        self.failed = 0
        self.runtimes: list[float] = []
        self.waits: list[float] = []

    def fold(self) -> Count:
        """The counts, with all values in their buckets; more may come after it."""
        count = self.count
        count.completed += len(self.runtimes) - self.failed
        count.failed_attempts += self.failed
        self.failed = 0
        for values, spread in ((self.runtimes, count.runtime), (self.waits, count.wait)):
            if values:
                values.sort()
                spread.sum += sum(values)
                spread.max = max(spread.max, values[-1])
                add_values(spread.histogram, values)
                values.clear()
        return count


class Meter:
    """Counts for one worker; its two threads may use it at once.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cells: dict[CountKey, _Cell] = {}

    def count(self, finishes: Iterable[Finish]) -> None:
        """Count attempts whose end has been recorded; a release is no attempt's end."""
        minute = int(self._clock()) // MINUTE * MINUTE
        name = line = cell = None
        with self._lock:
            for finish in finishes:
                claim, began = finish.claim, finish.started
                if cell is None or claim.type != name or claim.queue != line:
                    name, line = claim.type, claim.queue
                    cell = self._cells.setdefault((minute, name, line), _Cell())
                if finish.outcome.kind is not _COMPLETED:
                    if finish.outcome.kind is OutcomeKind.RELEASED:
                        continue
                    cell.failed += 1
                    cell.count.failed_jobs += is_final(claim, finish.outcome)
                if began is None:
                    began = finish.ended
                ran = finish.ended - began
                cell.runtimes.append(ran if ran > 0.0 else 0.0)
                # rank = queued_ms - priority * PRIORITY_STEP, and nobody waits for a step (31 years).
                wait = (began * 1000.0 - claim.rank) % _STEP
                cell.waits.append(wait / 1000.0 if wait < _FUTURE else 0.0)
            if cell is not None and len(cell.runtimes) >= MANY:
                cell.fold()

    def take(self) -> dict[CountKey, Count]:
        """All counts so far; who takes them writes them or gives them back."""
        with self._lock:
            cells, self._cells = self._cells, {}
        return {key: cell.fold() for key, cell in cells.items() if cell.runtimes or cell.count.attempts}

    def give_back(self, counts: dict[CountKey, Count]) -> None:
        """They could not be written."""
        with self._lock:
            for key, count in counts.items():
                cell = self._cells.setdefault(key, _Cell())
                cell.count.add(count)
