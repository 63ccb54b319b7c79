"""Dispatch: the row first, one commit, then the push.

Redis away is not the caller's trouble: the row stays ``pending`` and is pushed when Redis is back.
"""

from __future__ import annotations

import logging
import math
import re
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from jobman_cli.core.clock import MAX_PRIORITY, MIN_PRIORITY
from jobman_cli.core.jobtype import JobType
from jobman_cli.core.states import Status
from jobman_cli.errors import (
    InvalidAttribs,
    InvalidOption,
    JobmanError,
    QueueUnavailable,
    StoreUnavailable,
    UsageError,
)
from jobman_cli.operations.parts import Lines, Parts
from jobman_cli.settings import Settings
from jobman_cli.store.database import compact_json
from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.insert import InLine, NewJob, Placed, insert_job, insert_jobs, insert_unique
from jobman_cli.store.lifecycle.line import mark_pending
from jobman_cli.store.session import after_commit, connection_of
from jobman_cli.store.tables import Job

logger = logging.getLogger("jobman.dispatch")

#: Rows in one INSERT and ids in one push.
BATCH = 1000
#: Characters of attribs after which an INSERT takes no more rows: MariaDB accepts 16 MiB in one statement,
#: and a character may take four bytes, or be quoted twice.
BATCH_SIZE = 2**21
#: A year; a longer delay is a mistake in the unit.
MAX_DELAY = 366 * 86400.0

_QUEUE_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_MAX_TAGS, _MAX_TAG, _MAX_KEY = 20, 100, 190


@dataclass(frozen=True, slots=True)
class Options:
    """What one dispatch may set; None leaves it to the job type.

    Attributes:
        priority: -1000 … 1000, higher runs first.
        delay: Seconds until the job may run.
        unique_key: While a job with this key is not finished, no other is written.
    """

    queue: str | None = None
    priority: int | None = None
    delay: float | timedelta | None = None
    tags: Sequence[str] | None = None
    unique_key: str | None = None


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
    options: Options = Options(),
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
    options: Options = Options(),
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
    run = parts.database.run_alone if key is None else parts.database.run
    job, place = run(insert_job, new, text, key)
    if place is not None and new.delay is None and not push(parts, [place]):
        job.status = Status.PENDING.value
    return job, place is not None


def dispatch_many(
    parts: Parts,
    name: str,
    attribs: Iterable[Mapping[str, Any]],
    options: Options = Options(),
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
    options: Options = Options(),
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
    try:
        parts.engine.push(rows)
    except QueueUnavailable as error:
        logger.warning("%d job(s) stay pending until the queue is back: %s", len(rows), error)
    else:
        return True
    ids = [row.id for row in rows]
    try:
        parts.database.run(mark_pending, ids)
    except StoreUnavailable as error:  # they stay queued, and reconcile finds them
        logger.warning("could not mark %d job(s) pending: %s", len(ids), error)
    return False


def new_job(job_type: JobType, options: Options) -> NewJob:
    """What the row will say beside the attribs: the dispatch's options over the job type's.

    Raises:
        InvalidOption: when one is out of its bounds.
    """
    defaults = job_type.options
    queue = options.queue if options.queue is not None else defaults.queue
    if not isinstance(queue, str) or not _QUEUE_NAME.fullmatch(queue):
        raise InvalidOption(
            f"queue: {queue!r} is no queue name",
            hint="Use 1 to 64 letters, digits, and the characters _ . : -",
        )
    priority = options.priority if options.priority is not None else defaults.priority
    if (
        isinstance(priority, bool)
        or not isinstance(priority, int)
        or not MIN_PRIORITY <= priority <= MAX_PRIORITY
    ):
        raise InvalidOption(
            f"priority: {priority!r} is out of bounds",
            hint=f"Use a whole number, {MIN_PRIORITY} … {MAX_PRIORITY}.",
        )
    tags = options.tags if options.tags is not None else defaults.tags
    return NewJob(
        type=job_type.name,
        queue=queue,
        priority=priority,
        tries=defaults.tries,
        timeout=defaults.timeout,
        tags=_checked_tags(tags),
        delay=_seconds(options.delay),
    )


def key_of(job_type: JobType, text: str, options: Options = Options()) -> str | None:
    """The unique key of one job: the dispatch's, or what the job type makes of the attribs.

    Args:
        text: The attribs as ``encode`` returns them.

    Raises:
        InvalidOption: when it is no key.
    """
    key = options.unique_key
    if key is None:
        return job_type.unique_key(text)
    if (
        not isinstance(key, str)
        or not 0 < len(key) <= _MAX_KEY
        or not key.isprintable()
        or key != key.strip()
    ):
        shown = ascii(key)
        raise InvalidOption(
            f"unique_key: {shown if len(shown) <= 60 else shown[:59] + '…'} is no key",
            hint=f"Use printable text of 1 to {_MAX_KEY} characters, with no blank at its ends.",
        )
    return key


def encode(settings: Settings, job_type: JobType, attribs: Mapping[str, Any]) -> str:
    """Validated attribs as the JSON text that is stored.

    Raises:
        InvalidAttribs: when they do not fit the signature, or are too large.
    """
    if not isinstance(attribs, Mapping):
        raise InvalidAttribs(
            f"{job_type.name}: attribs must be an object, not {type(attribs).__name__}",
            hint='Give names and values, such as {"name": "Ada"}.',
        )
    text = compact_json(job_type.validate(attribs))
    size, most = len(text.encode()), settings.max_attribs_bytes
    if size > most:
        raise InvalidAttribs(
            f"{job_type.name}: the attribs take {size:,} bytes, more than {most:,}",
            hint="Store the data elsewhere and pass its key, or raise `max_attribs_bytes`.",
        )
    return text


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


def _checked_tags(tags: Any) -> tuple[str, ...]:
    if isinstance(tags, str) or not isinstance(tags, Collection):
        raise InvalidOption(f"tags: {tags!r} is no list", hint='Give a list of texts, such as ["nightly"].')
    for tag in tags:
        if not isinstance(tag, str) or not 0 < len(tag) <= _MAX_TAG or not tag.isprintable():
            raise InvalidOption(
                f"tags: {tag!r} is no tag", hint=f"Use printable text of 1 to {_MAX_TAG} characters."
            )
    if len(tags) > _MAX_TAGS:
        raise InvalidOption(f"tags: {len(tags)} are too many", hint=f"Use at most {_MAX_TAGS}.")
    return tuple(dict.fromkeys(tags))


def _seconds(delay: float | timedelta | None) -> float | None:
    if delay is None:
        return None
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        raise InvalidOption(
            f"delay: {delay!r} is no number of seconds", hint="Use a number such as 30 or 0.5."
        )
    if not 0 <= seconds <= MAX_DELAY:
        raise InvalidOption(f"delay: {seconds:g} s is out of bounds", hint="Use 0 up to a year, in seconds.")
    return float(seconds) or None
