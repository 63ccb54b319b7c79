"""What a running job may ask and tell: its identity, its attribs, a log, progress.

Nothing here writes: lines and progress are gathered, and the worker that runs the job stores them, at
the latest with the attempt's end. It must not know a database or a queue.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import UTC, datetime
from threading import RLock
from typing import Any, Protocol

#: Characters of one message, and of all lines that wait to be stored, at the most: a database takes only so
#: much in one statement, and a worker's memory is not a log file.
MAX_MESSAGE, MAX_WAITING = 100_000, 1_000_000


class Completion(AbstractContextManager[Any], AbstractAsyncContextManager[Any], Protocol):
    """For ``with`` in a plain job, for ``async with`` in an ``async def`` one."""


class Context:
    """One attempt, as the job sees it. A job receives it by naming a parameter ``ctx``.

    Attributes:
        job_id: The row's id in ``jobmans``.
        type: The job type's name.
        queue: The queue the job came from.
        attempt: The number of this attempt, from 1.
    """

    __slots__ = (
        "_attribs",
        "_before",
        "_cancelled",
        "_completing",
        "_dropped",
        "_lines",
        "_logged",
        "_taken",
        "attempt",
        "job_id",
        "progress_mark",
        "queue",
        "type",
        "writing",
    )

    def __init__(
        self,
        job_id: int,
        type: str,
        queue: str,
        attempt: int,
        attribs: dict[str, Any],
        completing: Callable[[str | None], Completion],
    ) -> None:
        self.job_id = job_id
        self.type = type
        self.queue = queue
        self.attempt = attempt
        self._attribs = attribs
        self._before: str | None = None
        #: Log lines that are not stored yet.
        self._lines: deque[str] = deque()
        # Each number has one writer: the job counts what it logged and could not, the taker what it took.
        self._logged = self._taken = self._dropped = 0
        #: Held by whoever stores lines, so that two threads never store them out of order.
        self.writing = RLock()
        #: The last progress told, ``(done, total)``.
        self.progress_mark: tuple[float, float] | None = None
        self._cancelled = False
        self._completing = completing

    @property
    def attribs(self) -> dict[str, Any]:
        """The job's arguments; what is written into the dict is saved when the job finishes."""
        if self._before is None:
            self._before = json.dumps(self._attribs, ensure_ascii=False)
        return self._attribs

    @property
    def is_untouched(self) -> bool:
        """True when the job has used nothing of it: then there is nothing to store."""
        return not (self._logged or self._dropped or self._before) and self.progress_mark is None

    def changed_attribs(self) -> dict[str, Any] | None:
        """The attribs if the job changed them, else None; asked by the runner."""
        if self._before is None:
            return None
        try:
            now = json.dumps(self._attribs, ensure_ascii=False)
        except Exception:  # no JSON any more, so they were changed; who stores them says what is wrong
            return self._attribs
        return None if now == self._before else self._attribs

    def log(self, message: object) -> None:
        """Add a line to the row's ``logs``, with the time and the attempt before it.

        Args:
            message: Anything; its ``str()`` is stored. NUL characters are replaced, very long text is cut,
                and what comes faster than it can be stored is left out, which a line then says.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = str(message).replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        if len(text) > MAX_MESSAGE:
            text = f"{text[:MAX_MESSAGE]}… ({len(text) - MAX_MESSAGE:,} characters left out)"
        line = f"{now} [{self.attempt}] {text}\n"
        if self._logged - self._taken + len(line) > MAX_WAITING:
            self._dropped += 1
            return
        self._logged += len(line)
        self._lines.append(line)

    def take_lines(self) -> list[str]:
        """The lines that nobody has stored yet; who takes them stores them or gives them back."""
        taken = []
        while self._lines:  # the job may go on adding lines meanwhile
            taken.append(self._lines.popleft())
        self._taken += sum(map(len, taken))
        if dropped := self._dropped:
            self._dropped = 0
            taken.append(f"… {dropped:,} lines left out: too many at once …\n")
        return taken

    def give_back_lines(self, lines: list[str]) -> None:
        """They could not be stored."""
        self._taken -= sum(map(len, lines))
        self._lines.extendleft(reversed(lines))

    def progress(self, done: float, total: float) -> None:
        """Say how far the job is; shown while it runs.

        Args:
            done: Units done, 0 or more.
            total: Units in all, more than 0.

        Raises:
            ValueError: when the two make no sense.
        """
        if not (0 <= done < float("inf") and 0 < total < float("inf")):
            raise ValueError(f"progress({done!r}, {total!r}): give done >= 0 and total > 0")
        self.progress_mark = (done, total)

    @property
    def cancelled(self) -> bool:
        """True once somebody asked the job to stop. It is a request: raise ``Fail`` to follow it."""
        return self._cancelled

    def ask_to_stop(self) -> None:
        """Make ``cancelled`` true; called by the worker, which also cancels the task of an async job."""
        self._cancelled = True

    def completing(self, code: str | None = None) -> Completion:
        """Open the transaction that completes this job, for the job's own SQL.

        Inside ``with ctx.completing() as session:`` (``async with`` in an ``async def`` job) the job writes
        through ``session`` (a SQLModel ``Session``). At the block's end the writes and the completion commit
        together: both happen, exactly once, or neither. The attempt ends there; what the job does afterwards
        is only logged.

        Args:
            code: The ``completed_code``.

        Raises:
            AttemptLost: when the job meanwhile belongs to another worker; nothing was written.
            UsageError: in an ``async def`` job, when it is opened with a plain ``with``.
        """
        return self._completing(code)
