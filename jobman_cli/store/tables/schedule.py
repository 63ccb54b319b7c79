"""What is to run at which time, and what became of each time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, Integer, String
from sqlmodel import Field, SQLModel

from jobman_cli.store.tables.columns import (
    AUTO,
    BIGINT,
    LONG,
    MYSQL,
    NAME,
    long_text,
    moment,
)


class ScheduleEntry(SQLModel, table=True):
    """How far an entry of the schedule has come."""

    __tablename__ = "jobman_schedule_entries"
    __table_args__ = MYSQL

    name: str = Field(sa_column=Column(NAME, primary_key=True))
    #: Its times, as the configuration said them last.
    times: str = Field(sa_column=Column(LONG, nullable=False))
    #: Every time up to here is settled: fired, left out, or before the entry was known.
    settled_until: datetime | None = moment(required=True)
    paused_at: datetime | None = moment()


class ScheduleFire(SQLModel, table=True):
    """One time of one entry of the schedule, and what came of it."""

    __tablename__ = "jobman_schedules"
    __table_args__ = (
        Index("ux_jobman_schedules_fire", "name", "fire_at", unique=True),
        Index("ix_jobman_schedules_open", "outcome", "leased_until"),
        Index("ix_jobman_schedules_created", "created_at"),
        AUTO,
    )

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    name: str = Field(sa_column=Column(NAME, nullable=False))
    fire_at: datetime | None = moment(required=True)
    #: A value of ``lifecycle.schedules.FireOutcome``.
    outcome: str = Field(sa_column=Column(String(16), nullable=False))
    message: str | None = long_text()
    #: The job that was dispatched.
    jobman_id: int | None = Field(default=None, sa_column=Column(BIGINT, nullable=True))
    #: Of operations: how often one was begun, who runs it, and how long that is believed.
    claims: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    holder: str | None = Field(default=None, sa_column=Column(String(36), nullable=True))
    leased_until: datetime | None = moment()
    created_at: datetime | None = moment(required=True)
    started_at: datetime | None = moment()
    finished_at: datetime | None = moment()
