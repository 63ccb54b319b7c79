"""The seam between the statements and a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Insert,
    Select,
    Subquery,
    Table,
    Update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

#: The execution option of connections that Jobman made itself.
OWN = "jobman_own"
#: The index of unique keys, as the databases name it when they refuse a row.
UNIQUE_INDEX = "ux_jobmans_unique"


class Kind(Enum):
    """The type of a column in a batch of rows."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    TIME = "time"


class Batch(Enum):
    """How a batch of rows in which nothing is missing travels best."""

    #: As one JSON document, like any other.
    DOCUMENT = "document"
    #: As one array a column: the server need not look for keys.
    COLUMNS = "columns"
    #: A statement a row: the database lives in this process, and there is no trip to save.
    ROWS = "rows"


class Dialect:
    """One database's way. Stateless but for what the first connection tells about the server."""

    name: ClassVar[str]
    #: UPDATE … RETURNING.
    update_returning: ClassVar[bool] = True
    #: INSERT … SELECT … RETURNING; known after the first connection.
    insert_returning: bool = True
    #: The jobs, as FROM names them where the rows that wait are walked along the line's index.
    jobs_by_line: ClassVar[str] = "jobmans"

    #: The column of ``jobmans`` whose unique index says who bears a unique key.
    unfinished_key: ClassVar[str] = "unique_key"

    #: For batches in which nothing is missing.
    batch: ClassVar[Batch] = Batch.DOCUMENT
    #: An UPDATE by a list of ids, sent by a worker, locks the rows in the order of their ids.
    ids_in_order: ClassVar[bool] = False
    #: A statement alone needs no BEGIN and no COMMIT, which are trips of their own elsewhere.
    commits_alone: ClassVar[bool] = False
    #: Whoever writes waits until who wrote before him has committed.
    one_writer: ClassVar[bool] = False

    #: Set in a process that looks after others: its connections wait for a lock one second, not for ever.
    impatient: bool = False

    def engine_options(self, url: URL, lease: float) -> dict[str, Any]:
        """Arguments for ``create_engine``. ``lease`` in seconds bounds what a frozen process may block."""
        raise NotImplementedError

    def prepare(self, engine: Engine, lease: float) -> None:
        """Hang listeners on a new engine; ``lease`` as in ``engine_options``."""

    def settle_link(self, connection: Connection) -> None:
        """Get a new connection ready that a worker will hold: all that it asks is found by an index.

        Where ``commits_alone``, what is sent here commits by itself.
        """

    def forget_plans(self, connection: Connection) -> None:
        """Let what this connection has prepared be planned anew, for tables as they are now."""

    def cut(self, driver_connection: Any) -> None:
        """Break a connection from another thread: what waits for its answer fails at once."""

    def adopt(self, connection: Connection) -> None:
        """Make a connection of the application's own engine fit for our statements."""

    def now(self) -> ColumnElement[Any]:
        """The database's clock, as a UTC time."""
        raise NotImplementedError

    def now_ms(self) -> ColumnElement[Any]:
        """The database's clock, in milliseconds since 1970."""
        raise NotImplementedError

    def lease_clock(self) -> ColumnElement[Any]:
        """Seconds by the clock that judges leases; only differences between its values mean something."""
        raise NotImplementedError

    def later(self, seconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """The database's clock plus a number of seconds."""
        raise NotImplementedError

    def rows(self, name: str, **columns: Kind) -> Subquery:
        """A batch of rows as a subquery, read from the JSON document in the parameter ``name``.

        The document is an array of objects, one a row, as ``json.dumps`` writes it. A missing key is
        NULL; a time is given in seconds since 1970. The subquery has one more column, ``position``, that
        keeps the rows' order.
        """
        raise NotImplementedError

    def columns(self, name: str, **columns: Kind) -> Subquery:
        """A batch of rows as a subquery, read from one parameter a column, ``name_column``.

        Only where ``batch`` says so. No value may be missing. See ``column_list``.
        """
        raise NotImplementedError

    def column_list(self, numbers: Sequence[float]) -> Any:
        """The value of one parameter of ``columns``."""
        raise NotImplementedError

    def send(self, connection: Connection, statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
        """Rows of a statement that is sent for every job or turn, and whose values the driver itself knows.

        Args:
            statement: Made once: its text is kept.
            values: By the parameters' names, as the driver takes them.

        Returns:
            Rows by position; times may be in any zone.
        """
        return connection.execute(statement, values).all()

    def run_each(self, connection: Connection, statement: Update, rows: list[dict[str, Any]]) -> int:
        """Send a statement once for each row of parameters, with nothing in between.

        Only where ``batch`` says so.

        Args:
            statement: Made once: its text is kept.
            rows: By the parameters' names, as the driver takes them; for times see ``moment``.

        Returns:
            How many rows of the table changed.
        """
        raise NotImplementedError

    def moment(self, seconds: float) -> Any:
        """A time in seconds since 1970 as the driver takes it."""
        raise NotImplementedError

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """``column`` is in the list of integers given as the parameter ``name`` by ``id_list``."""
        raise NotImplementedError

    def id_list(self, ids: list[int]) -> Any:
        """The value of a parameter of ``one_of``."""
        raise NotImplementedError

    def as_json(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """JSON text as the type of a JSON column."""
        return text

    def seconds(self, moment: ColumnElement[Any]) -> ColumnElement[Any]:
        """A time as whole seconds since 1970."""
        raise NotImplementedError

    def documents(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """An aggregate: the JSON documents of a group, as the text of one JSON list."""
        raise NotImplementedError

    def has_item(self, column: ColumnElement[Any], item: str) -> ColumnElement[bool]:
        """The JSON list in ``column`` holds the text ``item``."""
        raise NotImplementedError

    def plan_anew(self, connection: Connection) -> None:
        """Until the transaction ends, let every statement be planned for the values that it is given."""

    def change_counter(self, connection: Connection) -> int | None:
        """A number that moves when another connection has written; None where that costs a round trip."""
        return None

    def is_deadlock(self, error: DBAPIError) -> bool:
        """True when the statement was the victim of a deadlock: sending it again is the answer."""
        return False

    def insert_or_not(self, table: Table, columns: list[str], rows: Select[Any]) -> Insert:
        """INSERT … SELECT that leaves out the rows that a unique index refuses."""
        raise NotImplementedError

    def as_committed(self, query: Select[Any]) -> Select[Any]:
        """A query that sees what others have committed, in a transaction of whatever isolation."""
        return query

    def is_taken(self, error: DBAPIError) -> bool:
        """True when somebody took a unique key between our look and our UPDATE: looking again tells."""
        return isinstance(error, IntegrityError) and UNIQUE_INDEX in str(error.orig)

    def lock_schema(self, connection: Connection) -> None:
        """Let only one process at a time change the tables, until the transaction ends."""
