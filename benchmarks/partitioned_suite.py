"""The contract suite against a partitioned `jobmans`, to see which of the product's statements run unchanged.

    python -m pytest -p benchmarks.partitioned_suite tests/contract -k postgresql

A plugin of pytest: each PostgreSQL database that a test has made ready is partitioned. By a hash of the id,
not by ranges of it, so that even jobs that follow each other lie in different partitions.
"""

from __future__ import annotations

from benchmarks.partitioned import partition
from jobman_cli.store import schema
from jobman_cli.store.database import Database

PARTS = 4
_upgrade = schema.upgrade


def upgrade(database: Database) -> schema.SchemaState:
    """The product's own, and then the partitions."""
    before = _upgrade(database)
    if database.dialect.name == "postgresql" and before.current is None:
        hashes = [f"WITH (MODULUS {PARTS}, REMAINDER {each})" for each in range(PARTS)]
        with database.transaction() as connection:
            partition(connection, "HASH (id)", hashes)
    return before


schema.upgrade = upgrade
