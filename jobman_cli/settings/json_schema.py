"""The configuration file's JSON Schema, made of the very shape that checks it, so that it cannot drift.

It is for editors: it allows all that is valid and refuses what it can. What settings say about each other
(a heartbeat and its lease), and whether an address can be used, only ``load_settings`` knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from jobman_cli.settings.model import SUPERVISOR_DEFAULTS, Settings
from jobman_cli.settings.shape import settings_shape

DRAFT = "http://json-schema.org/draft-07/schema#"


def settings_schema() -> dict[str, Any]:
    """Return the schema of the file, in draft 7, which editors know best."""
    schema = settings_shape(Path("/")).schema()
    properties: dict[str, dict[str, Any]] = schema["properties"]
    for each in fields(Settings):
        if each.name in properties and each.default is not MISSING:
            properties[each.name]["default"] = _plain(each.default)
    properties["database"]["default"] = "sqlite:///var/jobman.db"
    _give_defaults(properties["supervisors"]["additionalProperties"], SUPERVISOR_DEFAULTS)
    return {
        "$schema": DRAFT,
        "title": "Jobman's configuration",
        "description": "Every setting is optional; docs/reference/settings.md explains them all.",
        **schema,
    }


def _give_defaults(schema: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    for name, value in defaults.items():
        schema["properties"][name]["default"] = _plain(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
