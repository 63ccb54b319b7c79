"""Dispatch: the row first, one commit, then the push.

Redis away is not the caller's trouble: the row stays ``pending`` and is pushed when Redis is back.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from jobman_cli.core.jobtype import JobType
from jobman_cli.core.states import Status
from jobman_cli.errors import JobmanError, QueueUnavailable, StoreUnavailable, UsageError
from jobman_cli.operations.group_commit import PassOn, nobody
from jobman_cli.operations.parts import Lines, Parts
from jobman_cli.operations.request import DEFAULTS, Options, encode, key_of, new_job
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.failures import Refused
from jobman_cli.store.lifecycle.insert import (
    InLine,
    NewJob,
    Placed,
    Written,
    insert_job,
    insert_jobs,
    insert_row,
    insert_rows,
    insert_unique,
    job_of,
    place_of,
)
from jobman_cli.store.lifecycle.line import mark_pending
from jobman_cli.store.session import after_commit, connection_of
from jobman_cli.store.tables import Job

logger = logging.getLogger("jobman.dispatch")

#: Rows in one INSERT and ids in one push.
BATCH = 1000
#: Characters of attribs in a dispatch that may be written together with others: there may be 32 of them, and
#: some servers take no more than a megabyte in a statement.
GROUP_SIZE = 2**12
_TROUBLES = ("%d job(s) stay pending until the queue is back: %s", "could not mark %d job(s) pending: %s")
#: A row as it was written, and what came in the way of its push.
_Made = tuple[Written, list[JobmanError]]
#: Characters of attribs after which an INSERT takes no more rows: MariaDB accepts 16 MiB in one statement,
#: and a character may take four bytes, or be quoted twice.
BATCH_SIZE = 2**21


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What came of ``dispatch_many``.

    Attributes:
        ids: Of the jobs, in the order of their attribs.
        written: How many of them are new; the others were there, by their unique keys.
    """

    ids: Sequence[int]
    written: int


def dispatch(
    parts: Parts,
    name: str,
    attribs: Mapping[str, Any] | None = None,
    options: Options = DEFAULTS,
    session: Any = None,
) -> Job:
    """Write a job's row and push its id, unless an unfinished job bears its unique key.

    Args:
        name: The job type.
        attribs: Its arguments, by name.
        session: A SQLAlchemy or SQLModel ``Session`` of the same database: the row joins its
            transaction, and the push happens after that transaction's commit.

    Returns:
        The row; of a unique job the one that is there.

    Raises:
        UnknownJobType, InvalidAttribs, InvalidOption: nothing was written.
        StoreUnavailable: the database is away; the row may or may not be there.
    """
    return dispatch_once(parts, name, attribs, options, session)[0]


def dispatch_once(
    parts: Parts,
    name: str,
    attribs: Mapping[str, Any] | None = None,
    options: Options = DEFAULTS,
    session: Any = None,
) -> tuple[Job, bool]:
    """As ``dispatch``.

    Returns:
        The row, and whether it was written now: False when it was there, by its unique key.
    """
    job_type = parts.registry.find(name)
    new = new_job(job_type, options)
    text = encode(parts.settings, job_type, attribs or {})
    key = key_of(job_type, text, options)
    if session is not None:
        connection = connection_of(session, parts.database)
        job, place = insert_job(connection, parts.database.dialect, new, text, key)
        if place is not None and new.delay is None:
            after_commit(session, [place], push, parts)
        return job, place is not None
    if key is not None:
        job, place = parts.database.run(insert_job, new, text, key)
        if place is not None and new.delay is None and not push(parts, [place]):
            job.status = Status.PENDING.value
        return job, place is not None
    one, some = partial(_write_one, parts, new), partial(_write_some, parts, new)
    row, troubles = one(text) if len(text) > GROUP_SIZE else parts.group.do(new, text, one, some)
    job = job_of(new, text, row)
    if troubles:
        _tell(troubles, 1)
        job.status = Status.PENDING.value
    return job, True


def _write_one(parts: Parts, new: NewJob, text: str, pass_on: PassOn = nobody) -> _Made:
    """``pass_on`` lets others be written, before a push that takes most of a second when Redis is away."""
    row = parts.database.run_alone(insert_row, new, text)
    pass_on()
    return row, _push(parts, [place_of(new, row)]) if new.delay is None else []


def _write_some(
    parts: Parts, new: NewJob, texts: list[str], pass_on: PassOn = nobody
) -> list[_Made | Exception]:
    """One INSERT and one push. Should the database refuse, it may be the fault of one of them.

    Nobody may log here: a logging handler that dispatches would wait for us, and we for its lock.
    """
    rows: Sequence[Written | Exception]
    try:
        rows = parts.database.run_alone(insert_rows, new, texts)
    except Refused:
        rows = []
    except JobmanError as error:
        return [type(error)(error.message, hint=error.hint) for _ in texts]
    rows = rows or [_attempt(parts, new, text) for text in texts]
    pass_on()
    places = [place_of(new, row) for row in rows if not isinstance(row, Exception)]
    troubles = _push(parts, places) if places and new.delay is None else []
    return [row if isinstance(row, Exception) else (row, troubles) for row in rows]


