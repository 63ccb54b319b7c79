"""How pages are made: templates, languages, times, and addresses below the place where the app is mounted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_decimal
from itsdangerous import BadSignature
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from jobman_cli import __version__
from jobman_cli.dashboard.languages import LANGUAGES, language_of, said_in, translations

HERE = Path(__file__).parent
#: There when the files that come from npm have been built.
ASSETS = HERE / "static" / "vendor" / "made-from"
THEMES = ("auto", "light", "dark")
#: Whether single keys do something: not everybody who presses one means it.
KEYS = ("on", "off")
#: A page counts rows up to this many, and says that there are more.
COUNTED = 10_000


def render(request: Request, template: str, /, **context: Any) -> HTMLResponse:
    """A page in the visitor's language.

    Args:
        template: A file in ``templates``.
        context: What it shows.
    """
    language = language_of(request)
    message, bad = _said(request)
    theme = request.cookies.get("jobman_theme", "auto")
    keys = request.cookies.get("jobman_keys", "on")
    page = _environment(language).get_template(template)
    body = page.render(
        {
            "request": request,
            "url": lambda path, **query: url(request, path, **query),
            "here": here(request),
            "path": local_path(request),
            "visitor": getattr(request.state, "visitor", None),
            "language": language,
            "languages": LANGUAGES,
            "theme": theme if theme in THEMES else "auto",
            "themes": THEMES,
            "keys": keys if keys in KEYS else "on",
            "keys_known": KEYS,
            "menu": request.app.state.menu,
            "desk": request.app.state.desk,
            "message": message,
            "message_is_bad": bad,
            "version": __version__,
            "has_assets": ASSETS.exists(),
            "most": COUNTED,
            **context,
        }
    )
    answer = HTMLResponse(body)
    if message:
        answer.delete_cookie("jobman_said", path=url(request, "/"))
    return answer


def url(request: Request, path: str, /, **query: Any) -> str:
    """An address of this dashboard, wherever it is mounted; queries that are None or empty are left out."""
    some = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{request.scope.get('root_path', '')}{path}" + (f"?{urlencode(some)}" if some else "")


def local_path(request: Request) -> str:
    """The path below the place where the dashboard is mounted."""
    from jobman_cli.dashboard.access import local_path as of_scope

    return of_scope(request.scope)


def here(request: Request) -> str:
    """This page's own path and query, to come back to."""
    query = request.url.query
    return local_path(request) + (f"?{query}" if query else "")


def inside(request: Request, path: str) -> str:
    """The address of a path that was sent to us, if it is one of this dashboard; else that of the overview.

    >>> from types import SimpleNamespace
    >>> inside(SimpleNamespace(scope={"root_path": "/ops"}), "//evil.example/")
    '/ops/'
    """
    harmless = path.startswith("/") and path.isprintable() and not {"//", "/\\"} & {path[:2]}
    return url(request, path if harmless and "\\" not in path else "/")


def text(message: str) -> str:
    """A message as one that fits into a cookie."""
    return message if len(message) <= 800 else message[:800] + "…"


def _said(request: Request) -> tuple[str, bool]:
    try:
        signed = request.cookies.get("jobman_said", "")
        message, bad = request.app.state.desk.signer.loads(signed, max_age=60, salt="said")
    except (BadSignature, ValueError, TypeError):
        return "", False
    return str(message), bool(bad)


@cache
def _environment(language: str) -> Environment:
    locale = Locale.parse(language, sep="-")
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    catalogue = translations(language)
    made.install_gettext_callables(  # type: ignore[attr-defined]  # the i18n extension adds it
        catalogue.gettext, catalogue.ngettext, newstyle=True
    )
    made.filters |= {
        "when": lambda moment: when(moment, locale),
        "duration": duration,
        "number": lambda value: "–" if value is None else format_decimal(value, locale=locale),
        "spoken": partial(said_in, language),
        "counted": partial(counted, locale),
        "share": lambda value: "–" if value is None else f"{value:.0%}",
        "pretty": pretty,
        "marked": marked,
        "first_line": lambda value: (value or "").strip().partition("\n")[0],
        "last_line": lambda value: ((value or "").strip().splitlines() or [""])[-1],
    }

    def say(message: str, /, **variables: Any) -> str:
        # The extension's own `_` takes what it is given for harmless HTML; ours is given words of rows, too.
        said = catalogue.gettext(message)
        return said % variables if variables else said

    made.globals |= {"sparkline": sparkline, "_": say}
    return made


def when(moment: datetime | None, locale: Locale) -> Markup:
    """A time, said relatively; the script adds the exact one in the viewer's own zone."""
    if moment is None:
        return Markup("–")
    said = format_timedelta(moment - datetime.now(UTC), add_direction=True, locale=locale, format="short")
    exact = format_datetime(moment, "yyyy-MM-dd HH:mm:ss 'UTC'", locale=locale, tzinfo=UTC)
    iso = moment.isoformat(timespec="milliseconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, exact, said)


def counted(locale: Locale, number: int, most: int = COUNTED) -> str:
    """A number that was counted up to ``most``: beyond it ``10,000+``."""
    return f"{format_decimal(number, locale=locale)}{'+' if number >= most else ''}"


def duration(seconds: float | None) -> str:
    """A length of time with one unit: ``12 ms``, ``1.2 s``, ``3 min``, ``2 h``, ``5 d``."""
    if seconds is None:
        return "–"
    size = abs(seconds)
    if size < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    for below, unit, name in ((10, 1, "s"), (60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if size < below:
            return f"{seconds / unit:.1f} {name}" if below == 10 else f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def marked(text: str) -> Markup:
    """A text with what stands between backticks as code.

    >>> marked("See `jobman <types>`.")
    Markup('See <code>jobman &lt;types&gt;</code>.')
    """
    pieces = str(text).split("`")
    if len(pieces) % 2 == 0:
        return escape(text)  # one of them has no other
    return Markup("").join(
        Markup("<code>{}</code>").format(each) if at % 2 else each for at, each in enumerate(pieces)
    )


def sparkline(values: Iterable[float | None], label: str, width: int = 120, height: int = 24) -> Markup:
    """A small chart as SVG; the label says it for those who cannot see it."""
    known = [value or 0.0 for value in values]
    if not any(known):
        return Markup("")
    top, step = max(known), width / max(len(known) - 1, 1)
    points = " ".join(
        f"{at * step:.1f},{height - 1 - value / top * (height - 2):.1f}" for at, value in enumerate(known)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        '<polyline points="{}"/></svg>'
    ).format(width, height, width, height, label, points)
