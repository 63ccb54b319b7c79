"""A whole turn in one statement: record ends that left nothing behind, and claim ids that a line gave.

A statement is a transaction of its own, so both happen or neither, and BEGIN, finish, claim and COMMIT take
one trip to the server instead of four. The rows of the two halves are never the same: what is recorded runs,
what is claimed waits. It needs UPDATE in WITH, which PostgreSQL has (``Dialect.commits_alone``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, func, literal_column, select, true

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.lifecycle.claim import Claim, claim_by_ids, claims_of, in_order
from jobman_cli.store.lifecycle.finish import Finish, columns_of, complete_columns


def finish_and_claim(
    connection: Connection, dialect: Dialect, worker: str, finishes: Sequence[Finish], ids: list[int]
) -> tuple[int, list[Claim]]:
    """Record completed attempts, all of them bare, and claim those of ``ids`` that wait.

    Returns:
        How many ends the fence let through, and the claims in the order of ``ids``.
    """
    values = columns_of(dialect, worker, finishes) | {"claimant": worker, "ids": dialect.id_list(ids)}
    rows = dialect.send(connection, _trade(dialect), values)
    return rows[0][0], in_order(ids, claims_of(row[1:] for row in rows if row[1] is not None))


@cache
def _trade(dialect: Dialect) -> Select[Any]:
    recorded = complete_columns(dialect).returning(literal_column("1").label("one")).cte("recorded")
    claimed = claim_by_ids(dialect).statement.cte("claimed")
    counted = select(func.count().label("number")).select_from(recorded).subquery("counted")
    # Outer, so that the number comes although nothing was claimed.
    return select(counted.c.number, *claimed.c).select_from(counted.outerjoin(claimed, true()))
