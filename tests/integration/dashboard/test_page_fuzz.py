"""Any request to pages, questions and actions: no 5xx, no traceback, no hang; a look changes nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fuzzing import many, patience, tried
from house_of_a_test import House
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_api import ENTRIES, hello

from jobman_cli.dashboard.actions import ACTIONS, QUESTIONS
from jobman_cli.dashboard.actions import supervisors as supervisor_actions
from jobman_cli.dashboard.pages import PAGES
from jobman_cli.dashboard.search import QUALIFIERS

#: Seconds that no request may reach; a busy machine is allowed for.
LONGEST = 5.0
NAMES = (
    "q",
    "before",
    "after",
    "since",
    "type",
    "queue",
    "id",
    "name",
    "tag",
    "back",
    "host",
    "supervisor",
    "for",
)
FIELDS = (*NAMES, "attrib.name", "priority", "delay", "tags", "credential", "language", "theme", "to")
ODD = ('"', "\\", "\x00", "\r\n", "../", "//evil", "%", "<b>", "漢字", "\ud800", "9" * 40)
KNOWN = ("status:failed", "type:hello", "1", "12", "hello", "tick", "default", "1h", "2030-01-31")
WORDS = st.sampled_from([*(f"{each}:" for each in QUALIFIERS), *KNOWN, *ODD])
TEXTS = st.lists(WORDS | st.text(max_size=6), max_size=5).map(" ".join) | WORDS | st.text(max_size=30)
QUERIES = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), TEXTS, max_size=4)
FORMS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), TEXTS, max_size=5)
LOOKS = st.sampled_from(
    [*(item.path for item in PAGES), *(f"/confirm/{each}" for each in QUESTIONS), "/{any}"]
)
DEEDS = st.sampled_from(
    [*(f"/actions/{each}" for each in ACTIONS), "/types/hello", "/types/{name}", "/preferences"]
)
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(supervisor_actions, "ANSWER", 0.0)
    house = House(sqlite_template, tmp_path, [hello], schedule=ENTRIES)
    house.fill("text")
    yield house
    house.close()


def address(path: str, data: st.DataObject) -> str:
    for place in ("{id}", "{name}", "{plugin}", "{any}"):
        if place in path:
            path = path.replace(place, quote(data.draw(TEXTS, place).encode("utf-8", "replace"), safe=""))
    return path


def plain(given: dict[str, str]) -> dict[str, str]:
    """As it comes over the wire: surrogates cannot."""
    return {_sent(name): _sent(value) for name, value in given.items()}


def _sent(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def ask(client: Any, method: str, *arguments: Any, **options: Any) -> Any:
    began = time.monotonic()
    answer = client.request(method, *arguments, **options)
    tried("HTTP")
    assert time.monotonic() - began < LONGEST
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text.replace("&lt;", "<") or "text" in answer.text
    return answer


@pytest.mark.timeout(patience(300))
def test_looks_change_nothing(house: House) -> None:
    eye = sqlite3.connect(house.store.url.database)

    def writes() -> int:
        return int(eye.execute("PRAGMA data_version").fetchone()[0])

    with house.client() as client:
        client.get("/")
        before = writes()

        @settings(max_examples=many(150, 0.6), **QUIET)
        @given(path=LOOKS, query=QUERIES, data=st.data())
        def check(path: str, query: dict[str, str], data: st.DataObject) -> None:
            ask(client, "GET", address(path, data), params=plain(query))

        check()
        assert writes() == before
    eye.close()


@pytest.mark.timeout(patience(300))
def test_any_form(house: House) -> None:
    with house.client() as client:

        @settings(max_examples=many(150, 0.4), **QUIET)
        @given(path=DEEDS, form=FORMS, data=st.data())
        def check(path: str, form: dict[str, str], data: st.DataObject) -> None:
            answer = ask(client, "POST", address(path, data), data=plain(form))
            assert answer.headers.get("location", "/").startswith(("/", "http://localhost/"))

        check()
        client.get("/")
