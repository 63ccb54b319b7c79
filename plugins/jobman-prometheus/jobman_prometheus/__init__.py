"""Jobman's figures for Prometheus: the command ``jobman prometheus``, and a page of the dashboard."""

from __future__ import annotations

from jobman_cli import hookimpl


@hookimpl
def jobman_commands():
    """Add ``jobman prometheus``."""
    from jobman_prometheus.command import prometheus

    return {"prometheus": prometheus}


@hookimpl
def jobman_dashboard_pages(jobman):
    """Show on the dashboard what Prometheus would be told now."""
    from jobman_prometheus.page import make_page

    return [{"name": "figures", "title": "Prometheus", "render": make_page(jobman)}]


@hookimpl
def jobman_doctor_checks(options):
    """See before the exporter is started that it could be."""
    from jobman_prometheus.command import find_fault

    return {"options": lambda: find_fault(options)}
