"""What the API answers, as models: made of the tables and dataclasses where there is one.

A test holds every answer against these, and these against ``docs/reference/json.md``.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from jobman_cli.hooks.registry import PluginInfo
from jobman_cli.operations.metrics import Measure, QueueState
from jobman_cli.operations.objects.jobs import ATTEMPT_KEYS
from jobman_cli.operations.objects.measures import ALERT_KEYS, AUDIT_KEYS
from jobman_cli.operations.objects.running import WORKER_KEYS
from jobman_cli.store import tables


class Shape(BaseModel):
    """An answer: every key is there, and no other."""

    model_config = ConfigDict(extra="forbid")


def like(name: str, source: Any, keys: Iterable[str] | None = None, **more: Any) -> type[Shape]:
    """A model with the columns of a table or the fields of a dataclass, and more.

    Args:
        keys: Which of them; None for all.
        more: Name to type.
    """
    fields = getattr(source, "model_fields", None)
    known = (
        {key: each.annotation for key, each in fields.items()} if fields else typing.get_type_hints(source)
    )
    wanted: dict[str, Any] = {key: (known[key], ...) for key in (known if keys is None else keys)}
    wanted |= {key: (kind, ...) for key, kind in more.items()}
    model: type[Shape] = create_model(name, __base__=Shape, __doc__=source.__doc__, **wanted)
    return model


class FailedName(Shape):
    """What a failed job's row is called."""

    id: int
    uuid: str


class WorkerName(Shape):
    """Who runs a job, or ran it last."""

    host: str
    pid: int
    uuid: str
    state: str


Job = like("Job", tables.Job)
Attempt = like("Attempt", tables.Attempt, ATTEMPT_KEYS, host=str | None, pid=int | None)
WholeJob = like(
    "WholeJob",
    tables.Job,
    place=int | None,
    failed_job=FailedName | None,
    worker=WorkerName | None,
    history=list[Attempt],  # type: ignore[valid-type]
)
Failed = like("FailedJob", tables.FailedJob)
Worker = like("Worker", tables.Worker, WORKER_KEYS)
Queue = like("Queue", QueueState)
TypeFigures = like("TypeFigures", Measure, type=str)
QueueFigures = like("QueueFigures", Measure, **typing.get_type_hints(QueueState))
Span = like("Span", Measure, at=datetime, seconds=int)
Plugin = like("Plugin", PluginInfo)
Alert = like("Alert", tables.Alert, ALERT_KEYS)
Audit = like("Audit", tables.Audit, AUDIT_KEYS)


class Logs(Shape):
    """What a job has logged."""

    id: int
    status: str
    logs: str | None


class Metrics(Shape):
    """Figures by type and by queue; with a type or a queue asked for, its figures and how they went."""

    since: datetime
    until: datetime
    types: list[TypeFigures]  # type: ignore[valid-type]
    queues: list[QueueFigures]  # type: ignore[valid-type]


Series = like(
    "Series",
    Measure,
    since=datetime,
    until=datetime,
    type=str | None,
    queue=str | None,
    series=list[Span],  # type: ignore[valid-type]
)


class State(Shape):
    """Whether jobs are run, and by how many."""

    state: Literal["running", "paused", "inactive"]
    masters: int
    supervisors: int
    paused: int
    silent: int
    workers: int
    hosts: list[str]
    paused_queues: list[str]


class Supervisor(Shape):
    """A supervisor."""

    uuid: str
    name: str
    host: str
    pid: int
    state: str
    environment: str | None
    started_at: datetime | None
    heartbeat_at: datetime | None
    master: str | None
    queues: list[str]
    balance: str
    pools: dict[str, Any]
    workers: int


class NextTime(Shape):
    """A time that is to come."""

    utc: datetime
    local: str


class LastTime(Shape):
    """The last time, and what came of it."""

    fire_at: datetime
    outcome: str
    message: str | None
    job_id: int | None
    job_status: str | None
    started_at: datetime | None
    finished_at: datetime | None


class Entry(Shape):
    """An entry of the schedule."""

    name: str
    job: str | None
    operation: str | None
    options: dict[str, Any]
    times: str
    in_force: str | None
    timezone: str
    catch_up: str
    paused: bool
    next: list[NextTime]
    last: LastTime | None
    fault: str | None


class Tag(Shape):
    """A monitored tag, with how many of the newest 10,000 jobs bear it, by state."""

    tag: str
    jobs: dict[str, int]


class Type(Shape):
    """A job type."""

    name: str
    description: str
    queue: str
    tries: int
    timeout: float | None
    backoff: list[float]
    priority: int
    tags: list[str]
    unique: bool | list[str]
    origin: str


class Parameter(Shape):
    """A parameter of a job type: an attrib."""

    name: str
    required: bool
    default: Any
    help: str | None


class WholeType(Type):
    """A job type with its parameters and the JSON Schema of its attribs."""

    parameters: list[Parameter]
    json_schema: dict[str, Any] = Field(alias="schema")


# What was done.


class Cancelled(Shape):
    """`cancelled` will not run; `asked` runs, and was asked to stop."""

    cancelled: int
    asked: int
    finished: int
    missing: int


class LeftAlone(Shape):
    """A finished job that stays as it is: the job `holder` has its unique key."""

    id: int
    unique_key: str
    holder: int


class Retried(Shape):
    """How many failed jobs were queued."""

    queued: int
    missing: int
    elsewhere: int
    conflicts: list[LeftAlone]


class Requeued(Shape):
    """How many jobs were queued."""

    queued: int
    unfinished: int
    missing: int
    conflicts: list[LeftAlone]


class Deleted(Shape):
    """How many jobs were deleted."""

    deleted: int


class QueuePaused(Shape):
    """A queue, and whether its jobs are kept from starting now."""

    queue: str
    paused: bool


class Told(Shape):
    """What a supervisor was told, and whether it has answered."""

    command: str
    answered: bool


class Fired(Shape):
    """What came of an entry that was fired: the job, or how its operation ended."""

    job_id: int | None
    outcome: str
    message: str | None


class Error(Shape):
    """What was wrong, and what to do."""

    error: str
    hint: str
