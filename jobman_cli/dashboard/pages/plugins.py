"""Plugins and modules, and the pages that plugins bring."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.dashboard.answers import NotHere
from jobman_cli.dashboard.view import render
from jobman_cli.errors import PluginError

logger = logging.getLogger("jobman.dashboard")

#: A plugin's page by its path.
PluginPages = Mapping[str, Mapping[str, Any]]


class PluginPageFailed(PluginError):
    """A plugin's page could not be made."""

    hint = "The traceback is in the log of the dashboard."


def page(request: Request) -> Response:
    """All that is installed or listed."""
    registry = request.app.state.desk.jobman.registry
    pages = request.app.state.plugin_pages
    return render(request, "plugins.html", plugins=registry.plugins, warnings=registry.warnings, pages=pages)


def one(request: Request) -> Response:
    """A page that a plugin brings, in the frame of all pages.

    Raises:
        PluginPageFailed: when the plugin's function does.
    """
    path = path_of(request.path_params["plugin"], request.path_params["name"])
    found = request.app.state.plugin_pages.get(path)
    if found is None:
        raise NotHere("no plugin brings this page", hint="See the page Plugins for what there is.")
    try:
        body = found["render"](dict(request.query_params))
        if not isinstance(body, str):
            raise TypeError(f"it gave {type(body).__name__}, not str")  # noqa: TRY301  # told as what it raises
    except Exception as error:
        logger.exception("plugin %r: its page %r failed", found["plugin"], found["name"])
        raise PluginPageFailed(
            f"plugin {found['plugin']!r}: its page {found['name']!r} failed: {type(error).__name__}"
        ) from error
    return render(request, "plugin.html", title=found["title"], plugin=found["plugin"], body=Markup(body))  # noqa: S704  # the plugin escapes what it shows


def pages_of(registry: Any, jobman: Any) -> PluginPages:
    """The plugins' pages by their paths; of two with one path the first."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in registry.dashboard_pages(jobman):
        found.setdefault(path_of(each["plugin"], each["name"]), each)
    return found


def path_of(plugin: str, name: str) -> str:
    """Where a plugin's page is; a module's name stands for itself."""
    return f"/plugins/{plugin.removeprefix('module ')}/{name}"
