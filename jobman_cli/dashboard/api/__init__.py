"""The JSON API: what the pages know and can do, for programs. The keys are those of ``--json``.

``table`` holds every endpoint; from it come the routes and, in ``openapi``, their description. ``looks`` and
``deeds`` fill it.
"""

from __future__ import annotations

from jobman_cli.dashboard.api import deeds, looks
from jobman_cli.dashboard.api.table import routes

__all__ = ["deeds", "looks", "routes"]
