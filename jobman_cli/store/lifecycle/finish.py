"""Record how attempts ended. Every statement is fenced; what a fence refuses is handed back, not forced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Subquery,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
    update,
)
from sqlalchemy import tuple_ as row_of

from jobman_cli.core.outcome import COMPLETED, Outcome, OutcomeKind
from jobman_cli.store.database import compact_json
from jobman_cli.store.dialects import Batch, Dialect, Kind
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS

#: ``status = 'running'``, said by what it is not: so the batch is found by the primary key, by a worker
#: (``settle_link``) and, with the ids given as a list as well, by anybody else. Through the partial index of
#: running rows each turn would read past the dead entries of every row that this worker has finished.
STILL_RUNNING = "jobmans.status NOT IN ('pending', 'queued', 'scheduled', 'completed', 'failed', 'cancelled')"

#: Characters of one document: far below the packet that MariaDB takes (16 MiB), whatever the encoding.
MAX_DOCUMENT = 2**21


@dataclass(slots=True)
class Finish:
    """One attempt's end, ready to be recorded.

    Attributes:
        started: When the job's function was called, by the worker's clock, in seconds since 1970; None
            keeps what the row says.
        ended: When it returned, likewise.
        attribs: The attribs as JSON text, when the job changed them; else None.
        logs: Lines to add, or None.
        progress: JSON text, or None.
    """

    claim: Claim
    outcome: Outcome
    started: float | None
    ended: float
    attribs: str | None = None
    logs: str | None = None
    progress: str | None = None

    @property
    def is_bare(self) -> bool:
        """True when there is nothing to record of a completed attempt but when it began and ended."""
        return (
            self.outcome is COMPLETED and self.attribs is None and self.logs is None and self.progress is None
        )


def complete(
    connection: Connection, dialect: Dialect, worker: str, finishes: Sequence[Finish]
) -> list[Finish]:
    """Record completed attempts: one statement for those that left nothing but their times, where the
    database has a short way for them, and one for the others, but for batches too large for a packet.

    Returns:
        Those that the fence refused: the job is no longer this worker's.
    """
    recorded, others = 0, finishes
    if dialect.batch is not Batch.DOCUMENT and (bare := [each for each in finishes if each.is_bare]):
        recorded = _complete_bare(connection, dialect, worker, bare)
        others = [each for each in finishes if not each.is_bare] if len(bare) < len(finishes) else ()
    for ids, document in _documents(others):
        values = {"finisher": worker, "done": document, "finished": dialect.id_list(ids)}
        recorded += connection.execute(_complete(dialect), values).rowcount
    return [] if recorded == len(finishes) else find_refused(connection, dialect, worker, finishes)


def find_refused(
    connection: Connection, _dialect: Dialect, worker: str, finishes: Sequence[Finish]
) -> list[Finish]:
    """Those of ``finishes`` that are not recorded.

    What was recorded earlier under the same fence (its answer was lost) counts as well.
    """
    pairs = [(finish.claim.id, finish.claim.claims) for finish in finishes]
    done = and_(
        row_of(JOBS.c.id, JOBS.c.claims).in_(pairs), JOBS.c.worker_id == worker, JOBS.c.status == "completed"
    )
    found = set(connection.execute(select(JOBS.c.id).where(done)).scalars())
    return [finish for finish in finishes if finish.claim.id not in found]


def _complete_bare(connection: Connection, dialect: Dialect, worker: str, finishes: Sequence[Finish]) -> int:
    """How many the fence let through."""
    if dialect.batch is Batch.ROWS:
        moment = dialect.moment
        rows = [
            {
                "job": each.claim.id,
                "fence": each.claim.claims,
                "finisher": worker,
                "began": moment(each.ended if each.started is None else each.started),
                "ended": moment(each.ended),
            }
            for each in finishes
        ]
        return dialect.run_each(connection, _complete_each(), rows)
    return connection.execute(complete_columns(dialect), columns_of(dialect, worker, finishes)).rowcount


def columns_of(dialect: Dialect, worker: str, finishes: Sequence[Finish]) -> dict[str, Any]:
    """The parameters of ``complete_columns``."""
    a_list = dialect.column_list
    finishes = sorted(finishes, key=lambda each: each.claim.id)  # rows are locked in this order
    return {
        "finisher": worker,
        "done_id": a_list([each.claim.id for each in finishes]),
        "done_claims": a_list([each.claim.claims for each in finishes]),
        "done_started": a_list([each.ended if each.started is None else each.started for each in finishes]),
        "done_ended": a_list([each.ended for each in finishes]),
    }


def fail(connection: Connection, dialect: Dialect, worker: str, finish: Finish, engine: str) -> bool:
    """Record an attempt that did not complete: tried again later, failed, or (if asked for) cancelled.

    The ``jobman_attempts`` row, and the ``failed_jobs`` row of a job whose tries are used up, are
    written only when the fence let the finish through.

    Args:
        engine: The queue's engine, for ``failed_jobs.connection``.

    Returns:
        False when the fence refused it.
    """
    claim, outcome = finish.claim, finish.outcome
    values = {
        "finisher": worker,
        "job": claim.id,
        "claim": claim.claims,
        "final": is_final(claim, outcome),
        "delay": outcome.delay,
        "begun": _moment(finish.started),
        "message": outcome.error_message,
        "trace": outcome.exception,
        "new_attribs": finish.attribs,
        "new_logs": finish.logs,
        "new_progress": finish.progress,
    }
    if connection.execute(_fail(dialect), values).rowcount != 1:
        # What was recorded earlier under the same fence (its answer was lost) counts as well.
        mine = (ATTEMPTS.c.jobman_id == claim.id, ATTEMPTS.c.claim == claim.claims)
        earlier = select(ATTEMPTS.c.id).where(*mine, ATTEMPTS.c.worker_id == worker)
        return connection.execute(earlier).first() is not None
    connection.execute(
        insert(ATTEMPTS),
        {
            "jobman_id": claim.id,
            "number": claim.attempt,
            "claim": claim.claims,
            "worker_id": worker,
            "started_at": _moment(finish.started),
            "ended_at": _moment(finish.ended),
            "outcome": outcome.kind.value,
            "error_message": outcome.error_message,
            "exception": outcome.exception,
        },
    )
    row = connection.execute(
        select(JOBS.c.status, JOBS.c.attribs, JOBS.c.tags).where(JOBS.c.id == claim.id)
    ).one()
    if row.status == "failed":
        record_failed_job(
            connection, dialect, claim, row, outcome.exception or outcome.error_message or "", engine
        )
    return True


def record_failed_job(
    connection: Connection, dialect: Dialect, claim: Claim, row: Any, exception: str, engine: str
) -> None:
    """Write the ``failed_jobs`` row of a job that has just become ``failed``."""
    payload = {"type": claim.type, "attribs": row.attribs, "tags": row.tags or [], "attempts": claim.attempt}
    values = {
        "uuid": str(uuid4()),
        "connection": engine,
        "queue": claim.queue,
        "payload": compact_json(payload),
        "exception": exception,
        "jobman_id": claim.id,
    }
    connection.execute(insert(FAILED_JOBS).values(failed_at=dialect.now()), values)


def is_final(claim: Claim, outcome: Outcome) -> bool:
    """True when no try is left. A rescued attempt was not the job's fault and is no try."""
    return outcome.kind is OutcomeKind.FAIL or claim.attempt - claim.rescues >= claim.tries


