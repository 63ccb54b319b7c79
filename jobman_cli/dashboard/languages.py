"""Which language a visitor reads, and how what code says in English is said in it."""

from __future__ import annotations

import gettext
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from starlette.requests import HTTPConnection

from jobman_cli.dashboard.sayings import COLON, translated

#: Languages by the tag that HTML uses: the name people know them by.
LANGUAGES: Mapping[str, str] = {"en": "English", "zh-TW": "繁體中文"}
CATALOGUES = Path(__file__).with_name("locale")


def language_of(connection: HTTPConnection) -> str:
    """The language that was chosen, else the first that the browser asks for and we speak, else English."""
    chosen = connection.cookies.get("jobman_language")
    if chosen in LANGUAGES:
        return str(chosen)
    wanted = connection.headers.get("accept-language", "").split(",")
    return next(filter(None, (_spoken_here(each.partition(";")[0]) for each in wanted)), "en")


def _spoken_here(tag: str) -> str | None:
    """Our name of a language; browsers write it in small letters, too, and with scripts and regions."""
    tag = tag.strip().lower()
    if tag in ("zh", "zh-tw", "zh-hk", "zh-mo") or tag.startswith("zh-hant"):
        return "zh-TW"
    return "en" if tag.partition("-")[0] == "en" else None


def spoken(connection: HTTPConnection, *messages: str) -> str:
    """What code says in English, in the visitor's language; several with colons between them."""
    language = language_of(connection)
    return translations(language).gettext(COLON).join(said_in(language, each) for each in messages)


def said_in(language: str, message: str) -> str:
    """What code says in English, in one of ``LANGUAGES``."""
    return message if language == "en" else translated(message, translations(language).gettext)


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of one of ``LANGUAGES``."""
    source = CATALOGUES / f"{language.replace('-', '_')}.po"
    if not source.exists():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
