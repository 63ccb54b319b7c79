"""A multi-row compare-and-set, on databases with and without UPDATE … RETURNING.

Rows are locked by the picking SELECT, in the order that it gives; who needs every row waits for locks in
id order, who takes what it can get skips locked ones. Either way two moves cannot wait for each other
for ever, and a deadlock with somebody else's statement is answered by sending ours again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Update, bindparam, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from jobman_cli.store.dialects import Dialect
from jobman_cli.store.tables import JOBS


class Move:
    """From the rows that ``pick`` finds to the values ``values``.

    Args:
        dialect: The database.
        pick: A SELECT of ``jobmans.id`` alone, with the whole condition and its locks.
        values: The columns' new values, as expressions; assigned in this order, which MySQL's family
            minds: there an expression sees what was assigned to its left.
        returning: The columns to hand back, as they are after the move.
    """

    def __init__(
        self,
        dialect: Dialect,
        pick: Select[Any],
        values: Mapping[str, Any],
        returning: Sequence[ColumnElement[Any]],
    ) -> None:
        self._pick = pick
        self._one: ReturningUpdate[Any] | None = None
        if dialect.update_returning:
            picked = pick.cte("picked")
            if dialect.name == "postgresql":
                picked = picked.prefix_with("MATERIALIZED")
            self._one = _update(JOBS.c.id.in_(select(picked.c.id)), values).returning(*returning)
            return
        these = JOBS.c.id.in_(bindparam("picked", expanding=True))
        self._update = _update(these, values)
        self._read = select(*returning).where(these)

    @classmethod
    def unpicked(
        cls,
        condition: ColumnElement[bool],
        values: Mapping[str, Any],
        returning: Sequence[ColumnElement[Any]],
    ) -> Move:
        """From the rows of ``condition``, without a SELECT that locks them first.

        Only by a list of ids, where ``Dialect.ids_in_order``.
        """
        move = cls.__new__(cls)
        move._one = _update(condition, values).returning(*returning)
        return move

    @property
    def statement(self) -> ReturningUpdate[Any]:
        """The whole move, where it is one statement.

        Raises:
            LookupError: where it is not.
        """
        if self._one is None:
            raise LookupError("this database has no UPDATE … RETURNING")
        return self._one

    def __call__(
        self, connection: Connection, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Move the rows.

        Returns:
            What ``returning`` names, of each row moved, in no order.
        """
        given = dict(parameters or {})
        if self._one is not None:
            return connection.execute(self._one, given).all()
        ids = connection.execute(self._pick, given).scalars().all()
        if not ids:
            return []
        connection.execute(self._update, given | {"picked": ids})
        return connection.execute(self._read, {"picked": ids}).all()


def _update(condition: ColumnElement[bool], values: Mapping[str, Any]) -> Update:
    return update(JOBS).where(condition).ordered_values(*values.items())
