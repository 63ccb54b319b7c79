"""One attempt, from the claim to what is to be recorded.

It reads as a pipeline: resolve the type, build the arguments, call the function inside its gate,
normalise what came out, make the finish. Huey's ``execute`` surrounds the call, so that Huey's timeout,
hooks and signals work; but Huey keeps no outcome, so it is noted here, inside the task. No outcome means
that the attempt was interrupted.

An ``async def`` function is awaited: in a loop of this runner's own by ``run``, in the loop that many
attempts share by ``run_beside``, which Huey's ``execute`` cannot surround.
"""

from __future__ import annotations

import logging
import os
import random
import time
import traceback
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from jobman_cli.core.backoff import backoff_delay
from jobman_cli.core.context import Completion, Context
from jobman_cli.core.jobtype import JobType
from jobman_cli.core.outcome import COMPLETED, Fail, Outcome, OutcomeKind, Retry
from jobman_cli.core.storable import find_unstorable
from jobman_cli.engine.instance import TaskTimeout
from jobman_cli.errors import JobmanError
from jobman_cli.hooks.registry import Registry
from jobman_cli.runtime.own_loop import OwnLoop, within
from jobman_cli.store.database import compact_json
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import Finish

logger = logging.getLogger("jobman.worker")

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_ASYNCIO = str(Path(os.__file__).resolve().parent / "asyncio") + os.sep

#: Characters kept of a code, a message and a traceback.
MAX_CODE, MAX_MESSAGE, MAX_TRACE = 190, 10_000, 100_000

INTERRUPTED = Outcome(OutcomeKind.RELEASED, error_message="interrupted")


class Gate:
    """Whether an alarm or an interrupt may be raised now: only while a job's own function runs.

    Shut, a late alarm can neither turn a success into a timeout nor break a transaction.

    Attributes:
        interrupted: An interrupt has been raised; a ``KeyboardInterrupt`` of the job's own is an error.
        instead: Called by an interrupt in the place of raising it.
    """

    __slots__ = ("instead", "interrupted", "is_open")

    def __init__(self) -> None:
        self.is_open = self.interrupted = False
        self.instead: Callable[[], None] | None = None

    def shut(self) -> None:
        """Nothing may be raised any more."""
        self.is_open = False

    def interrupt(self) -> None:
        """An interrupt has come.

        Raises:
            KeyboardInterrupt: while a job's own function runs.
        """
        if self.instead is not None:
            self.instead()
        elif self.is_open:
            self.interrupted = True
            raise KeyboardInterrupt


@dataclass(slots=True)
class Attempt:
    """One attempt on its way.

    Attributes:
        outcome: None until the job's function has ended by itself.
        recorded: True once ``completing()`` has committed: the attempt is over.
        is_async: True when its function is an ``async def``.
        stop: Why its task was cancelled: ``RELEASED`` by an interrupt, ``FAIL`` because somebody cancelled
            the job.
    """

    claim: Claim
    context: Context
    started: float
    outcome: Outcome | None = None
    recorded: bool = False
    is_async: bool = False
    stop: OutcomeKind | None = None


