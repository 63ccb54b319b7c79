"""What was counted, which troubles there are, which tags are watched."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Double, Index, Integer, String
from sqlmodel import Field, SQLModel

from jobman_cli.store.tables.columns import (
    BIGINT,
    DOCUMENT,
    LONG,
    MYSQL,
    NAME,
    UTCDateTime,
    moment,
)


class Metric(SQLModel, table=True):
    """What was counted in one minute (later: hour, day) of one job type in one queue."""

    __tablename__ = "jobman_metrics"
    __table_args__ = MYSQL

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
    __table_args__ = (Index("ix_jobman_alerts_state", "state", "raised_at"), MYSQL)

    #: Names the trouble: ``long-wait:default``.
    key: str = Field(sa_column=Column(NAME, primary_key=True))
    kind: str = Field(sa_column=Column(String(32), nullable=False))
    #: A value of ``lifecycle.alerts.AlertState``.
    state: str = Field(sa_column=Column(String(16), nullable=False))
    message: str = Field(sa_column=Column(LONG, nullable=False))
    details: dict[str, Any] | None = Field(default=None, sa_column=Column(DOCUMENT, nullable=True))
    #: How often it was noticed since it began.
    count: int = Field(default=0, sa_column=Column(BIGINT, nullable=False))
    raised_at: datetime | None = moment(required=True)
    #: When it is taken to be over unless it is noticed again; NULL is until somebody says so.
    expires_at: datetime | None = moment()
    cleared_at: datetime | None = moment()
    last_told_at: datetime | None = moment()
    #: Of kinds that are events: what happened up to then has been told.
    marked_at: datetime | None = moment()


class MonitoredTag(SQLModel, table=True):
    """A tag whose jobs are counted."""

    __tablename__ = "jobman_monitored_tags"
    __table_args__ = MYSQL

    tag: str = Field(sa_column=Column(NAME, primary_key=True))
    created_at: datetime | None = moment(required=True)
