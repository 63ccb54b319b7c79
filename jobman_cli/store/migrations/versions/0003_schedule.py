"""What runs by the clock: how far each entry has come, and each time that it fired.

Revision: 0003
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LONG = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
NAME = sa.String(190)
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "jobman_schedule_entries",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("times", LONG, nullable=False),
        sa.Column("settled_until", TIME, nullable=False),
        sa.Column("paused_at", TIME),
        **MYSQL,
    )
    op.create_table(
        "jobman_schedules",
        sa.Column("id", BIGINT, primary_key=True, autoincrement=True),
        sa.Column("name", NAME, nullable=False),
        sa.Column("fire_at", TIME, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("message", LONG),
        sa.Column("jobman_id", BIGINT),
        sa.Column("claims", sa.Integer, nullable=False),
        sa.Column("holder", sa.String(36)),
        sa.Column("leased_until", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_index("ux_jobman_schedules_fire", "jobman_schedules", ["name", "fire_at"], unique=True)
    op.create_index("ix_jobman_schedules_open", "jobman_schedules", ["outcome", "leased_until"])
    op.create_index("ix_jobman_schedules_created", "jobman_schedules", ["created_at"])


def downgrade() -> None:
    """Drop them, with what they hold."""
    op.drop_table("jobman_schedules")
    op.drop_table("jobman_schedule_entries")
