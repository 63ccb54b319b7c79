"""Many attempts at once: tasks of one event loop, which turns in a thread of its own.

Its worker's main thread goes on taking turns, with the synchronous connections that every worker has, and the
watch thread records what finishes while the turn waits at an empty line. So the loop does nothing but run
jobs.

Who holds the loop. A job that does not give it back (a long calculation, ``time.sleep``) keeps every
neighbour from its end. The watch asks the loop for an answer at each tick; when there is none, the shared
page names the job whose task is underway, and the supervisor ends the worker for its sake alone.

Plain functions run in a pool of threads beside the loop. Nothing can interrupt them there: one that is past
its timeout ends with its worker.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jobman_cli.core.outcome import OutcomeKind
from jobman_cli.runtime.hand import Hand, Held
from jobman_cli.runtime.meter import Meter
from jobman_cli.runtime.page import Page
from jobman_cli.runtime.recorder import note_end
from jobman_cli.runtime.runner import Attempt, Runner
from jobman_cli.runtime.watch import TICK

logger = logging.getLogger("jobman.worker")

#: Seconds until the next try to note an end whose lines are just being stored.
BRIEFLY = 0.002
#: Places of the shared page for each job that may run at once: a place is not taken again before the end of
#: the job that had it can have been recorded.
PLACES = 2


class JobTask(asyncio.Task[Any]):
    """A task that knows the job for which it runs."""

    seat: Seat | None = None


@dataclass(eq=False, slots=True)
class Seat:
    """One running attempt.

    Attributes:
        place: Its place in the shared page.
        task: The task that awaits its function.
        tasks: What the job has started beside it.
    """

    attempt: Attempt
    place: int
    task: asyncio.Task[Any] | None = None
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


_SEAT: contextvars.ContextVar[Seat | None] = contextvars.ContextVar("jobman_seat", default=None)


class JobLoop:
    """Runs the jobs of one worker's hand, as many as are put into it.

    Args:
        most: How many there can be at once.
        page: With ``PLACES`` places for each.
        meter: Counts what ``completing()`` recorded.

    Attributes:
        at_line: Set by the turn while it waits at the line: what finishes is then for the watch to record.
        bell: Rings for the watch.
        news: Rings for the turn: something has finished.
    """

    def __init__(self, runner: Runner, hand: Hand, page: Page, most: int, meter: Meter | None = None) -> None:
        self._runner, self._hand, self._page, self._meter = runner, hand, page, meter
        self._free = deque(range(most * PLACES))
        self._seats: dict[int, Seat] = {}
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_make_task)
        self._pool = ThreadPoolExecutor(most, "job")
        self._thread = threading.Thread(target=self._turn_loop, name="loop", daemon=True)
        self._closing = False
        self.at_line = False
        self.bell, self.news = threading.Event(), threading.Event()
        self._asked = self._answered = 0.0
        self._held = False

    def start(self) -> None:
        """Let the loop turn."""
        self._thread.start()

    def begin(self) -> None:
        """Start what the hand holds; called by the turn, which has put it there."""
        self._soon(self._begin)

    def interrupt(self) -> None:
        """Cancel every task; the jobs are given back. A plain function goes on until the worker is killed."""
        self._soon(self._cancel_all)

    def close(self) -> None:
        """Stop the loop. Called when no job runs any more; again does no harm."""
        if self._closing:
            return
        self._closing = True
        self._pool.shutdown(wait=False)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)
        if not self._loop.is_running():
            self._loop.close()

    def _soon(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have it called in the loop, unless it is closed: an interrupt may come at any time."""
        if not self._closing:
            self._loop.call_soon_threadsafe(call, *arguments)

    # What the watch asks: see ``Watched``.

    def look(self) -> None:
        """Ask the loop for an answer, and say in the page whether it has given the last one."""
        now = time.monotonic()
        if self._closing:
            return
        if self._answered >= self._asked:
            if self._held:
                self._held = False
                self._page.turns(now)
            if now - self._asked >= TICK:
                self._asked = now
                self._soon(self._answer)
        elif now - self._asked >= TICK:
            self._held = True
            seat = getattr(asyncio.current_task(self._loop), "seat", None)
            self._page.is_held(seat.place if seat else None, self._asked)

    def is_stalled(self) -> bool:
        """While the loop is held."""
        return self._held

    def is_waiting(self) -> bool:
        """While the turn waits at the line."""
        return self.at_line

    def stop(self, held: Held) -> None:
        """Cancel the job's task, once; a plain function may ask whether it should stop."""
        claim, context, _ = held
        if not context.cancelled:
            context.ask_to_stop()
            self._soon(self._cancel, claim.id)

    # In the loop's thread.

    def _turn_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            try:
                self._loop.run_forever()
            except BaseException:  # a task that a job started has raised SystemExit or the like
                logger.exception("the event loop goes on after an error")
        for task in asyncio.all_tasks(self._loop):  # what jobs left behind, and has not ended yet
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    def _answer(self) -> None:
        self._answered = time.monotonic()

    def _begin(self) -> None:
        while (claim := self._hand.take()) is not None:
            attempt = self._runner.begin(claim)
            seat = self._seats[claim.id] = Seat(attempt, self._free.popleft())
            now = time.monotonic()
            self._hand.start(claim, attempt.context, now)
            deadline = now + claim.timeout if claim.timeout else math.inf
            self._page.start(claim.id, claim.claims, deadline, seat.place)
            context = contextvars.copy_context()
            context.run(_SEAT.set, seat)
            seat.task = self._loop.create_task(self._runner.run_beside(attempt, self._call), context=context)
            seat.task.seat = seat  # type: ignore[attr-defined]  # made by _make_task
            seat.task.add_done_callback(partial(self._end, seat))

    def _end(self, seat: Seat, _task: object = None) -> None:
        claim, context = seat.attempt.claim, seat.attempt.context
        if not context.writing.acquire(
            blocking=False
        ):  # the watch stores lines; the loop waits for no database
            self._loop.call_later(BRIEFLY, self._end, seat)
            return
        try:
            finish = self._runner.conclude(seat.attempt)
        finally:
            context.writing.release()
        for task in seat.tasks:
            task.cancel()
        del self._seats[claim.id]
        self._page.end(seat.place)
        self._free.append(seat.place)
        self._hand.finish(claim, finish)
        (self.bell if self.at_line else self.news).set()
        note_end(seat.attempt, finish, self._meter)

    def _cancel_all(self) -> None:
        for seat in self._seats.values():
            if seat.attempt.is_async and seat.task is not None:
                seat.attempt.stop = OutcomeKind.RELEASED
                seat.task.cancel()

    def _cancel(self, job_id: int) -> None:
        seat = self._seats.get(job_id)
        if seat is not None and seat.attempt.is_async and seat.task is not None:
            seat.attempt.stop = OutcomeKind.FAIL
            seat.task.cancel()

    async def _call(self, function: Callable[[], Any]) -> Any:
        """A plain function, in the pool. Its exception travels as a value: a future takes not every kind."""
        context = contextvars.copy_context()

        def call() -> tuple[Any, BaseException | None]:
            try:
                return context.run(function), None
            except BaseException as error:
                return None, error

        value, error = await self._loop.run_in_executor(self._pool, call)
        if error is not None:
            raise error
        return value


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> JobTask:
    task = JobTask(coroutine, loop=loop, **options)
    task.seat = seat = _SEAT.get()
    if seat is not None:  # started by a job: it ends with it
        seat.tasks.add(task)
        task.add_done_callback(seat.tasks.discard)
    return task
