"""The first tables.

Revision: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LONG = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
NAME = sa.String(190)
UUID = sa.String(36)
STATE = sa.String(16)
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Make them all."""
    _jobmans()
    _failed_jobs()
    _attempts()
    _workers()
    op.create_table(
        "jobman_queues",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("paused_at", TIME),
        sa.Column("paused_until", TIME),
        **MYSQL,
    )


def downgrade() -> None:
    """Drop them all, with what they hold."""
    for table in ("jobman_queues", "jobman_workers", "jobman_attempts", "failed_jobs", "jobmans"):
        op.drop_table(table)


def _id() -> sa.Column[Any]:
    return sa.Column("id", BIGINT, primary_key=True, autoincrement=True)


def _partial(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def _jobmans() -> None:
    op.create_table(
        "jobmans",
        _id(),
        sa.Column("type", NAME, nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("rank", BIGINT, nullable=False),
        sa.Column("status", STATE, nullable=False),
        sa.Column("attribs", DOCUMENT, nullable=False),
        sa.Column("tags", DOCUMENT),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("timeout", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claims", sa.Integer, nullable=False),
        sa.Column("rescues", sa.Integer, nullable=False),
        sa.Column("worker_id", UUID),
        sa.Column("unique_key", NAME),
        sa.Column("progress", DOCUMENT),
        sa.Column("logs", LONG),
        sa.Column("error_message", LONG),
        sa.Column("exception", LONG),
        sa.Column("completed_code", NAME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("queued_at", TIME),
        sa.Column("available_at", TIME),
        sa.Column("started_at", TIME),
        sa.Column("completed_at", TIME),
        sa.Column("failed_at", TIME),
        sa.Column("cancel_requested_at", TIME),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    _partial(
        "ix_jobmans_line", "jobmans", ["queue", "status", "rank", "id"], "status IN ('pending', 'queued')"
    )
    _partial("ix_jobmans_due", "jobmans", ["status", "available_at"], "status = 'scheduled'")
    _partial("ix_jobmans_running", "jobmans", ["worker_id", "status"], "status = 'running'")
    op.create_index("ix_jobmans_status", "jobmans", ["status", "id"])
    op.create_index("ix_jobmans_type", "jobmans", ["type", "id"])
    op.create_index("ix_jobmans_created", "jobmans", ["created_at"])


def _failed_jobs() -> None:
    op.create_table(
        "failed_jobs",
        _id(),
        sa.Column("uuid", UUID, nullable=False, unique=True),
        sa.Column("connection", sa.String(32), nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("payload", LONG, nullable=False),
        sa.Column("exception", LONG, nullable=False),
        sa.Column("failed_at", TIME, nullable=False),
        sa.Column("jobman_id", BIGINT, nullable=False),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_index("ix_failed_jobs_jobman", "failed_jobs", ["jobman_id"])
    op.create_index("ix_failed_jobs_failed_at", "failed_jobs", ["failed_at"])


def _attempts() -> None:
    op.create_table(
        "jobman_attempts",
        _id(),
        sa.Column("jobman_id", BIGINT, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("claim", sa.Integer, nullable=False),
        sa.Column("worker_id", UUID),
        sa.Column("started_at", TIME),
        sa.Column("ended_at", TIME, nullable=False),
        sa.Column("outcome", STATE, nullable=False),
        sa.Column("error_message", LONG),
        sa.Column("exception", LONG),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_index("ix_jobman_attempts_jobman", "jobman_attempts", ["jobman_id", "id"])


def _workers() -> None:
    op.create_table(
        "jobman_workers",
        sa.Column("uuid", UUID, primary_key=True),
        sa.Column("supervisor", UUID, nullable=False),
        sa.Column("state", STATE, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("pid_namespace", sa.String(64), nullable=False),
        sa.Column("start_time", BIGINT, nullable=False),
        sa.Column("queues", DOCUMENT, nullable=False),
        sa.Column("command", sa.String(32)),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.Column("beat", sa.Double, nullable=False),
        sa.Column("stopped_at", TIME),
        **MYSQL,
    )
    op.create_index("ix_jobman_workers_supervisor", "jobman_workers", ["supervisor"])
    op.create_index("ix_jobman_workers_state", "jobman_workers", ["state", "heartbeat_at"])
