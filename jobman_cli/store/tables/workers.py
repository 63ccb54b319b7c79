"""Who runs jobs: workers, supervisors, and what is set for a queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Double, Index, Integer, String
from sqlmodel import Field, SQLModel

from jobman_cli.store.tables.columns import (
    BIGINT,
    DOCUMENT,
    MYSQL,
    NAME,
    moment,
)


class Worker(SQLModel, table=True):
    """One worker, for the time between its boot and its end."""

    __tablename__ = "jobman_workers"
    __table_args__ = (
        Index("ix_jobman_workers_supervisor", "supervisor"),
        Index("ix_jobman_workers_state", "state", "heartbeat_at"),
        MYSQL,
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
    #: Nobody sets it: commands go to supervisors, and are in their rows.
    command: str | None = Field(default=None, sa_column=Column(String(32), nullable=True))
    #: Bytes of resident memory of its process at the last heartbeat; NULL where nobody can tell.
    memory: int | None = Field(default=None, sa_column=Column(BIGINT, nullable=True))
    started_at: datetime | None = moment(required=True)
    heartbeat_at: datetime | None = moment(required=True)
    #: The last heartbeat by the clock that judges leases, in seconds; see ``Dialect.lease_clock``.
    beat: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    stopped_at: datetime | None = moment()


class Queue(SQLModel, table=True):
    """What is set for a queue; a queue without a row runs."""

    __tablename__ = "jobman_queues"
    __table_args__ = MYSQL

    name: str = Field(sa_column=Column(NAME, primary_key=True))
    paused_at: datetime | None = moment()
    #: NULL with ``paused_at`` set: until somebody says ``continue``.
    paused_until: datetime | None = moment()


class Supervisor(SQLModel, table=True):
    """One supervisor process, or the master of several, between its boot and its end."""

    __tablename__ = "jobman_supervisors"
    __table_args__ = (Index("ix_jobman_supervisors_state", "state", "heartbeat_at"), MYSQL)

    #: New at each boot.
    uuid: str = Field(sa_column=Column(String(36), primary_key=True))
    #: ``master`` or ``supervisor``.
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    #: A supervisor's block in the configuration; ``run-worker`` for one started by hand.
    name: str = Field(sa_column=Column(NAME, nullable=False))
    #: The uuid of the master that started it.
    master: str | None = Field(default=None, sa_column=Column(String(36), nullable=True))
    environment: str | None = Field(default=None, sa_column=Column(NAME, nullable=True))
    host: str = Field(sa_column=Column(String(255), nullable=False))
    pid: int = Field(sa_column=Column(Integer, nullable=False))
    boot_id: str = Field(sa_column=Column(String(64), nullable=False))
    pid_namespace: str = Field(sa_column=Column(String(64), nullable=False))
    start_time: int = Field(sa_column=Column(BIGINT, nullable=False))
    #: ``running``, ``paused``, ``stopping``, ``stopped``, or ``lost``: its master saw it die. One that fell
    #: silent keeps its last word.
    state: str = Field(sa_column=Column(String(16), nullable=False))
    queues: list[str] = Field(default_factory=list, sa_column=Column(DOCUMENT, nullable=False))
    #: ``simple``, ``auto`` or ``off``.
    balance: str = Field(sa_column=Column(String(16), nullable=False))
    #: Workers by pool, now: ``{"default": 3}``.
    pools: dict[str, Any] = Field(default_factory=dict, sa_column=Column(DOCUMENT, nullable=False))
    #: What it was told last (``pause``, ``continue``, ``terminate``), and whether it has answered.
    command: str | None = Field(default=None, sa_column=Column(String(16), nullable=True))
    commanded_at: datetime | None = moment()
    acknowledged_at: datetime | None = moment()
    started_at: datetime | None = moment(required=True)
    heartbeat_at: datetime | None = moment(required=True)
    #: The last heartbeat by the clock that judges leases, in seconds.
    beat: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    stopped_at: datetime | None = moment()
