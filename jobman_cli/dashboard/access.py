"""Who may come in: an ASGI middleware in front of everything.

It answers for the host's name (DNS rebinding), the credential, forms that other sites post, the size of
what is sent, and the headers that tell a browser what a page may do.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Mapping
from urllib.parse import quote

from itsdangerous import BadSignature
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobman_cli.dashboard.answers import fault
from jobman_cli.dashboard.desk import Desk, Visitor
from jobman_cli.dashboard.languages import spoken

logger = logging.getLogger("jobman.dashboard")

#: The cookie of somebody who has logged in, and for how many seconds it is good.
COOKIE, LASTS = "jobman_visitor", 12 * 3600
#: What needs no credential.
PUBLIC, ASSETS = ("/login", "/healthz"), "/static/"
#: A host's name or address, and perhaps a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::\d*)?")
#: What is said of a request that is too large.
TOO_LARGE = ("the request is too large", "Send less; `max_attribs_bytes` bounds the attribs.")
#: What is said when this program is wrong.
FAULTY = ("something is wrong with the dashboard", "Its log has the traceback; please report it.")
#: Bytes that a request's body may have beside the attribs.
BODY = 65_536

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app, self._desk = app, desk
        self._most = BODY + 4 * desk.jobman.settings.max_attribs_bytes  # a form's escapes make four of one

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        path = local_path(scope)
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not path.startswith(ASSETS):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refuse(connection, path)
        if answer is not None:
            await answer(scope, receive, dressed)
            return
        try:
            await self._app(scope, self._limited(receive), dressed)
        except Exception:
            logger.exception("%s %s failed", scope["method"], path)
            if begun:
                raise
            await refusal(connection, 500, *FAULTY)(scope, receive, dressed)

    def _refuse(self, connection: HTTPConnection, path: str) -> Response | None:
        """The answer to a request that may not pass; None for one that may."""
        headers = connection.headers
        if path != "/healthz" and _host_of(headers) not in self._desk.hosts:
            return refusal(
                connection,
                400,
                "unknown host",
                "Add its name to `dashboard: hosts:` in the configuration.",
            )
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 16) or int(length) > self._most:
            return refusal(connection, 413, *TOO_LARGE)
        writes = connection.scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if not (_of_this_site(headers) if writes else _may_read(headers)):
            return refusal(
                connection,
                403,
                "this request comes from another site",
                "Send it from the dashboard's own pages.",
            )
        visitor = self._visitor(connection)
        connection.scope.setdefault("state", {})["visitor"] = visitor
        if path in PUBLIC or path.startswith(ASSETS):
            return None
        if visitor is None:
            return self._ask(connection, path)
        if writes and not visitor.may_act and path != "/logout" and path != "/preferences":
            return refusal(
                connection, 403, "you may look, but not act", "Come in with a credential that may do more."
            )
        return None

    def _visitor(self, connection: HTTPConnection) -> Visitor | None:
        desk = self._desk
        if desk.is_open:
            return Visitor("anybody", not desk.read_only)
        kind, _, given = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return desk.visitor_of("token", given.strip())
        if kind.lower() == "basic":
            return desk.visitor_of("basic", _decoded(given.strip()))
        try:
            name, may_act = desk.signer.loads(
                connection.cookies.get(COOKIE, ""), max_age=LASTS, salt="visitor"
            )
        except (BadSignature, ValueError, TypeError):
            return None
        return Visitor(str(name), bool(may_act) and not desk.read_only)

    def _ask(self, connection: HTTPConnection, path: str) -> Response:
        """For a person the login page, for a program a 401."""
        if "text/html" in connection.headers.get("accept", "") and not path.startswith("/api"):
            root = connection.scope.get("root_path", "")
            query = connection.url.query
            to = quote(path + (f"?{query}" if query else ""), safe="")
            return RedirectResponse(f"{root}/login?to={to}", 303)
        answer = refusal(
            connection, 401, "a credential is needed", "Send the token as `Authorization: Bearer …`."
        )
        answer.headers["WWW-Authenticate"] = 'Basic realm="jobman", charset="UTF-8"'
        return answer

    def _limited(self, receive: Receive) -> Receive:
        """The body, no longer than it may be, also when its length was not said."""
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise BodyTooLong
            return message

        return limited


class BodyTooLong(Exception):
    """More was sent than a request may have."""


def local_path(scope: Scope) -> str:
    """The path below the place where the dashboard is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] or "/" if root and path.startswith(root) else path


def refusal(connection: HTTPConnection, status: int, message: str, hint: str) -> Response:
    """A plain answer in the visitor's language; English JSON for the API."""
    if local_path(connection.scope).startswith("/api"):
        return fault(message, hint, status)
    return PlainTextResponse(f"{spoken(connection, message, hint)}\n", status)


async def too_long(request: Request, _: Exception) -> Response:
    """The answer to a body that grew too long."""
    return refusal(request, 413, *TOO_LARGE)


def _host_of(headers: Headers) -> str:
    """The host's name without its port, in small letters."""
    found = _HOST.fullmatch(headers.get("host", "").lower())
    return (found[1] or found[2]) if found else ""


def _of_this_site(headers: Headers) -> bool:
    """True for what a browser sends from this very site, and for programs, which send neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or origin.lower().partition("://")[2] == headers.get("host", "").lower()


def _may_read(headers: Headers) -> bool:
    """False for what a page of another site loads into itself; a link from there may be followed."""
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    return not foreign or headers.get("sec-fetch-mode") == "navigate"


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
