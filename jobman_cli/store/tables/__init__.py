"""The tables, as SQLModel classes: what a row may say, and which indexes serve which question.

``jobmans`` and ``failed_jobs`` keep the names of the line this product follows; every other table
carries the prefix, because all of them may live in the application's own database.
"""

from __future__ import annotations

from sqlmodel import SQLModel

from jobman_cli.store.tables.columns import (
    BIGINT,
    DOCUMENT,
    DUE,
    HOLDS_KEY,
    IN_LINE,
    LONG,
    NAME,
    RUNNING,
    UTCDateTime,
    as_utc,
)
from jobman_cli.store.tables.jobs import Attempt, FailedJob, Job, new_row
from jobman_cli.store.tables.journal import Audit, Reconciliation
from jobman_cli.store.tables.metrics import Alert, Metric, MonitoredTag
from jobman_cli.store.tables.schedule import ScheduleEntry, ScheduleFire
from jobman_cli.store.tables.workers import Queue, Supervisor, Worker

__all__ = [
    "ALERTS",
    "ATTEMPTS",
    "AUDIT",
    "BIGINT",
    "DOCUMENT",
    "DUE",
    "FAILED_JOBS",
    "HOLDS_KEY",
    "IN_LINE",
    "JOBS",
    "LONG",
    "METRICS",
    "MONITORED_TAGS",
    "NAME",
    "QUEUES",
    "RECONCILIATIONS",
    "RUNNING",
    "SCHEDULE_ENTRIES",
    "SCHEDULE_FIRES",
    "SUPERVISORS",
    "TABLES",
    "WORKERS",
    "Alert",
    "Attempt",
    "Audit",
    "FailedJob",
    "Job",
    "Metric",
    "MonitoredTag",
    "Queue",
    "Reconciliation",
    "SQLModel",
    "ScheduleEntry",
    "ScheduleFire",
    "Supervisor",
    "UTCDateTime",
    "Worker",
    "as_utc",
    "new_row",
]

JOBS = SQLModel.metadata.tables["jobmans"]
FAILED_JOBS = SQLModel.metadata.tables["failed_jobs"]
ATTEMPTS = SQLModel.metadata.tables["jobman_attempts"]
WORKERS = SQLModel.metadata.tables["jobman_workers"]
QUEUES = SQLModel.metadata.tables["jobman_queues"]
METRICS = SQLModel.metadata.tables["jobman_metrics"]
ALERTS = SQLModel.metadata.tables["jobman_alerts"]
MONITORED_TAGS = SQLModel.metadata.tables["jobman_monitored_tags"]
SCHEDULE_ENTRIES = SQLModel.metadata.tables["jobman_schedule_entries"]
SCHEDULE_FIRES = SQLModel.metadata.tables["jobman_schedules"]
SUPERVISORS = SQLModel.metadata.tables["jobman_supervisors"]
AUDIT = SQLModel.metadata.tables["jobman_audit"]
RECONCILIATIONS = SQLModel.metadata.tables["jobman_reconciliations"]

#: Ours; an application may have tables of its own in the same metadata.
TABLES = (
    JOBS,
    FAILED_JOBS,
    ATTEMPTS,
    WORKERS,
    QUEUES,
    METRICS,
    ALERTS,
    MONITORED_TAGS,
    SCHEDULE_ENTRIES,
    SCHEDULE_FIRES,
    SUPERVISORS,
    AUDIT,
    RECONCILIATIONS,
)