def _documents(finishes: Sequence[Finish]) -> Iterator[tuple[list[int], str]]:
    """The batch as ids and JSON: one document, or several when logs or attribs make it long."""
    rows = [(finish.claim.id, _row(finish)) for finish in finishes]
    while rows:
        size, number = len(rows[0][1]), 1
        while number < len(rows) and size + len(rows[number][1]) <= MAX_DOCUMENT:
            size += len(rows[number][1])
            number += 1
        yield [job_id for job_id, _ in rows[:number]], "[" + ",".join(row for _, row in rows[:number]) + "]"
        del rows[:number]


def _row(finish: Finish) -> str:
    claim, started = finish.claim, finish.ended if finish.started is None else finish.started
    # Written by hand, because this runs for every job: four numbers need no encoder.
    times = f'{{"id":{claim.id},"claims":{claim.claims},"started":{started!r},"ended":{finish.ended!r}'
    given = {
        "code": finish.outcome.code,
        "attribs": finish.attribs,
        "logs": finish.logs,
        "progress": finish.progress,
    }
    if not any(given.values()):
        return times + "}"
    rest = compact_json({key: value for key, value in given.items() if value is not None})
    return f"{times},{rest[1:]}"


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def kept(dialect: Dialect, attribs: Any, logs: Any, progress: Any) -> dict[str, ColumnElement[Any]]:
    """The new values of what a job leaves behind; each argument is an expression that may be NULL."""
    values: dict[str, ColumnElement[Any]] = {
        "logs": case((logs.is_(None), JOBS.c.logs), else_=func.coalesce(JOBS.c.logs, "") + logs),
        "progress": func.coalesce(dialect.as_json(progress), JOBS.c.progress),
    }
    if attribs is not None:
        values["attribs"] = func.coalesce(dialect.as_json(attribs), JOBS.c.attribs)
    return values


