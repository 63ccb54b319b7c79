"""What an address of the API may ask, and what a body may say, as models: nothing else is let through."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from jobman_cli.core.states import Status
from jobman_cli.core.values import MAX_ID
from jobman_cli.dashboard.api.table import Asked
from jobman_cli.operations.request import MAX_DELAY

#: Rows on one page at the most.
MOST = 500

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Name = Annotated[str, Field(min_length=1, max_length=190)]
QueueName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Words = Annotated[str, Field(min_length=1, max_length=1000)]
Moment = Annotated[
    str, Field(min_length=1, max_length=64, description="A date, a time, or `2h`, `3d` … for ago.")
]
Limit = Annotated[int, Field(ge=1, le=MOST)]


class OfJob(Asked):
    """One job."""

    id: Id


class OfQueue(Asked):
    """One queue."""

    name: QueueName


class OfType(Asked):
    """One job type."""

    name: Name


class OfEntry(Asked):
    """One entry of the schedule."""

    name: Name


class OfSupervisor(Asked):
    """One supervisor."""

    uuid: Annotated[str, Field(min_length=1, max_length=36)]


class Page(Asked):
    """One page, the newest first. The header `Link` has the address of the next one."""

    before: Id | None = Field(None, description="Only ids below this one.")
    limit: Limit = 50


class WhichFailed(Page):
    """Failed jobs; all that is asked for must hold."""

    type: Words | None = None
    queue: QueueName | None = None
    error: Words | None = Field(None, description="The last error holds this text, in any case of letters.")
    since: Moment | None = None
    until: Moment | None = None


class WhichJobs(WhichFailed):
    """Jobs; all that is asked for must hold, but of several states one."""

    status: list[Status] = Field(default_factory=list, max_length=len(Status))
    tag: Words | None = None


class WhichMetrics(Asked):
    """Which figures."""

    type: Words | None = None
    queue: QueueName | None = None
    since: Annotated[str, Field(max_length=32, description="How far to look back: 30m, 12h, 7d.")] = "1h"


class NewJob(Asked):
    """A job to be dispatched; what is left out is the job type's own."""

    type: Name
    attribs: dict[str, Any] = Field(default_factory=dict, description="Its arguments by name.")
    queue: QueueName | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000, strict=True)] | None = None
    delay: Annotated[float, Field(ge=0, le=MAX_DELAY, strict=True)] | None = Field(
        None, description="Seconds until it may run."
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(None, max_length=20)


class ForHowLong(Asked):
    """How long a queue is paused."""

    seconds: Annotated[float, Field(gt=0, le=10 * 366 * 86_400, strict=True)] | None = Field(
        None, description="None until somebody continues it."
    )


class WhichToRetry(Asked):
    """Which failed jobs; all of them when nothing is said."""

    type: Words | None = None
    queue: QueueName | None = None
    error: Words | None = None
