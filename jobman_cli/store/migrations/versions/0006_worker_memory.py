"""How much memory each worker takes.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("jobman_workers") as table:
        table.add_column(sa.Column("memory", BIGINT))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("jobman_workers") as table:
        table.drop_column("memory")
