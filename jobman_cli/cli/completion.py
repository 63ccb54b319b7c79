"""What the shell proposes for an option's value. Nothing here may fail: the shell has nowhere to say so."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from jobman_cli.cli.session import jobman_of


def job_types(ctx: typer.Context, incomplete: str) -> list[str]:
    """The job types of the configuration."""
    try:
        return _beginning(jobman_of(ctx).registry.types, incomplete)
    except Exception:
        return []


def queues(ctx: typer.Context, incomplete: str) -> list[str]:
    """The queues of the job types and of the supervisors."""
    try:
        jobman = jobman_of(ctx)
        found = {job_type.options.queue for job_type in jobman.registry.types.values()}
        for supervisor in jobman.settings.supervisors.values():
            found |= set(supervisor.get("queues", ()))
        return _beginning(found, incomplete)
    except Exception:
        return []


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