class Runner:
    """Runs attempts, one at a time.

    Args:
        registry: The job types and the hooks.
        gate: Shared with whoever raises alarms.
        execute: Huey's ``execute`` around a callable: ``execute(function, attempt, timeout)``.
        completing: Opens the completing transaction of an attempt.
        max_attribs_bytes: The largest attribs that are written back.
    """

    def __init__(
        self,
        registry: Registry,
        gate: Gate,
        execute: Callable[[Callable[[Attempt], Any], Attempt], object],
        completing: Callable[[Attempt, str | None], Completion],
        max_attribs_bytes: int,
    ) -> None:
        self._registry, self._gate, self._execute = registry, gate, execute
        self._completing, self._max_attribs_bytes = completing, max_attribs_bytes
        self._loop: OwnLoop | None = None

    def begin(self, claim: Claim) -> Attempt:
        """The attempt of a claim, with the context that the job will see."""
        attempt: Attempt
        context = Context(
            claim.id,
            claim.type,
            claim.queue,
            claim.attempt,
            claim.attribs,
            lambda code: self._completing(attempt, code),
        )
        job_type = self._registry.types.get(claim.type)
        attempt = Attempt(claim, context, time.time(), is_async=job_type is not None and job_type.is_async)
        return attempt

    def run(self, attempt: Attempt) -> Finish | None:
        """Run it.

        Returns:
            What is to be recorded; None when ``completing()`` has recorded it.
        """
        try:
            self._execute(self.perform, attempt)
        except Exception as error:  # of Huey's bookkeeping, such as an exception without a repr
            logger.exception("job %d: what surrounds it failed", attempt.claim.id)
            attempt.outcome = attempt.outcome or self._explain(attempt.claim, error)
        return self.conclude(attempt)

    def conclude(self, attempt: Attempt) -> Finish | None:
        """What is to be recorded of an attempt that is over; None when ``completing()`` has recorded it."""
        ended = time.time()
        if attempt.recorded:
            return None
        return self._finish(attempt, attempt.outcome or INTERRUPTED, ended)

    def close(self) -> None:
        """Close the loop that ``async def`` jobs ran in."""
        if self._loop is not None:
            self._loop.close()

    def perform(self, attempt: Attempt) -> None:
        """What Huey calls: the job's function, its outcome noted. Raises what the job raised."""
        observed = self._registry.has_observers
        if observed:
            self._registry.job_started(attempt.context)
        try:
            value = self._call(self._registry.find(attempt.claim.type), attempt, observed)
            attempt.outcome = _completed(value, attempt.context)
        except BaseException as error:
            self._gate.is_open = False
            if isinstance(error, KeyboardInterrupt) and self._gate.interrupted:
                raise
            if self._failed(attempt, error) and isinstance(error, Exception):
                raise
        finally:
            if observed:
                self._registry.job_finished(attempt.context, attempt.outcome or INTERRUPTED)

    async def run_beside(self, attempt: Attempt, call: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        """As ``perform``, in a loop that other attempts share. It raises nothing.

        Args:
            call: Calls a plain function where it keeps nobody waiting, and gives what it returned.
        """
        observed = self._registry.has_observers
        if observed:
            self._registry.job_started(attempt.context)
        try:
            job_type = self._registry.find(attempt.claim.type)
            function = partial(job_type.func, **self._arguments(job_type, attempt))
            with self._registry.around_job(attempt.context):
                # A plain function has no timeout that could strike: see ``Page.overdue``.
                ended = within(function, attempt.claim.timeout) if job_type.is_async else call(function)
                attempt.outcome = _completed(await ended, attempt.context)
        except BaseException as error:
            if not (isinstance(error, CancelledError) and attempt.stop is OutcomeKind.RELEASED):
                self._failed(attempt, error)
        finally:
            if observed:
                self._registry.job_finished(attempt.context, attempt.outcome or INTERRUPTED)

    def _failed(self, attempt: Attempt, error: BaseException) -> bool:
        """Note the outcome; False for an attempt that is over already."""
        if attempt.recorded:
            logger.error("job %d failed after it had completed", attempt.claim.id, exc_info=error)
            return False
        attempt.outcome = self._explain(attempt.claim, error, attempt.stop)
        return True

    def _arguments(self, job_type: JobType, attempt: Attempt) -> dict[str, Any]:
        arguments = job_type.arguments(attempt.claim.attribs)
        if job_type.takes_context:
            arguments["ctx"] = attempt.context
        return arguments

    def _call(self, job_type: JobType, attempt: Attempt, observed: bool) -> Any:
        arguments = self._arguments(job_type, attempt)
        gate, function = self._gate, job_type.func
        if job_type.is_async:
            self._loop = self._loop or OwnLoop(gate.shut)
            function = partial(self._loop.run, function, attempt.claim.timeout)
        if observed:
            with self._registry.around_job(attempt.context):
                gate.is_open = True
                value = function(**arguments)
                gate.is_open = False
            return value
        gate.is_open = True
        value = function(**arguments)
        gate.is_open = False
        return value

    def _explain(self, claim: Claim, error: BaseException, stop: OutcomeKind | None = None) -> Outcome:
        kind, after = OutcomeKind.ERROR, None
        if stop is OutcomeKind.FAIL and isinstance(error, CancelledError):
            kind, message = OutcomeKind.FAIL, "cancelled while it ran"
        elif isinstance(error, TaskTimeout) and claim.timeout is not None:
            kind, message = OutcomeKind.TIMEOUT, f"timed out after {claim.timeout:g} s"
        elif isinstance(error, Retry):
            kind, message, after = OutcomeKind.RETRY, shown(error), error.after
        elif isinstance(error, Fail):
            kind, message = OutcomeKind.FAIL, shown(error) or "the job gave up"
        else:
            message = f"{type(error).__name__}: {shown(error)}"
        trace = "".join(traceback.format_exception(type(error), error, _own_frames(error)))
        if after is None:
            job_type = self._registry.types.get(claim.type)
            after = backoff_delay(job_type.options.backoff if job_type else (), claim.attempt, random.random)
        return Outcome(
            kind,
            error_message=storable(message, MAX_MESSAGE),
            exception=storable(trace, MAX_TRACE),
            delay=after,
        )

    def _finish(self, attempt: Attempt, outcome: Outcome, ended: float) -> Finish:
        context = attempt.context
        finish = Finish(attempt.claim, outcome, attempt.started, ended)
        if context.is_untouched:
            return finish
        if (changed := context.changed_attribs()) is not None:
            try:
                finish.attribs = self.encode(changed)
            except (JobmanError, TypeError, ValueError) as error:
                message = f"the attribs that the job wrote cannot be stored: {error}"
                context.log(message)
                if outcome.kind is OutcomeKind.COMPLETED:
                    finish.outcome = Outcome(OutcomeKind.FAIL, error_message=message, exception=message)
        return note(finish, context)

    def encode(self, attribs: dict[str, Any]) -> str:
        """Attribs that a job wrote, as the JSON text to store.

        Raises:
            TypeError, ValueError: when they are no JSON, or too large.
        """
        if (wrong := find_unstorable(attribs)) is not None:
            raise ValueError(wrong)
        text = compact_json(attribs)
        if len(text.encode()) > self._max_attribs_bytes:
            raise ValueError(f"more than {self._max_attribs_bytes:,} bytes")
        return text


def note(finish: Finish, context: Context) -> Finish:
    """Add what the context has gathered and nobody has stored yet."""
    with context.writing:
        if lines := context.take_lines():
            finish.logs = "".join(lines)
    finish.progress = progress_text(context)
    return finish


def progress_text(context: Context) -> str | None:
    """The last progress as the JSON text to store."""
    if context.progress_mark is None:
        return None
    done, total = context.progress_mark
    return compact_json({"done": done, "total": total})


def storable(text: str, most: int) -> str:
    """Text that every database takes, its middle left out when it is too long."""
    clean = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if len(clean) <= most:
        return clean
    half = most // 2
    return f"{clean[:half]}\n… {len(clean) - most:,} characters left out …\n{clean[-half:]}"


def shown(value: object, how: Callable[[object], str] = str) -> str:
    """Its text; a job's own objects may refuse to give one."""
    try:
        return how(value)
    except Exception as error:
        return f"(a {type(value).__name__} that cannot be shown: {type(error).__name__})"


def _own_frames(error: BaseException) -> TracebackType | None:
    """The traceback from the job's own code on; whole when it never got there."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith((_PACKAGE, _ASYNCIO)):
        frames = frames.tb_next
    return frames or error.__traceback__


def _completed(value: Any, context: Context) -> Outcome:
    if value is None:
        return COMPLETED
    if isinstance(value, str) and 0 < len(value) <= MAX_CODE and storable(value, MAX_CODE) == value:
        return Outcome(OutcomeKind.COMPLETED, code=value)
    context.log(
        f"returned {shown(value, repr)[:200]}, which is no completed_code (text of 1 to {MAX_CODE} "
        "characters) and is not kept"
    )
    return COMPLETED
