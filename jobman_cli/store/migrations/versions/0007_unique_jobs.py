"""Of the jobs that are not finished, one alone bears a unique key.

PostgreSQL and SQLite index those rows and no others. MySQL's family has no partial indexes: there a column
that is computed, never stored, is the key while the job is not finished, and else NULL, which may repeat.

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEX = "ux_jobmans_unique"
FINISHED = "('completed', 'failed', 'cancelled')"


def upgrade() -> None:
    """Make the index."""
    if op.get_context().dialect.name not in ("mysql", "mariadb"):
        where = sa.text(f"unique_key IS NOT NULL AND status NOT IN {FINISHED}")
        op.create_index(
            INDEX, "jobmans", ["unique_key"], unique=True, postgresql_where=where, sqlite_where=where
        )
        return
    key = sa.Computed(f"CASE WHEN status IN {FINISHED} THEN NULL ELSE unique_key END", persisted=False)
    op.add_column("jobmans", sa.Column("unfinished_key", sa.String(190), key))
    op.create_index(INDEX, "jobmans", ["unfinished_key"], unique=True)


def downgrade() -> None:
    """Drop it."""
    op.drop_index(INDEX, "jobmans")
    if op.get_context().dialect.name in ("mysql", "mariadb"):
        op.drop_column("jobmans", "unfinished_key")
