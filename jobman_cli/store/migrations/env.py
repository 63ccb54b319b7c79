"""Alembic's entry: it runs on the connection that ``schema.upgrade`` hands over, and on no other."""

from __future__ import annotations

from alembic import context

from jobman_cli.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
