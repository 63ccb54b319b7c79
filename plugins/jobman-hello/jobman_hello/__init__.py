"""The smallest Jobman plugin: one job type, ``hello``."""

from __future__ import annotations

from jobman_cli import Context, hookimpl, job


@job("hello", tries=3, timeout=60, backoff=[1, 5, 10])
def hello(ctx: Context, name: str = "world") -> str | None:
    """Say hello.

    Args:
        name: Whom to greet.
    """
    ctx.log(f"Hello, {name}")
    return None  # or a completed code such as "already-exists"


@hookimpl
def jobman_job_types():
    """Register the job types of this plugin."""
    return [hello]
