"""The two addresses, `database` and `queue`: check them, complete them, hide their passwords."""

from __future__ import annotations

import os.path
import re
from pathlib import Path

#: The grammar SQLAlchemy and redis-py share; a password may hold anything but an ``@``.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<user>[^:/?#@]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/?#@\[\]]*)(?::(?P<port>[^/?#@]*))?"
    r"(?P<path>/[^?#@]*)?(?:\?(?P<query>[^#]*))?"
)
_SENTINEL = re.compile(
    r"redis\+sentinel://(?:[^@]*@)?(?P<hosts>[^/?#@]+)(?P<path>/[^?#]*)?(?:\?[^#]*)?", re.IGNORECASE
)
_PASSWORD = re.compile(r"(://[^:/?#@\s]*:).*@", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token)[^=&]*=)[^&#]*", re.IGNORECASE)
_LONGEST = 4096

_DATABASES = "use sqlite:///…, postgresql://… or mysql://…"
_QUEUES = "use `database`, redis://…, rediss://…, redis+sentinel://… or unix://…"


def mask_url(url: str) -> str:
    """Return the URL with ``***`` for its passwords, also those among its parameters.

    It would rather hide too much: whatever stands between the user and the last ``@`` goes.

    >>> mask_url("postgresql://ada:s3cret@db/app")
    'postgresql://ada:***@db/app'
    """
    return _SECRET_PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1***@", url))


def database_url(text: str, root: Path) -> str:
    """Return the database's address as SQLAlchemy wants it.

    Args:
        text: What the user wrote.
        root: What a relative SQLite path stands on.

    Raises:
        ValueError: It cannot be used; the message says why and what to write instead.
    """
    text = _plain(text, _DATABASES)
    scheme, mark, rest = text.partition("://")
    dialect, _, driver = scheme.lower().partition("+")
    if not mark or dialect not in ("sqlite", "postgresql", "postgres", "mysql", "mariadb"):
        kind = f"{scheme}:// is" if mark and scheme.isprintable() and len(scheme) < 30 else "that is"
        raise ValueError(f"{kind} not a database Jobman knows; {_DATABASES}")
    if dialect == "sqlite":
        if driver not in ("", "pysqlite"):
            raise ValueError("Jobman opens SQLite with Python's own driver; write sqlite:///…")
        return _sqlite(rest, root)
    wanted = "psycopg" if dialect.startswith("postgres") else "pymysql"
    if driver not in ("", wanted):
        full = "postgresql+psycopg" if wanted == "psycopg" else "mysql+pymysql"
        raise ValueError(f"Jobman has no use for the driver {driver!r}; write {full}://…")
    query = _server(text, _DATABASES)["query"]
    if wanted == "psycopg":
        return f"postgresql+psycopg://{rest}"
    return _mysql(rest, query or "")


def _sqlite(rest: str, root: Path) -> str:
    path, mark, query = rest.partition("?")
    if path in ("", "/", "/:memory:") or path.startswith("/file:") or "mode=memory" in query:
        raise ValueError(
            "a database in memory dies with its process and no worker would see it; "
            "write a file, such as sqlite:///var/jobman.db"
        )
    if not path.startswith("/"):
        raise ValueError("SQLite has no host; write sqlite:///relative/path or sqlite:////absolute/path")
    absolute = os.path.normpath(root / path[1:])
    if "?" in absolute:
        raise ValueError(f"a SQLite file's path cannot hold a question mark: {absolute!r}; move it elsewhere")
    return f"sqlite:///{absolute}{mark}{query}"


def _mysql(rest: str, query: str) -> str:
    target = rest.partition("?")[0]
    if "/" not in target or target.endswith("/"):
        raise ValueError("the name of the database is missing; write mysql://user:password@host/name")
    parameters = [part for part in query.split("&") if part]
    charsets = [part.partition("=")[2] for part in parameters if part.startswith("charset=")]
    if any(charset.lower() != "utf8mb4" for charset in charsets):
        raise ValueError("Jobman stores text as utf8mb4; take `charset` out of the URL")
    if not charsets:
        parameters.append("charset=utf8mb4")
    return f"mysql+pymysql://{target}?{'&'.join(parameters)}"


def queue_url(text: str) -> str:
    """Return the queue's address: ``database``, or a Redis URL.

    Raises:
        ValueError: It cannot be used; the message says why and what to write instead.
    """
    text = _plain(text, _QUEUES)
    if text.lower() == "database":
        return "database"
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in ("redis", "rediss", "redis+sentinel", "unix"):
        kind = f"{scheme}:// is" if mark and scheme.isprintable() and len(scheme) < 30 else "that is"
        raise ValueError(f"{kind} not a queue Jobman knows; {_QUEUES}")
    if scheme == "unix":
        if "/" not in rest.rpartition("@")[2].partition("?")[0].rstrip("/"):
            raise ValueError("the socket's path is missing; write unix:///run/redis.sock?db=0")
    elif scheme == "redis+sentinel":
        _sentinel(text)
    else:
        parts = _server(text, _QUEUES)
        number = (parts["path"] or "").strip("/")
        if number and not re.fullmatch("[0-9]{1,6}", number):
            raise ValueError("after the host comes Redis's database number; write redis://host:6379/0")
    return f"{scheme}://{rest}"


def _sentinel(text: str) -> None:
    example = "write redis+sentinel://host1:26379,host2:26379/service/0"
    match = _SENTINEL.fullmatch(text)
    if not match:
        raise ValueError(f"no sentinel's host is named; {example}")
    for each in match["hosts"].split(","):
        host, _, port = each.rpartition(":") if ":" in each else (each, "", "26379")
        if not host or not _is_port(port):
            raise ValueError(f"a sentinel is host:port; {example}")


def _plain(text: str, known: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError(f"nothing is given; {known}")
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    if not text.isprintable():
        raise ValueError("holds a control character")
    return text


def _server(text: str, known: str) -> re.Match[str]:
    """Match a URL that names a server. The text is never repeated: what is malformed may be a password."""
    match = _URL.fullmatch(text)
    if not match or " " in text:
        raise ValueError(f"malformed; write @ : / ? # within a password as %40 %3A %2F %3F %23, and {known}")
    if match["port"] is not None and not _is_port(match["port"]):
        raise ValueError("the port is not a number from 1 to 65535; an @ within a password is written %40")
    return match


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 65536
