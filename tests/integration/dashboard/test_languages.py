"""Every text of the dashboard is there in every language, and means the same."""

from __future__ import annotations

import gettext
import importlib.util
import re
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Catalog, Message
from babel.messages.pofile import read_po
from processes import ROOT
from rig import Rig
from site_of_a_test import Site

from jobman_cli.core.outcome import OutcomeKind
from jobman_cli.core.states import Status
from jobman_cli.dashboard import languages, view
from jobman_cli.dashboard.languages import LANGUAGES
from jobman_cli.dashboard.pages import PAGES
from jobman_cli.dashboard.words import WORDS
from jobman_cli.operations.journal import audit
from jobman_cli.store.lifecycle.rescue import RESCUED
from jobman_cli.store.lifecycle.schedules import FireOutcome

LOCALE = ROOT / "jobman_cli" / "dashboard" / "locale"
PLACE = re.compile(r"%\((\w+)\)[a-z]")


@pytest.fixture(scope="module")
def messages() -> Any:
    """`make messages`."""
    loader = SourceFileLoader("messages", str(ROOT / "scripts" / "messages"))
    spec = importlib.util.spec_from_loader("messages", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(params=[tag for tag in LANGUAGES if tag != "en"])
def path(request: pytest.FixtureRequest) -> Path:
    return LOCALE / f"{request.param.replace('-', '_')}.po"


@pytest.fixture
def catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def faults(texts: Catalog, catalogue: Catalog) -> list[str]:
    """What is missing, doubtful, or lost a placeholder."""
    found = []
    for text in filter(lambda text: text.id, texts):
        there = catalogue.get(text.id)
        if there is None or not all(spoken(there)):
            found.append(f"not translated: {text.id!r}")
        elif there.fuzzy:
            found.append(f"fuzzy: {text.id!r}")
        elif any(places(each) != places(text.id) for each in spoken(there)):
            found.append(f"other placeholders: {text.id!r} and {there.string!r}")
    return found


def spoken(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def places(text: str | tuple[str, ...]) -> set[str]:
    return set(PLACE.findall(text if isinstance(text, str) else " ".join(text)))


def test_every_text_is_translated(messages: Any, catalogue: Catalog) -> None:
    texts = messages.extract()
    assert len(texts) > 100, "it did look"
    assert not faults(texts, catalogue), "run `make messages`, then translate what is empty"


def test_the_catalogue_is_as_make_messages_writes_it(messages: Any, path: Path) -> None:
    assert messages.update(path, messages.extract()) == path.read_text(), "run `make messages`"


def test_the_check_is_not_blind(messages: Any) -> None:
    texts, catalogue = Catalog(), Catalog()
    for text in ("missing", "empty", "doubtful", "%(number)s jobs", "good %(id)s"):
        texts.add(text)
    catalogue.add("empty", "")
    catalogue.add("doubtful", "疑", flags=["fuzzy"])
    catalogue.add("%(number)s jobs", "%(count)s 個")
    catalogue.add("good %(id)s", "好 %(id)s")
    assert [fault.partition(":")[0] for fault in faults(texts, catalogue)] == [
        "not translated",
        "not translated",
        "fuzzy",
        "other placeholders",
    ]


def test_words_of_rows_are_known() -> None:
    for kind in (Status, OutcomeKind, FireOutcome):
        assert {str(each) for each in kind} <= WORDS
    assert RESCUED in WORDS


def test_what_pages_say_is_translated_also_where_no_literal_tells(
    rig: Rig, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()

    class Untranslated(gettext.NullTranslations):
        """Asked only for what the catalogue does not have."""

        def gettext(self, message: str) -> str:
            asked.add(message)
            return message

    real = languages.translations

    def watched(language: str) -> gettext.NullTranslations:
        found = real.__wrapped__(language)
        found.add_fallback(Untranslated())
        return found

    monkeypatch.setattr(view, "translations", watched)
    view._environment.cache_clear()
    try:
        for name in ("hello", "boom", "give_up", "again"):
            rig.dispatch(name, tags=["a"])
        rig.worker().drain()
        rig.dispatch("hello")
        rig.dispatch("hello", delay=60)
        entry: dict[str, Any] = {"actor": "a", "address": "::1", "action": "retry", "details": {}}
        audit(rig.parts, **entry, outcome="refused", message="no")
        site.client.cookies.set("jobman_language", "zh-TW")
        for item in PAGES:
            for id in range(1, 7):
                site.client.get(item.path.replace("{id}", str(id)).replace("{name}", "hello"))
        page = site.client.get("/jobs")
        assert '<html lang="zh-TW"' in page.text and "<h1>工作</h1>" in page.text
    finally:
        view._environment.cache_clear()
    assert asked == set(), "add them to dashboard/words.py, or make them literals"


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-TW"),
        ("zh-tw", "zh-TW"),
        ("zh-Hant-TW, en", "zh-TW"),
        ("fr, zh-HK;q=0.5, en;q=0.1", "zh-TW"),
        ("en-GB,zh-TW", "en"),
        ("EN", "en"),
        ("zh-CN, en", "en"),
        ("", "en"),
        ("*, -, _, ;q=1, zh_TW", "en"),
        ("\u7e41".encode().decode("latin-1"), "en"),
    ],
)
def test_a_language_is_known_however_browsers_write_it(site: Site, wanted: str, language: str) -> None:
    page = site.client.get("/jobs", headers={"accept-language": wanted.encode("latin-1")})
    assert f'<html lang="{language}"' in page.text
    assert f"<h1>{'Jobs' if language == 'en' else '工作'}</h1>" in page.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See `jobman <types>`.", "See <code>jobman &lt;types&gt;</code>."),
        ("<b>`a`</b>`c`", "&lt;b&gt;<code>a</code>&lt;/b&gt;<code>c</code>"),
        ("one ` alone <", "one ` alone &lt;"),
        ("", ""),
    ],
)
def test_what_stands_between_backticks_is_code(text: str, shown: str) -> None:
    assert str(view.marked(text)) == shown
