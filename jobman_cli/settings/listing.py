"""Every value with its origin, fit to be shown: nested settings by their dotted names, passwords masked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from jobman_cli.settings.model import JobOverride, Settings
from jobman_cli.settings.urls import mask_url

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Settings that are shown as one value although they hold mappings.
_WHOLE = ("schedule",)
#: Settings that are never shown.
_SECRET = ("dashboard.token", "dashboard.read_token", "dashboard.basic")


class Listed(NamedTuple):
    """One value.

    Attributes:
        setting: Its dotted name.
        value: As JSON can hold it; ``None`` for no limit.
        origin: A file and line, a variable, a flag, or ``default``.
    """

    setting: str
    value: Any
    origin: str


def list_settings(settings: Settings) -> list[Listed]:
    """Return all settings in the order of the reference; empty mappings are there as well."""
    listed: list[Listed] = []
    for each in fields(settings):
        if each.name in ("path", "root", "origins"):
            continue
        value = _plain(getattr(settings, each.name))
        listed += _walk(each.name, value, settings.origins, settings.origins[each.name])
    return listed


def _walk(setting: str, value: Any, origins: Mapping[str, str], above: str) -> Iterator[Listed]:
    """A mapping's members, each with its own origin; what nobody wrote inside one is a default."""
    if not isinstance(value, dict) or not value or setting in _WHOLE:
        shown = "***" if value and setting in _SECRET else value
        yield Listed(setting, shown, origins.get(setting, above))
        return
    for name, inner in value.items():
        yield from _walk(f"{setting}.{name}", inner, origins, "default")


def _plain(value: Any) -> Any:
    if isinstance(value, JobOverride):
        return _plain(value.given())
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return mask_url(value) if isinstance(value, str) and _URL.search(value) else value
