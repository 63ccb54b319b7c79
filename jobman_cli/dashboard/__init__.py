"""The dashboard: every job, and what can be done about it, in the browser.

``create_app`` gives an ASGI application to mount in another one; ``jobman dashboard`` serves it alone.
"""

from __future__ import annotations

from jobman_cli.dashboard.app import create_app

__all__ = ["create_app"]
