"""What is measured, what is announced, and which tags are monitored.

Revision: 0002
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LONG = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
NAME = sa.String(190)
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "jobman_metrics",
        sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", TIME, primary_key=True),
        sa.Column("type", NAME, primary_key=True),
        sa.Column("queue", NAME, primary_key=True),
        sa.Column("completed", BIGINT, nullable=False),
        sa.Column("failed_attempts", BIGINT, nullable=False),
        sa.Column("failed_jobs", BIGINT, nullable=False),
        sa.Column("runtime_sum", sa.Double, nullable=False),
        sa.Column("runtime_max", sa.Double, nullable=False),
        sa.Column("runtime_histogram", DOCUMENT, nullable=False),
        sa.Column("wait_sum", sa.Double, nullable=False),
        sa.Column("wait_max", sa.Double, nullable=False),
        sa.Column("wait_histogram", DOCUMENT, nullable=False),
        **MYSQL,
    )
    op.create_table(
        "jobman_alerts",
        sa.Column("key", NAME, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", LONG, nullable=False),
        sa.Column("details", DOCUMENT),
        sa.Column("count", BIGINT, nullable=False),
        sa.Column("raised_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("cleared_at", TIME),
        sa.Column("last_told_at", TIME),
        sa.Column("marked_at", TIME),
        **MYSQL,
    )
    op.create_index("ix_jobman_alerts_state", "jobman_alerts", ["state", "raised_at"])
    op.create_table(
        "jobman_monitored_tags",
        sa.Column("tag", NAME, primary_key=True),
        sa.Column("created_at", TIME, nullable=False),
        **MYSQL,
    )


def downgrade() -> None:
    """Drop them, with what they hold."""
    for table in ("jobman_monitored_tags", "jobman_alerts", "jobman_metrics"):
        op.drop_table(table)
