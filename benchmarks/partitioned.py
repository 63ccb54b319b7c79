"""Make `jobmans` a partitioned table under the same name, so that the product's own statements meet it.

Only PostgreSQL, and only an empty table: how a full one would be moved is another question. The index of
unique keys cannot be had: it would have to contain the partition's key. Each partition gets one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from jobman_cli.store.dialects.postgresql import PostgreSQL

_INDEXES = """SELECT indexdef FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename = 'jobmans' AND indexname <> 'jobmans_pkey'"""
_SEQUENCE = "SELECT pg_get_serial_sequence('jobmans', 'id')"
_UNIQUE = "ux_jobmans_unique"


class Bounded(PostgreSQL):
    """A list of ids together with its least and its most, which the product does not say today.

    A plan that is kept for any values cannot tell from ``= ANY(array)`` in which partitions they lie. From
    two bounds it can, when it is run.
    """

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """``= ANY(array)``, not below the least of it, not above the most."""
        ids = cast(bindparam(name, type_=Text), ARRAY(BigInteger))  # a list travels as an array's text
        each = select(literal_column("min(one)").label("low"), literal_column("max(one)").label("high"))
        ends = each.select_from(func.unnest(ids).alias("one"))
        low, high = (select(ends.subquery().c[end]).scalar_subquery() for end in ("low", "high"))
        return and_(column == any_(ids), column >= low, column <= high)


def name_partition(engine: Engine, part: str) -> None:
    """Let what updates jobs name their partition itself, as a product that knows ids' partitions could."""

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def rewrite(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> Any:
        if "UPDATE jobmans " in statement:
            statement = statement.replace("jobmans", part)
        return statement, parameters


def ranges(ends: Sequence[str]) -> list[str]:
    """Neighbouring ranges, of their ends as SQL."""
    return [f"FROM ({low}) TO ({high})" for low, high in pairwise(ends)]


def partition(connection: Connection, by: str, values: Sequence[str], primary: str = "id") -> None:
    """Put a partitioned table in the place of the empty one, with its indexes.

    Args:
        by: Such as ``RANGE (id)``.
        values: What each partition holds, such as ``FROM (1) TO (1000)``.
        primary: The columns of the primary key, which must contain those that divide the partitions.
    """
    run = connection.exec_driver_sql
    indexes = [row.indexdef for row in run(_INDEXES)]
    sequence = run(_SEQUENCE).scalar_one()
    run(f"CREATE TABLE jobmans_parts (LIKE jobmans INCLUDING DEFAULTS) PARTITION BY {by}")
    run(f"ALTER SEQUENCE {sequence} OWNED BY NONE")
    run("DROP TABLE jobmans")
    run("ALTER TABLE jobmans_parts RENAME TO jobmans")
    run(f"ALTER SEQUENCE {sequence} OWNED BY jobmans.id")
    run(f"ALTER TABLE jobmans ADD PRIMARY KEY ({primary})")
    for definition in indexes:
        if _UNIQUE not in definition:
            run(definition)
    unique = next(definition for definition in indexes if _UNIQUE in definition)
    for number, some in enumerate(values, 1):
        part = f"jobmans_{number}"
        run(f"CREATE TABLE {part} PARTITION OF jobmans FOR VALUES {some}")
        run(unique.replace(_UNIQUE, f"{_UNIQUE}_{number}").replace(".jobmans ", f".{part} "))


def refused(connection: Connection) -> str:
    """What PostgreSQL says to the one unique index over all partitions; empty when it takes it."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE UNIQUE INDEX ux_over_all ON jobmans (unique_key)")
    except Exception as error:
        return str(getattr(error, "orig", error)).splitlines()[0]
    return ""
