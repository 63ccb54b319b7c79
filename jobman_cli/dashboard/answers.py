"""Answers for programs, and the errors that only a request can make."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

from jobman_cli.errors import JobmanError
from jobman_cli.operations.objects import plain


class NotHere(JobmanError):
    """There is no such thing."""


class Conflict(JobmanError):
    """The state that something is in does not allow it."""


class Json(JSONResponse):
    """JSON in ASCII, so that nothing in it can be taken for anything else, and no text is beyond it."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, default=plain, separators=(",", ":"), allow_nan=False).encode()


def fault(message: str, hint: str, status: int) -> Json:
    """What was wrong, and what to do."""
    return Json({"error": message, "hint": hint}, status)
