"""What a driver's error means: the database is away, its tables are missing, or the fault is ours.

Only this module reads what databases say; ``Database`` raises what comes out.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from jobman_cli.errors import SchemaError, StoreUnavailable

#: The database has answered, by no; nothing was written.
Refused = DBAPIError

#: What a standby says to a write, and a primary that was demoted.
_STANDBY = ("read-only transaction", "--read-only", "--super-read-only")
#: Forgotten by the server, or by a pooler before it: a new connection makes it anew.
_PREPARED = "prepared statement"
_MISSING = ("no such table", "no such column", "does not exist", "doesn't exist", "unknown column")
_OTHERWISE_MISSING = ("connection", "fatal", 'database "', _PREPARED)

_ANOTHER_FILE = "Name another file under `database:`, or restore this one from a backup."
#: Words of the reason, and what to do.
_HINTS = (
    *((words, "Name the primary: PostgreSQL takes ?target_session_attrs=read-write.") for words in _STANDBY),
    ("not a database", _ANOTHER_FILE),
    ("image is malformed", _ANOTHER_FILE),
    ("readonly", "Make the database file and its directory writable for this user."),
    ("unable to open", "Make the database file and its directory writable for this user."),
    ("disk is full", "Make room on the disk; nothing was written."),
)


def explain(error: DBAPIError, where: str) -> StoreUnavailable | SchemaError | None:
    """The error as one of ours; None when it is a fault that nobody outside can mend.

    Args:
        where: The database's URL without its password.
    """
    reason = _reason(error)
    lowered = reason.lower()
    if any(words in lowered for words in _MISSING) and not lowered.startswith(_OTHERWISE_MISSING):
        return SchemaError(f"the database {where} lacks Jobman's tables or columns: {reason}")
    away = isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated
    hint = next((hint for words, hint in _HINTS if words in reason), None)
    if not (away or is_standby(error) or hint == _ANOTHER_FILE or reason.startswith(_PREPARED)):
        return None
    return StoreUnavailable(f"the database {where} cannot be used: {reason}", hint=hint)


def is_standby(error: DBAPIError) -> bool:
    """True when the server reads and does not write: it is a standby, or a primary that was demoted."""
    return any(words in _reason(error) for words in _STANDBY)


def _reason(error: DBAPIError) -> str:
    said = str(error.orig).strip()
    return said.splitlines()[0] if said else type(error.orig).__name__
