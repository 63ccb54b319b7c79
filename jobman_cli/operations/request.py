"""What a dispatch asks for, checked: options over those of the job type, and attribs as they are stored."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jobman_cli.core.clock import MAX_PRIORITY, MIN_PRIORITY
from jobman_cli.core.jobtype import JobType
from jobman_cli.errors import InvalidAttribs, InvalidOption
from jobman_cli.settings import Settings
from jobman_cli.store.database import compact_json
from jobman_cli.store.lifecycle.insert import NewJob

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


#: All as the job type has it.
DEFAULTS = Options()


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


def key_of(job_type: JobType, text: str, options: Options = DEFAULTS) -> str | None:
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