@cache
def _complete(dialect: Dialect) -> Update:
    done = dialect.rows(
        "done",
        id=Kind.INTEGER,
        claims=Kind.INTEGER,
        started=Kind.TIME,
        ended=Kind.TIME,
        code=Kind.TEXT,
        attribs=Kind.TEXT,
        logs=Kind.TEXT,
        progress=Kind.TEXT,
    )
    left = kept(dialect, done.c.attribs, done.c.logs, done.c.progress)
    return _completed(done, done.c.code, **left).where(dialect.one_of(JOBS.c.id, "finished"))


@cache
def complete_columns(dialect: Dialect) -> Update:
    """Bare ends, a list a column."""
    times = {"started": Kind.TIME, "ended": Kind.TIME}
    return _completed(dialect.columns("done", id=Kind.INTEGER, claims=Kind.INTEGER, **times), None)


def _completed(done: Subquery, code: Any, **left: ColumnElement[Any]) -> Update:
    return (
        update(JOBS)
        .where(
            JOBS.c.id == done.c.id,
            JOBS.c.claims == done.c.claims,
            text(STILL_RUNNING),
            JOBS.c.worker_id == bindparam("finisher"),
        )
        .values(
            status="completed",
            started_at=done.c.started,
            completed_at=done.c.ended,
            completed_code=code,
            **left,
        )
    )


@cache
def _complete_each() -> Update:
    return (
        update(JOBS)
        .where(
            JOBS.c.id == bindparam("job"),
            JOBS.c.claims == bindparam("fence"),
            text(STILL_RUNNING),
            JOBS.c.worker_id == bindparam("finisher"),
        )
        .values(
            status=literal_column("'completed'"),
            started_at=bindparam("began", type_=Text),
            completed_at=bindparam("ended", type_=Text),
            completed_code=null(),
        )
    )


@cache
def _fail(dialect: Dialect) -> Update:
    again = and_(JOBS.c.cancel_requested_at.is_(None), bindparam("final").is_(False))
    left = [bindparam(name, type_=JOBS.c.logs.type) for name in ("new_attribs", "new_logs", "new_progress")]
    later = dialect.later(cast(bindparam("delay"), Double))
    return (
        update(JOBS)
        .where(
            JOBS.c.id == bindparam("job"),
            JOBS.c.claims == bindparam("claim"),
            JOBS.c.status == "running",
            JOBS.c.worker_id == bindparam("finisher"),
        )
        .values(
            status=case(
                (JOBS.c.cancel_requested_at.is_not(None), "cancelled"), (again, "scheduled"), else_="failed"
            ),
            available_at=case((again, later), else_=JOBS.c.available_at),
            started_at=func.coalesce(bindparam("begun", type_=JOBS.c.started_at.type), JOBS.c.started_at),
            failed_at=dialect.now(),
            error_message=bindparam("message"),
            exception=bindparam("trace"),
            **kept(dialect, *left),
        )
    )
