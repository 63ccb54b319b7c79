"""What the configuration and the plugins bring: job types, plugins, entries of the schedule."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jobman_cli.operations.redact import redact

if TYPE_CHECKING:
    from jobman_cli.core.jobtype import JobType
    from jobman_cli.hooks.registry import PluginInfo
    from jobman_cli.operations.schedule import Look
    from jobman_cli.settings import Settings


def type_object(job_type: JobType) -> dict[str, Any]:
    """A job type and its options."""
    options = job_type.options
    return {
        "name": job_type.name,
        "description": options.description,
        "queue": options.queue,
        "tries": options.tries,
        "timeout": options.timeout,
        "backoff": list(options.backoff),
        "priority": options.priority,
        "tags": list(options.tags),
        "unique": options.unique if isinstance(options.unique, bool) else list(options.unique),
        "origin": job_type.origin,
    }


def whole_type_object(job_type: JobType) -> dict[str, Any]:
    """A job type with its parameters and the JSON Schema of its attribs.

    Raises:
        InvalidJobType: when the signature cannot be used.
    """
    schema = job_type.json_schema()
    parameters = [
        {
            "name": parameter.name,
            "required": parameter.required,
            "default": schema["properties"][parameter.name].get("default"),
            "help": parameter.help,
        }
        for parameter in job_type.parameters
    ]
    return {**type_object(job_type), "parameters": parameters, "schema": schema}


def plugin_object(info: PluginInfo) -> dict[str, Any]:
    """A plugin or module, and what is wrong with it."""
    return asdict(info)


def entry_object(look: Look, settings: Settings) -> dict[str, Any]:
    """An entry of the schedule, with its next times and what came of the last."""
    entry, last = look.entry, look.last
    return {
        "name": entry.name,
        "job": entry.job,
        "operation": entry.operation,
        "options": redact(dict(entry.options if entry.job is None else entry.attribs), settings.redact),
        "times": entry.clock,
        "in_force": look.in_force,
        "timezone": str(entry.zone),
        "catch_up": entry.catch_up,
        "paused": look.paused,
        "next": [
            {"utc": each, "local": each.astimezone(entry.zone).isoformat(timespec="seconds")}
            for each in look.upcoming
        ],
        "last": None
        if last is None
        else {
            "fire_at": last.fire_at,
            "outcome": last.outcome,
            "message": last.message,
            "job_id": last.jobman_id,
            "job_status": last.job_status,
            "started_at": last.started_at,
            "finished_at": last.finished_at,
        },
        "fault": look.fault,
    }
