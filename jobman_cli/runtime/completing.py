"""``ctx.completing()``: the job's own SQL and its completion in one transaction.

A plain job opens it with ``with``. An ``async def`` job opens it with ``async with``: other jobs of its
event loop go on while it waits for its turn and for its commit, which is made in a thread. One such block
is open at a time in a loop: the SQL inside runs in the loop's own thread, and would otherwise wait, for
ever, for a lock that a block beside it holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

from jobman_cli.core.outcome import Outcome, OutcomeKind
from jobman_cli.errors import UsageError
from jobman_cli.runtime.runner import Attempt, Gate, note
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.completing import CompletingTransaction, completing_session
from jobman_cli.store.lifecycle.finish import Finish

#: Seconds between two tries to take what another thread holds for a moment.
BRIEFLY = 0.002


class Opening:
    """What ``ctx.completing()`` gives; nothing is open until it is entered."""

    __slots__ = ("_attempt", "_block", "_code", "_completing")

    def __init__(self, completing: Completing, attempt: Attempt, code: str | None) -> None:
        self._completing, self._attempt, self._code = completing, attempt, code
        self._block: AbstractContextManager[Any] | AbstractAsyncContextManager[Any]

    def __enter__(self) -> Any:
        if self._attempt.is_async:
            raise UsageError(
                "an `async def` job cannot open completing() with a plain `with`",
                hint="Write: async with ctx.completing() as session:",
            )
        self._block = block = self._completing.block(self._attempt, self._code)
        return block.__enter__()

    def __exit__(self, *error: Any) -> bool | None:
        assert isinstance(self._block, AbstractContextManager)  # noqa: S101 - entered
        return self._block.__exit__(*error)

    async def __aenter__(self) -> Any:
        self._block = block = self._completing.block_in_loop(self._attempt, self._code)
        return await block.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        assert isinstance(self._block, AbstractAsyncContextManager)  # noqa: S101 - entered
        return await self._block.__aexit__(*error)


class Completing:
    """Opens completing transactions for one worker.

    Args:
        encode: Turns attribs that the job wrote into JSON text.
    """

    def __init__(self, database: Database, worker: str, gate: Gate, encode: Any) -> None:
        self._database, self._worker, self._gate, self._encode = database, worker, gate, encode
        self._one_at_a_time = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "completing")  # started when it is first needed

    def open(self, attempt: Attempt, code: str | None) -> Opening:
        """The block, to be entered.

        At its end it commits together with the completion. It raises ``AttemptLost`` when the fence refuses:
        nothing was written then; ``UsageError`` on a second ``completing()`` of one attempt;
        ``StoreUnavailable`` when the database is away. Whether the commit happened is then asked of the row,
        never guessed.
        """
        return Opening(self, attempt, code)

    @contextmanager
    def block(self, attempt: Attempt, code: str | None) -> Iterator[Any]:
        """For a plain job."""
        _refuse_second(attempt)
        context, gate = attempt.context, self._gate
        # First the lines, then the transaction: the watch thread takes the two in the same order, and on
        # SQLite each would otherwise wait for what the other holds.
        with context.writing, completing_session(self._database, self._worker, attempt.claim) as transaction:
            yield transaction.session
            reopen, gate.is_open = gate.is_open, False
            try:
                self._commit(attempt, transaction, code)
            finally:
                gate.is_open = reopen

    @asynccontextmanager
    async def block_in_loop(self, attempt: Attempt, code: str | None) -> AsyncIterator[Any]:
        """For an ``async def`` job."""
        _refuse_second(attempt)
        context = attempt.context
        async with self._one_at_a_time:
            # The watch thread may be storing lines, and on SQLite it then waits for whoever writes: the loop
            # must turn meanwhile.
            while not context.writing.acquire(blocking=False):
                await asyncio.sleep(BRIEFLY)
            try:
                with completing_session(self._database, self._worker, attempt.claim) as transaction:
                    yield transaction.session
                    await self._commit_beside(attempt, transaction, code)
            finally:
                context.writing.release()

    def _commit(self, attempt: Attempt, transaction: CompletingTransaction, code: str | None) -> None:
        finish = self._finish(attempt, code)
        try:
            transaction.commit(finish)
        except BaseException:
            attempt.context.give_back_lines([finish.logs] if finish.logs else [])
            raise
        attempt.recorded = True

    async def _commit_beside(
        self, attempt: Attempt, transaction: CompletingTransaction, code: str | None
    ) -> None:
        finish = self._finish(attempt, code)
        reopen, self._gate.is_open = self._gate.is_open, False
        try:
            await self._to_the_end(lambda: transaction.commit(finish), attempt)
        except BaseException:
            if not attempt.recorded:
                attempt.context.give_back_lines([finish.logs] if finish.logs else [])
            raise
        finally:
            self._gate.is_open = reopen

    async def _to_the_end(self, commit: Callable[[], None], attempt: Attempt) -> None:
        """Commit in the thread, and wait for the answer whatever comes: a commit cannot be half cancelled."""
        answer = asyncio.get_running_loop().run_in_executor(self._thread, commit)
        cancelled: asyncio.CancelledError | None = None
        while not answer.done():
            try:
                await asyncio.wait([answer])
            except asyncio.CancelledError as error:
                cancelled = error
        answer.result()
        attempt.recorded = True
        if cancelled is not None:
            raise cancelled

    def _finish(self, attempt: Attempt, code: str | None) -> Finish:
        outcome = Outcome(OutcomeKind.COMPLETED, code=code)
        finish = Finish(attempt.claim, outcome, attempt.started, time.time())
        if (changed := attempt.context.changed_attribs()) is not None:
            finish.attribs = self._encode(changed)
        return note(finish, attempt.context)


def _refuse_second(attempt: Attempt) -> None:
    if attempt.recorded:
        raise UsageError("this attempt is completed already", hint="Call completing() once in a job.")
