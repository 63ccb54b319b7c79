"""The tables, as SQLModel classes: what a row may say, and which indexes serve which question.

``jobmans`` and ``failed_jobs`` keep the names of the line this product follows; every other table
carries the prefix, because all of them may live in the application's own database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Dialect, Double, Index, Integer, String, Text, text
from sqlalchemy import DateTime as SQLDateTime
from sqlalchemy.dialects.mysql import DATETIME as MYSQL_DATETIME
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


def as_utc(value: datetime) -> datetime:
    """The same moment, aware, in UTC; a naive value is taken as UTC already."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database (timestamptz, DATETIME(6), ISO text)."""

    impl = SQLDateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """MySQL's family needs the fraction spelled out."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(MYSQL_DATETIME(fsp=6))
        return dialect.type_descriptor(SQLDateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; without the zone where the database keeps none."""
        if value is None:
            return None
        utc = as_utc(value)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        return None if value is None else as_utc(value)


BIGINT = BigInteger().with_variant(Integer, "sqlite")
LONG = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
DOCUMENT = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
NAME = String(190)

#: Names are told apart by case on every database.
_MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_AUTO = {"sqlite_autoincrement": True, **_MYSQL}  # ids are not given again after a prune

#: Conditions of the partial indexes. One text each, because a partial index only serves a query that
#: repeats its condition. MySQL's family has no partial indexes: there the same index covers every row.
IN_LINE = "status IN ('pending', 'queued')"
DUE = "status = 'scheduled'"
RUNNING = "status = 'running'"


def _index(name: str, *columns: str, only: str) -> Index:
    return Index(name, *columns, postgresql_where=text(only), sqlite_where=text(only))


def _time(*, required: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UTCDateTime(), nullable=not required))


def _long() -> Any:
    return Field(default=None, sa_column=Column(LONG, nullable=True))


