"""From a queue's URL to a pool of connections: plain, TLS, unix socket or Sentinel."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from redis import ConnectionPool
from redis.sentinel import Sentinel, SentinelConnectionPool

from jobman_cli.errors import ConfigurationError

_HINT = "Write it as redis://host:6379/0, rediss://…, unix:///path or redis+sentinel://host:26379/master/0."


def make_pool(url: str, **options: Any) -> ConnectionPool:
    """A pool for a URL.

    Args:
        url: ``queue:`` of the configuration.
        options: For each connection, such as ``socket_timeout`` in seconds.

    Raises:
        ConfigurationError: when the URL cannot be read.
    """
    try:
        if urlsplit(url).scheme == "redis+sentinel":
            return _sentinel_pool(url, options)
        return ConnectionPool.from_url(url, **options)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"queue: {shown(url)} cannot be read: {error}", hint=_HINT) from error


def shown(url: str) -> str:
    """The URL without what is secret in it."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the URL"
    return f"{parts.scheme}://{host}{parts.path}"


def _sentinel_pool(url: str, options: dict[str, Any]) -> ConnectionPool:
    """``redis+sentinel://[user:password@]host:port[,host:port…]/master[/db]``."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, db = parts.path.strip("/").partition("/")
    if not hosts or not master:
        raise ValueError("it names no host or no master")
    servers = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        servers.append((name, int(port or 26379)))
    given = options | {"db": int(db or 0)}
    if credentials:
        given |= {"username": unquote(user) or None, "password": unquote(password) or None}
    timeouts = {key: value for key, value in options.items() if key.startswith("socket")}
    sentinel = Sentinel(servers, sentinel_kwargs=timeouts)  # type: ignore[no-untyped-call]  # redis-py
    return SentinelConnectionPool(master, sentinel, **given)  # type: ignore[no-untyped-call]  # redis-py
