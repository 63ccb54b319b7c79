"""What people did on the dashboard, and what repair pushed.

Revision: 0005
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
WORD = sa.String(16)
AUTO: dict[str, Any] = {
    "sqlite_autoincrement": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobman_audit",
        sa.Column("id", BIGINT, primary_key=True, autoincrement=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(190), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("details", DOCUMENT, nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("message", LONG),
        **AUTO,
    )
    op.create_index("ix_jobman_audit_at", "jobman_audit", ["at"])
    op.create_table(
        "jobman_reconciliations",
        sa.Column("id", BIGINT, primary_key=True, autoincrement=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pushed", BIGINT, nullable=False),
        **AUTO,
    )
    op.create_index("ix_jobman_reconciliations_at", "jobman_reconciliations", ["at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("jobman_reconciliations")
    op.drop_table("jobman_audit")
