"""Masters and supervisors.

Revision: 0004
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
NAME = sa.String(190)
UUID = sa.String(36)
WORD = sa.String(16)
MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "jobman_supervisors",
        sa.Column("uuid", UUID, primary_key=True),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("master", UUID),
        sa.Column("environment", NAME),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("pid_namespace", sa.String(64), nullable=False),
        sa.Column("start_time", BIGINT, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("queues", DOCUMENT, nullable=False),
        sa.Column("balance", WORD, nullable=False),
        sa.Column("pools", DOCUMENT, nullable=False),
        sa.Column("command", WORD),
        sa.Column("commanded_at", TIME),
        sa.Column("acknowledged_at", TIME),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.Column("beat", sa.Double, nullable=False),
        sa.Column("stopped_at", TIME),
        **MYSQL,
    )
    op.create_index("ix_jobman_supervisors_state", "jobman_supervisors", ["state", "heartbeat_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("jobman_supervisors")
