"""Unique keys: of the jobs that are not finished, one alone bears a key. The index decides, no lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, literal_column, select, text

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import HOLDS_KEY, JOBS


@dataclass(frozen=True, slots=True)
class Conflict:
    """A finished job that cannot run again now.

    Attributes:
        id: The job that stays as it is.
        holder: The unfinished job that bears the same key.
    """

    id: int
    unique_key: str
    holder: int


def key_holders(connection: Connection, dialect: Dialect, keys: Sequence[str]) -> dict[str, int]:
    """The unfinished jobs that bear these keys: key to id. Keys that nobody bears are not in it."""
    rows = connection.execute(_holders(dialect), {"keys": list(keys)}).all()
    return {row.unique_key: row.id for row in rows}


def part_by_key(
    connection: Connection, dialect: Dialect, ids: Sequence[int], condition: str
) -> tuple[list[int], list[Conflict]]:
    """Tell finished jobs that may run again from those whose key somebody bears.

    Of several with one key the first may run; it is the holder for the others.

    Args:
        ids: In the order in which they would run.
        condition: Which of them are meant, as SQL; the others are handed back as free.

    Returns:
        The ids that are free, and the conflicts, each in the order of ``ids``.
    """
    found = connection.execute(_keys(dialect, condition), {"ids": dialect.id_list(list(ids))}).all()
    keys = {row.id: row.unique_key for row in found}
    if not keys:
        return list(ids), []
    holders = key_holders(connection, dialect, sorted(set(keys.values())))
    free, conflicts = [], []
    for job_id in ids:
        key = keys.get(job_id)
        if key is None or key not in holders:
            free.append(job_id)
            if key is not None:
                holders[key] = job_id
        else:
            conflicts.append(Conflict(job_id, key, holders[key]))
    return free, conflicts


@cache
def _keys(dialect: Dialect, condition: str) -> Select[Any]:
    return select(JOBS.c.id, JOBS.c.unique_key).where(
        dialect.one_of(JOBS.c.id, "ids"), JOBS.c.unique_key.is_not(None), text(condition)
    )


@cache
def _holders(dialect: Dialect) -> Select[Any]:
    borne = literal_column(dialect.unfinished_key, JOBS.c.unique_key.type)
    keys: Any = bindparam("keys", expanding=True)
    return dialect.as_committed(select(JOBS.c.id, JOBS.c.unique_key).where(borne.in_(keys), text(HOLDS_KEY)))
