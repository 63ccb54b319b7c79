"""The finished values. Nothing here reads a file or checks anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

#: ``JobOverride.timeout`` when the file says ``timeout: null``: the job may run as long as it likes.
NO_LIMIT = math.inf

#: What a supervisor does where its block is silent; times in seconds, memory in MB, 0 = no limit.
SUPERVISOR_DEFAULTS: Mapping[str, Any] = {
    "queues": ("default",),
    "balance": "auto",
    "scaling": "time",
    "min_processes": 1,
    "max_processes": 4,
    "max_shift": 1,
    "cooldown": 3.0,
    "worker_type": "process",
    "concurrency": 100,
    "memory": 0,
    "max_jobs": 0,
    "max_time": 0.0,
    "nice": 0,
}


#: What is announced where `alerts` is silent; `wait` in seconds by queue, 0 = never.
ALERT_DEFAULTS: Mapping[str, Any] = {"wait": {"default": 60.0}, "off": ()}


#: How the dashboard is served where `dashboard` is silent. Without a credential only this host may come in.
DASHBOARD_DEFAULTS: Mapping[str, Any] = {
    "host": "127.0.0.1",
    "port": 8787,
    "prefix": "",
    "hosts": (),
    "read_only": False,
    "token": None,
    "read_token": None,
    "basic": None,
}


@dataclass(frozen=True, slots=True)
class JobOverride:
    """What the configuration changes about one job type; ``None`` leaves the job type's own option.

    Attributes:
        queue: The queue its jobs wait in.
        tries: How many tries a job has in all.
        timeout: Seconds one attempt may run; ``NO_LIMIT`` where the file says ``null``.
        backoff: Seconds before the second try, the third …; the last one repeats.
        priority: −1000 … 1000, higher first.
        silenced: Whether lists leave out its completed jobs; wins over ``Settings.silenced``.
    """

    queue: str | None = None
    tries: int | None = None
    timeout: float | None = None
    backoff: tuple[float, ...] | None = None
    priority: int | None = None
    silenced: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return what is overridden only; no time limit is ``timeout=None``."""
        given = {name: getattr(self, name) for name in (f.name for f in fields(self))}
        options = {name: value for name, value in given.items() if value is not None}
        if options.get("timeout") == NO_LIMIT:
            options["timeout"] = None
        return options

    def options(self) -> dict[str, Any]:
        """Return the overridden options of the job type itself, as ``@job`` spells them.

        >>> JobOverride(tries=5, timeout=NO_LIMIT, silenced=True).options()
        {'tries': 5, 'timeout': None}
        """
        return {name: value for name, value in self.given().items() if name != "silenced"}


def _default_supervisors() -> dict[str, Mapping[str, Any]]:
    return {"default": dict(SUPERVISOR_DEFAULTS)}


def _default_alerts() -> Mapping[str, Any]:
    return {"wait": dict(ALERT_DEFAULTS["wait"]), "off": ()}


def _default_dashboard() -> Mapping[str, Any]:
    return dict(DASHBOARD_DEFAULTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be configured; ``docs/reference/settings.md`` explains each one.

    Attributes:
        path: The file that was read, absolute; ``None`` if there was none.
        root: The absolute directory that relative paths stand on.
        database: A SQLAlchemy URL, complete: driver named, SQLite path absolute. May hold a password.
        queue: ``database``, or a Redis URL. May hold a password.
        origins: Where each value came from, by dotted setting: ``config/jobman.yaml:3``,
            ``environment JOBMAN_QUEUE``, ``--queue`` or ``default``.
    """

    path: Path | None = None
    root: Path
    name: str = "jobman"
    database: str
    queue: str = "database"
    plugins: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    jobs: Mapping[str, JobOverride] = field(default_factory=dict)
    silenced: tuple[str, ...] = ()
    silenced_tags: tuple[str, ...] = ()
    max_attribs_bytes: int = 1_048_576
    recording: str = "turn"
    shutdown_timeout: float = 30.0
    heartbeat: float = 5.0
    lease: float = 30.0
    grace: float = 5.0
    sweep: float = 1.0
    rescue_limit: int = 3
    redact: tuple[str, ...] = ("*password*", "*secret*", "*token*", "*api_key*")
    supervisors: Mapping[str, Mapping[str, Any]] = field(default_factory=_default_supervisors)
    environments: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    alerts: Mapping[str, Any] = field(default_factory=_default_alerts)
    dashboard: Mapping[str, Any] = field(default_factory=_default_dashboard)
    plugin_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedule: tuple[Mapping[str, Any], ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
