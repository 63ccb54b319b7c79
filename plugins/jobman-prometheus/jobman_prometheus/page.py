"""A page of the dashboard: what Prometheus would be told now."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping

from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from jobman_cli import Jobman
from jobman_prometheus.collector import JobmanCollector


def make_page(jobman: Jobman) -> Callable[[Mapping[str, str]], str]:
    """A function that gives the page's body.

    Args:
        jobman: The application.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(JobmanCollector(jobman))

    def render(_query: Mapping[str, str]) -> str:
        text = generate_latest(registry).decode()
        return (
            "<p>What <code>jobman prometheus</code> serves to Prometheus under <code>/metrics</code>.</p>"
            f'<pre tabindex="0">{html.escape(text)}</pre>'
        )

    return render
