"""``ctx.completing()``: the job's own SQL and its completion in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobman_cli.core.outcome import Outcome, OutcomeKind
from jobman_cli.errors import UsageError
from jobman_cli.runtime.runner import Attempt, Gate, note
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.completing import completing_session
from jobman_cli.store.lifecycle.finish import Finish


class Completing:
    """Opens completing transactions for one worker.

    Args:
        encode: Turns attribs that the job wrote into JSON text.
    """

    def __init__(self, database: Database, worker: str, gate: Gate, encode: Any) -> None:
        self._database, self._worker, self._gate, self._encode = database, worker, gate, encode

    @contextmanager
    def open(self, attempt: Attempt, code: str | None) -> Iterator[Any]:
        """The session; at the block's end it commits together with the completion.

        Raises:
            AttemptLost: when the fence refuses; nothing was written.
            UsageError: on a second ``completing()`` of one attempt.
            StoreUnavailable: when the database is away. Whether the commit happened is then asked of
                the row, never guessed.
        """
        if attempt.recorded:
            raise UsageError("this attempt is completed already", hint="Call completing() once in a job.")
        claim, context, gate = attempt.claim, attempt.context, self._gate
        # First the lines, then the transaction: the watch thread takes the two in the same order, and on
        # SQLite each would otherwise wait for what the other holds.
        with context.writing, completing_session(self._database, self._worker, claim) as transaction:
            yield transaction.session
            reopen, gate.is_open = gate.is_open, False
            try:
                outcome = Outcome(OutcomeKind.COMPLETED, code=code)
                finish = Finish(claim, outcome, attempt.started, time.time())
                if (changed := context.changed_attribs()) is not None:
                    finish.attribs = self._encode(changed)
                note(finish, context)
                try:
                    transaction.commit(finish)
                except BaseException:
                    context.give_back_lines([finish.logs] if finish.logs else [])
                    raise
                attempt.recorded = True
            finally:
                gate.is_open = reopen
