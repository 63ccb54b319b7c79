"""``jobman prometheus``: serve the figures until told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from prometheus_client import start_http_server
from prometheus_client.registry import CollectorRegistry

from jobman_cli import JobmanError
from jobman_prometheus.collector import JobmanCollector

HOST, PORT = "127.0.0.1", 9464


class BadOptions(JobmanError):
    """The plugin's options cannot be used."""

    exit_code = 78
    hint = "Correct `plugin_options:`; `jobman doctor` checks it."


def find_fault(options: Mapping[str, Any]) -> str | None:
    """Why these options cannot be used; None when they can."""
    if unknown := sorted(set(options) - {"host", "port"}):
        return f"plugin_options.prometheus: there is no option {', '.join(unknown)}; there are host and port"
    port = options.get("port", PORT)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        return f"plugin_options.prometheus.port: {port!r} is no port; write a whole number from 0 to 65535"
    if not isinstance(options.get("host", HOST), str):
        return "plugin_options.prometheus.host: write an address, such as 127.0.0.1"
    return None


def prometheus(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option("--host", help=f"The address to listen on. [{HOST}]")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help=f"The port; 0 takes a free one. [{PORT}]")
    ] = None,
) -> None:
    """Serve figures for Prometheus under /metrics."""
    jobman = ctx.obj()
    options = jobman.settings.plugin_options.get("prometheus", {})
    if fault := find_fault(options):
        raise BadOptions(fault)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(JobmanCollector(jobman))
    address = host or options.get("host", HOST)
    number = options.get("port", PORT) if port is None else port
    server, thread = start_http_server(number, address, registry)
    done = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: done.set())
    typer.echo(f"serving http://{address}:{server.server_port}/metrics", err=True)
    done.wait()
    server.shutdown()
    thread.join()
    server.server_close()
