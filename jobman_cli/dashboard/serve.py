"""The dashboard alone, in a process of its own."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from jobman_cli.app import Jobman
from jobman_cli.dashboard.app import create_app
from jobman_cli.errors import ConfigurationError, JobmanError

#: Seconds that open requests, such as live streams, have at the end.
GRACE = 5
#: Added to the process's niceness: where processors are short, jobs come first.
NICER = 10
#: Requests at once; more are answered 503.
MOST = 512


class PortTaken(JobmanError):
    """The address cannot be listened on."""

    hint = "Choose another port with --port, or end what listens there."


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is served.

    Attributes:
        port: 0 takes a free one.
        prefix: The path it begins at, such as ``/ops``; empty for all.
    """

    host: str
    port: int
    prefix: str = ""
    read_only: bool | None = None


def serve(jobman: Jobman, place: Place, ready: Callable[[str], object], browse: bool = False) -> None:
    """Serve until TERM or Ctrl-C.

    Args:
        ready: Called with the address, as soon as requests are taken.
        browse: Open it in the browser.

    Raises:
        ConfigurationError: when others than this host could come in and no credential is set.
        PortTaken: when the address cannot be listened on.
        SchemaError, StoreUnavailable: when the database cannot be used.
    """
    check_place(jobman, place)
    jobman.records.database  # noqa: B018  # a database that cannot be used is said before anybody asks
    app = create_app(jobman, read_only=place.read_only, hosts=[place.host])
    listener = _listen(place)
    os.nice(NICER)
    address = f"http://{_shown(place.host)}:{listener.getsockname()[1]}{place.prefix}/"

    @asynccontextmanager
    async def announced(inner: Any) -> AsyncIterator[None]:
        ready(address)
        if browse:
            webbrowser.open(address)
        yield
        app.state.desk.close()

    outer = Starlette(routes=[Mount(place.prefix or "/", app)], lifespan=announced)
    config = uvicorn.Config(
        outer,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        limit_concurrency=MOST,
    )
    # When it has ended in good order, uvicorn sends the signal once more, to whoever was there before.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with listener:
        _Server(config, app.state.live.end).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends the live streams before it waits for open requests: they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, end: Callable[[], None]) -> None:
        super().__init__(config)
        self._end = end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and let the open ones finish."""
        self._end()
        await super().shutdown(sockets)


def check_place(jobman: Jobman, place: Place) -> None:
    """Make sure that nobody is let in by mistake.

    Raises:
        ConfigurationError: when others than this host could come in and no credential is set.
    """
    options = jobman.settings.dashboard
    if is_loopback(place.host) or options["token"] or options["read_token"] or options["basic"]:
        return
    raise ConfigurationError(
        f"{place.host} can be reached from elsewhere, and no credential is set",
        hint="Set JOBMAN_DASHBOARD__TOKEN to a long random text (or __BASIC to user:password), "
        "or serve it on 127.0.0.1.",
    )


def is_loopback(host: str) -> bool:
    """True for an address that only this host can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _listen(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        return socket.create_server((place.host, place.port), family=family, backlog=256)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PortTaken(f"{_shown(place.host)}:{place.port} cannot be listened on: {reason}") from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
