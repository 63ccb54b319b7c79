"""The way in and out: the login page, and what a visitor prefers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from jobman_cli.dashboard.access import COOKIE, LASTS
from jobman_cli.dashboard.languages import LANGUAGES
from jobman_cli.dashboard.view import KEYS, THEMES, inside, render, text, url
from jobman_cli.errors import UsageError

#: Seconds that a wrong credential takes.
PENALTY = 0.5
#: Fields that a form may have.
FIELDS = 2000


def routes() -> list[Route]:
    """Login, logout and preferences."""
    return [
        Route("/login", login_page, methods=["GET"]),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/preferences", prefer, methods=["POST"]),
    ]


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form; of several with one name the last.

    Raises:
        UsageError: when it has too many.
    """
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        raise UsageError(f"a form has at most {FIELDS} fields", hint="Send fewer.") from None


def login_page(request: Request) -> Response:
    """Ask for the credential."""
    if request.state.visitor is not None:
        return RedirectResponse(url(request, "/"), 303)
    return render(request, "login.html", to=request.query_params.get("to", "/"), wrong=False)


async def login(request: Request) -> Response:
    """Take a token, or ``user:password``, and give a signed cookie for it."""
    form = await form_of(request)
    desk = request.app.state.desk
    given = form.get("credential", "").strip()
    visitor = desk.visitor_of("token", given) or desk.visitor_of("basic", given)
    if visitor is None:
        await asyncio.sleep(PENALTY)
        page = render(request, "login.html", to=form.get("to", "/"), wrong=True)
        page.status_code = 401
        return page
    answer = RedirectResponse(inside(request, form.get("to", "/")), 303)
    signed = desk.signer.dumps([visitor.name, visitor.may_act], salt="visitor")
    _set(request, answer, COOKIE, signed, LASTS)
    return answer


def logout(request: Request) -> Response:
    """Forget the cookie."""
    answer = RedirectResponse(url(request, "/login"), 303)
    answer.delete_cookie(COOKIE, path=url(request, "/"))
    return answer


async def prefer(request: Request) -> Response:
    """Keep a language, a theme, and whether keys do something, for this browser."""
    form = await form_of(request)
    answer = RedirectResponse(inside(request, form.get("back", "/")), 303)
    for name, known in (("language", LANGUAGES), ("theme", THEMES), ("keys", KEYS)):
        if form.get(name) in known:
            _set(request, answer, f"jobman_{name}", form[name], 365 * 86_400)
    return answer


def _set(request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path=url(request, "/"),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def said(request: Request, answer: Response, message: str, *, bad: bool = False) -> Response:
    """The same answer, and a message for the page that comes next."""
    signed = request.app.state.desk.signer.dumps([text(message), bad], salt="said")
    _set(request, answer, "jobman_said", signed, 60)
    return answer


def form_fields(form: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The fields whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: value for name, value in form.items() if name.startswith(prefix)}
