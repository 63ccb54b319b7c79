"""``jobman prometheus``: serve the figures until told to stop."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer
from prometheus_client import start_http_server
from prometheus_client.registry import CollectorRegistry

from jobman_prometheus.collector import JobmanCollector

HOST, PORT = "127.0.0.1", 9464


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
    registry = CollectorRegistry(auto_describe=False)
    registry.register(JobmanCollector(jobman))
    address = host or str(options.get("host", HOST))
    number = int(options.get("port", PORT)) if port is None else port
    server, thread = start_http_server(number, address, registry)
    done = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: done.set())
    typer.echo(f"serving http://{address}:{server.server_port}/metrics", err=True)
    done.wait()
    server.shutdown()
    thread.join()
    server.server_close()
