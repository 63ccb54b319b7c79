"""Which tags are monitored."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import MONITORED_TAGS


def monitor(connection: Connection, dialect: Dialect, tags: Sequence[str]) -> int:
    """Monitor tags.

    Returns:
        How many were not monitored before.
    """
    known = set(connection.execute(select(MONITORED_TAGS.c.tag).with_for_update()).scalars())
    fresh = [{"tag": tag} for tag in dict.fromkeys(tags) if tag not in known]
    if fresh:
        connection.execute(insert(MONITORED_TAGS).values(created_at=dialect.now()), fresh)
    return len(fresh)


def forget(connection: Connection, dialect: Dialect, tags: Sequence[str]) -> int:
    """Stop monitoring tags.

    Returns:
        How many were monitored.
    """
    return connection.execute(delete(MONITORED_TAGS).where(MONITORED_TAGS.c.tag.in_(tags))).rowcount