class Job(SQLModel, table=True):
    """One job: one request to run a job type."""

    __tablename__ = "jobmans"
    __table_args__ = (
        _index("ix_jobmans_line", "queue", "status", "rank", "id", only=IN_LINE),
        _index("ix_jobmans_due", "status", "available_at", only=DUE),
        _index("ix_jobmans_running", "worker_id", "status", only=RUNNING),
        Index("ix_jobmans_status", "status", "id"),
        Index("ix_jobmans_type", "type", "id"),
        Index("ix_jobmans_created", "created_at"),
        _AUTO,
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
    unique_key: str | None = Field(default=None, sa_column=Column(NAME, nullable=True))
    #: ``{"done": 3, "total": 10}``.
    progress: dict[str, float] | None = Field(default=None, sa_column=Column(DOCUMENT, nullable=True))
    logs: str | None = _long()
    #: The last failure's message and traceback; kept after a later success.
    error_message: str | None = _long()
    exception: str | None = _long()
    completed_code: str | None = Field(default=None, sa_column=Column(NAME, nullable=True))
    created_at: datetime | None = _time(required=True)
    queued_at: datetime | None = _time()
    #: When a scheduled job is due.
    available_at: datetime | None = _time()
    started_at: datetime | None = _time()
    completed_at: datetime | None = _time()
    failed_at: datetime | None = _time()
    cancel_requested_at: datetime | None = _time()


class FailedJob(SQLModel, table=True):
    """A job whose tries are used up, in Laravel's columns; gone when it is retried or forgotten."""

    __tablename__ = "failed_jobs"
    __table_args__ = (
        Index("ix_failed_jobs_jobman", "jobman_id"),
        Index("ix_failed_jobs_failed_at", "failed_at"),
        _AUTO,
    )

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    uuid: str = Field(sa_column=Column(String(36), nullable=False, unique=True))
    #: The queue's engine: ``database`` or ``redis``.
    connection: str = Field(sa_column=Column(String(32), nullable=False))
    queue: str = Field(sa_column=Column(NAME, nullable=False))
    #: JSON text: type, attribs, tags and the number of attempts.
    payload: str = Field(sa_column=Column(LONG, nullable=False))
    exception: str = Field(sa_column=Column(LONG, nullable=False))
    failed_at: datetime | None = _time(required=True)
    jobman_id: int = Field(sa_column=Column(BIGINT, nullable=False))


class Attempt(SQLModel, table=True):
    """One attempt that did not complete."""

    __tablename__ = "jobman_attempts"
    __table_args__ = (
        Index("ix_jobman_attempts_jobman", "jobman_id", "id"),
        _AUTO,
    )

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    jobman_id: int = Field(sa_column=Column(BIGINT, nullable=False))
    #: The attempt's number, from 1, and the claim it ran under.
    number: int = Field(sa_column=Column(Integer, nullable=False))
    claim: int = Field(sa_column=Column(Integer, nullable=False))
    worker_id: str | None = Field(default=None, sa_column=Column(String(36), nullable=True))
    started_at: datetime | None = _time()
    ended_at: datetime | None = _time(required=True)
    #: A value of ``core.outcome.OutcomeKind``, or ``rescued``.
    outcome: str = Field(sa_column=Column(String(16), nullable=False))
    error_message: str | None = _long()
    exception: str | None = _long()


class Worker(SQLModel, table=True):
    """One worker, for the time between its boot and its end."""

    __tablename__ = "jobman_workers"
    __table_args__ = (
        Index("ix_jobman_workers_supervisor", "supervisor"),
        Index("ix_jobman_workers_state", "state", "heartbeat_at"),
        _MYSQL,
    )

    #: New at each boot: a name is never used twice.
    uuid: str = Field(sa_column=Column(String(36), primary_key=True))
    #: The uuid of the supervisor process it belongs to.
    supervisor: str = Field(sa_column=Column(String(36), nullable=False))
    #: ``running``, ``stopped`` (ended by itself) or ``lost`` (taken for dead).
    state: str = Field(sa_column=Column(String(16), nullable=False))
    host: str = Field(sa_column=Column(String(255), nullable=False))
    pid: int = Field(sa_column=Column(Integer, nullable=False))
    #: What proves that a pid is still the same process: boot, pid namespace, start time in clock ticks.
    boot_id: str = Field(sa_column=Column(String(64), nullable=False))
    pid_namespace: str = Field(sa_column=Column(String(64), nullable=False))
    start_time: int = Field(sa_column=Column(BIGINT, nullable=False))
    queues: list[str] = Field(default_factory=list, sa_column=Column(DOCUMENT, nullable=False))
    #: A command for it (``pause``, ``continue``, ``terminate``), until it is taken.
    command: str | None = Field(default=None, sa_column=Column(String(32), nullable=True))
    started_at: datetime | None = _time(required=True)
    heartbeat_at: datetime | None = _time(required=True)
    #: The last heartbeat by the clock that judges leases, in seconds; see ``Dialect.lease_clock``.
    beat: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    stopped_at: datetime | None = _time()


class Queue(SQLModel, table=True):
    """What is set for a queue; a queue without a row runs."""

    __tablename__ = "jobman_queues"
    __table_args__ = _MYSQL

    name: str = Field(sa_column=Column(NAME, primary_key=True))
    paused_at: datetime | None = _time()
    #: NULL with ``paused_at`` set: until somebody says ``continue``.
    paused_until: datetime | None = _time()


class Metric(SQLModel, table=True):
    """What was counted in one minute (later: hour, day) of one job type in one queue."""

    __tablename__ = "jobman_metrics"
    __table_args__ = _MYSQL

    #: Seconds that the row stands for: 60, 3600 or 86400.
    span: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    #: When they begin.
    at: datetime = Field(sa_column=Column(UTCDateTime(), primary_key=True))
    type: str = Field(sa_column=Column(NAME, primary_key=True))
    queue: str = Field(sa_column=Column(NAME, primary_key=True))
    completed: int = Field(default=0, sa_column=Column(BIGINT, nullable=False))
    #: Attempts that ended otherwise, and how many of them used a job's tries up.
    failed_attempts: int = Field(default=0, sa_column=Column(BIGINT, nullable=False))
    failed_jobs: int = Field(default=0, sa_column=Column(BIGINT, nullable=False))
    #: Seconds, of all attempts; histograms as ``core.histogram`` has them.
    runtime_sum: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    runtime_max: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    runtime_histogram: dict[str, int] = Field(
        default_factory=dict, sa_column=Column(DOCUMENT, nullable=False)
    )
    wait_sum: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    wait_max: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    wait_histogram: dict[str, int] = Field(default_factory=dict, sa_column=Column(DOCUMENT, nullable=False))


class Alert(SQLModel, table=True):
    """One trouble that was announced, or is to be."""

    __tablename__ = "jobman_alerts"
    __table_args__ = (Index("ix_jobman_alerts_state", "state", "raised_at"), _MYSQL)

    #: Names the trouble: ``long-wait:default``.
    key: str = Field(sa_column=Column(NAME, primary_key=True))
    kind: str = Field(sa_column=Column(String(32), nullable=False))
    #: A value of ``lifecycle.alerts.AlertState``.
    state: str = Field(sa_column=Column(String(16), nullable=False))
    message: str = Field(sa_column=Column(LONG, nullable=False))
    details: dict[str, Any] | None = Field(default=None, sa_column=Column(DOCUMENT, nullable=True))
    #: How often it was noticed since it began.
    count: int = Field(default=0, sa_column=Column(BIGINT, nullable=False))
    raised_at: datetime | None = _time(required=True)
    #: When it is taken to be over unless it is noticed again; NULL is until somebody says so.
    expires_at: datetime | None = _time()
    cleared_at: datetime | None = _time()
    last_told_at: datetime | None = _time()
    #: Of kinds that are events: what happened up to then has been told.
    marked_at: datetime | None = _time()


class MonitoredTag(SQLModel, table=True):
    """A tag whose jobs are counted."""

    __tablename__ = "jobman_monitored_tags"
    __table_args__ = _MYSQL

    tag: str = Field(sa_column=Column(NAME, primary_key=True))
    created_at: datetime | None = _time(required=True)


JOBS = SQLModel.metadata.tables["jobmans"]
FAILED_JOBS = SQLModel.metadata.tables["failed_jobs"]
ATTEMPTS = SQLModel.metadata.tables["jobman_attempts"]
WORKERS = SQLModel.metadata.tables["jobman_workers"]
QUEUES = SQLModel.metadata.tables["jobman_queues"]
METRICS = SQLModel.metadata.tables["jobman_metrics"]
ALERTS = SQLModel.metadata.tables["jobman_alerts"]
MONITORED_TAGS = SQLModel.metadata.tables["jobman_monitored_tags"]
#: Ours; an application may have tables of its own in the same metadata.
TABLES = (JOBS, FAILED_JOBS, ATTEMPTS, WORKERS, QUEUES, METRICS, ALERTS, MONITORED_TAGS)
