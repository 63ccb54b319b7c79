"""A job, what became of it, and the attempts that did not complete."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, Double, Index, Integer, String
from sqlmodel import Field, SQLModel

from jobman_cli.store.tables.columns import (
    AUTO,
    BIGINT,
    DOCUMENT,
    DUE,
    HOLDS_KEY,
    IN_LINE,
    LONG,
    NAME,
    RUNNING,
    long_text,
    moment,
    partial_index,
)


class Job(SQLModel, table=True):
    """One job: one request to run a job type."""

    __tablename__ = "jobmans"
    __table_args__ = (
        partial_index("ix_jobmans_line", "queue", "status", "rank", "id", only=IN_LINE),
        partial_index("ix_jobmans_due", "status", "available_at", only=DUE),
        partial_index("ix_jobmans_running", "worker_id", "status", only=RUNNING),
        Index("ix_jobmans_status", "status", "id"),
        Index("ix_jobmans_type", "type", "id"),
        Index("ix_jobmans_created", "created_at"),
        # On MySQL's family over a generated column instead: migration 0007.
        partial_index("ux_jobmans_unique", "unique_key", only=HOLDS_KEY, unique=True),
        AUTO,
    )

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    type: str = Field(sa_column=Column(NAME, nullable=False))
    queue: str = Field(sa_column=Column(NAME, nullable=False))
    #: -1000 … 1000, higher runs first.
    priority: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    #: The place in the line; see ``core.clock``.
    rank: int = Field(default=0, sa_column=Column(BIGINT, nullable=False))
    status: str = Field(sa_column=Column(String(16), nullable=False))
    attribs: dict[str, Any] = Field(default_factory=dict, sa_column=Column(DOCUMENT, nullable=False))
    tags: list[str] | None = Field(default=None, sa_column=Column(DOCUMENT, nullable=True))
    #: How many tries it has in all.
    tries: int = Field(default=1, sa_column=Column(Integer, nullable=False))
    #: Seconds an attempt may take; NULL is without limit.
    timeout: float | None = Field(default=None, sa_column=Column(Double, nullable=True))
    #: Attempts begun, for people; a release gives one back.
    attempts: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    #: Claims ever made, for the fence; only grows.
    claims: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    #: Times the job was taken back from a worker that died.
    rescues: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    #: The worker that runs or last ran it (``jobman_workers.uuid``).
    worker_id: str | None = Field(default=None, sa_column=Column(String(36), nullable=True))
    #: Of unfinished jobs one alone bears it.
    unique_key: str | None = Field(default=None, sa_column=Column(NAME, nullable=True))
    #: ``{"done": 3, "total": 10}``.
    progress: dict[str, float] | None = Field(default=None, sa_column=Column(DOCUMENT, nullable=True))
    logs: str | None = long_text()
    #: The last failure's message and traceback; kept after a later success.
    error_message: str | None = long_text()
    exception: str | None = long_text()
    completed_code: str | None = Field(default=None, sa_column=Column(NAME, nullable=True))
    created_at: datetime | None = moment(required=True)
    queued_at: datetime | None = moment()
    #: When a scheduled job is due.
    available_at: datetime | None = moment()
    started_at: datetime | None = moment()
    completed_at: datetime | None = moment()
    failed_at: datetime | None = moment()
    cancel_requested_at: datetime | None = moment()


_DEFAULTS = {
    name: field.default
    for name, field in Job.model_fields.items()
    if not field.is_required() and name != "attribs"
}


@cache
def _manager() -> Any:
    mapper: Any = Job.__mapper__  # type: ignore[attr-defined]  # SQLAlchemy's, of a table class
    mapper.registry.configure()
    return mapper.class_manager


def new_row(**values: Any) -> Job:
    """A job that says what was written, made as SQLAlchemy makes one of a row that it has read.

    SQLModel's constructor sets each column by itself, and takes a tenth of a whole dispatch for it.
    """
    job: Job = _manager().new_instance()
    job.__dict__.update(_DEFAULTS)
    job.__dict__.update(values)
    object.__setattr__(job, "__pydantic_fields_set__", set(values))
    return job


class FailedJob(SQLModel, table=True):
    """A job whose tries are used up, in Laravel's columns; gone when it is retried or forgotten."""

    __tablename__ = "failed_jobs"
    __table_args__ = (
        Index("ix_failed_jobs_jobman", "jobman_id"),
        Index("ix_failed_jobs_failed_at", "failed_at"),
        AUTO,
    )

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    uuid: str = Field(sa_column=Column(String(36), nullable=False, unique=True))
    #: The queue's engine: ``database`` or ``redis``.
    connection: str = Field(sa_column=Column(String(32), nullable=False))
    queue: str = Field(sa_column=Column(NAME, nullable=False))
    #: JSON text: type, attribs, tags and the number of attempts.
    payload: str = Field(sa_column=Column(LONG, nullable=False))
    exception: str = Field(sa_column=Column(LONG, nullable=False))
    failed_at: datetime | None = moment(required=True)
    jobman_id: int = Field(sa_column=Column(BIGINT, nullable=False))


class Attempt(SQLModel, table=True):
    """One attempt that did not complete."""

    __tablename__ = "jobman_attempts"
    __table_args__ = (
        Index("ix_jobman_attempts_jobman", "jobman_id", "id"),
        AUTO,
    )

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    jobman_id: int = Field(sa_column=Column(BIGINT, nullable=False))
    #: The attempt's number, from 1, and the claim it ran under.
    number: int = Field(sa_column=Column(Integer, nullable=False))
    claim: int = Field(sa_column=Column(Integer, nullable=False))
    worker_id: str | None = Field(default=None, sa_column=Column(String(36), nullable=True))
    started_at: datetime | None = moment()
    ended_at: datetime | None = moment(required=True)
    #: A value of ``core.outcome.OutcomeKind``, or ``rescued``.
    outcome: str = Field(sa_column=Column(String(16), nullable=False))
    error_message: str | None = long_text()
    exception: str | None = long_text()