def _attempt(parts: Parts, new: NewJob, text: str) -> Written | Exception:
    """A row alone; or its caller's error, without the frames in which the others' texts are."""
    try:
        return parts.database.run_alone(insert_row, new, text)
    except (JobmanError, Refused) as error:
        each: BaseException | None = error
        while each is not None:
            each.__traceback__, each = None, each.__cause__ or each.__context__
        return error


def dispatch_many(
    parts: Parts,
    name: str,
    attribs: Iterable[Mapping[str, Any]],
    options: Options = DEFAULTS,
    session: Any = None,
) -> Sequence[int]:
    """Dispatch one job for each of ``attribs``, a thousand rows an INSERT and ids a push.

    Without ``session`` each thousand is a transaction of its own, so the memory needed does not grow
    with the number of jobs, but for eight bytes an id.

    Returns:
        The rows' ids, in the order of ``attribs``; of unique jobs those that are there.

    Raises:
        InvalidAttribs: the message says which one, and how many were dispatched before it.
        UnknownJobType, InvalidOption, StoreUnavailable: as ``dispatch``.
    """
    return dispatch_each(parts, name, attribs, options, session).ids


def dispatch_each(
    parts: Parts,
    name: str,
    attribs: Iterable[Mapping[str, Any]],
    options: Options = DEFAULTS,
    session: Any = None,
) -> Dispatched:
    """As ``dispatch_many``; it also says how many are new."""
    job_type = parts.registry.find(name)
    new = new_job(job_type, options)
    if isinstance(attribs, Mapping):
        raise UsageError(
            "dispatch_many takes a list of attribs, not one", hint="Use dispatch for a single job."
        )
    if options.unique_key is not None:
        raise UsageError(
            "unique_key names one job, not many",
            hint="Give the job type unique=[…], with the attribs that tell its jobs apart.",
        )
    ids, written = array("q"), 0
    each = iter(attribs)
    while texts := _encode_batch(parts, job_type, islice(each, BATCH), len(ids)):
        if session is not None:
            connection = connection_of(session, parts.database)
            placed = _insert_batch(connection, parts.database.dialect, new, job_type, texts)
            if placed.written and new.delay is None:
                after_commit(session, placed.written, push, parts)
        else:
            placed = parts.database.run(_insert_batch, new, job_type, texts)
            if placed.written and new.delay is None:
                push(parts, placed.written)
        ids.extend(placed.ids)
        written += len(placed.written)
    return Dispatched(ids, written)


def _insert_batch(
    connection: Any, dialect: Dialect, new: NewJob, job_type: JobType, texts: list[str]
) -> Placed:
    if job_type.options.unique is False:
        rows = insert_jobs(connection, dialect, new, texts)
        return Placed([row.id for row in rows], rows)
    keys = [str(job_type.unique_key(text)) for text in texts]
    return insert_unique(connection, dialect, new, texts, keys)


def push(parts: Parts | Lines, rows: Sequence[InLine]) -> bool:
    """Push ids; when the queue is away, mark the rows ``pending`` and go on.

    Returns:
        True when they were pushed.
    """
    troubles = _push(parts, rows)
    _tell(troubles, len(rows))
    return not troubles


def _push(parts: Parts | Lines, rows: Sequence[InLine]) -> list[JobmanError]:
    """What came in the way: of the push, then of the mark."""
    try:
        parts.engine.push(rows)
    except QueueUnavailable as error:
        troubles: list[JobmanError] = [error]
    else:
        return []
    try:
        parts.database.run(mark_pending, [row.id for row in rows])
    except StoreUnavailable as error:  # they stay queued, and reconcile finds them
        troubles.append(error)
    return troubles


def _tell(troubles: Sequence[JobmanError], number: int) -> None:
    for what, error in zip(_TROUBLES, troubles, strict=False):
        logger.warning(what, number, error)


def _encode_batch(
    parts: Parts, job_type: JobType, some: Iterable[Mapping[str, Any]], before: int
) -> list[str]:
    texts: list[str] = []
    size = 0
    for attribs in some:
        try:
            texts.append(encode(parts.settings, job_type, attribs))
        except JobmanError as error:
            number = before + len(texts)
            error.message = f"number {number} (from 0): {error.message}; {before} were dispatched before it"
            raise
        size += len(texts[-1])
        if size >= BATCH_SIZE:
            break
    return texts
