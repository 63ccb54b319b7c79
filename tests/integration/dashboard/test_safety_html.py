"""What rows, requests, plugins and errors say is text on every page, whatever it looks like.

Each page is taken apart twice: with harmless words everywhere, and with payloads in their places. Nothing may
come to it: no element, no attribute, no script, and no address that leads elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from house_of_a_test import House
from httpx2 import Response
from payloads import MARK, PAYLOADS, Structure
from starlette.testclient import TestClient
from test_safety import filled

from jobman_cli.core.jobtype import JobType, job
from jobman_cli.dashboard.actions import ACTIONS, QUESTIONS, supervisors
from jobman_cli.hooks import PluginInfo

#: Payloads that stand in the rows of one database together: pages show lists.
TOGETHER = 11
HARMLESS = "harmless"
QUERIES = (
    "q",
    "before",
    "after",
    "since",
    "to",
    "back",
    "tag",
    "queue",
    "type",
    "name",
    "id",
    "lang",
    "message",
)


def type_that_says(text: str) -> JobType:
    """A job type whose words are somebody's."""

    def hello(name: str = text, more: dict[str, Any] = {text: text}) -> None:  # noqa: B006
        pass

    hello.__doc__ = f"{text}\n\n{text}\n\nArgs:\n    name: {text}\n"
    made = job("hello", tags=[text])(hello)
    made.origin = text
    return made


def entries(text: str) -> tuple[dict[str, Any], ...]:
    return (
        {"name": "tick", "every": 60.0, "timezone": "UTC", "job": "hello", "attribs": {"name": text}},
        {"name": text, "every": 60.0, "timezone": "UTC", "job": text},
    )


class Filled(House):
    """A house full of some texts."""

    def __init__(self, template: Path | str, path: Path, texts: tuple[str, ...]) -> None:
        path.mkdir()
        plugins = [PluginInfo(text, text, text, "broken", text, text, (text,)) for text in texts]
        # A lease that no slow run outlasts: pages show silent workers otherwise.
        told = {"schedule": entries(texts[0]), "name": texts[0], "lease": 3600.0}
        super().__init__(template, path, [type_that_says(texts[0])], plugins, **told)
        for number, text in enumerate(texts, 1):
            self.fill(text, number)

    def pages(self) -> Iterator[str]:
        """Every page, and each job's."""
        for path, methods in self.addresses:
            if "GET" not in methods or path == "/live" or path.startswith("/api") or "/confirm/" in path:
                continue
            if "{id}" in path:
                yield from (path.replace("{id}", str(10 + state)) for state in range(7))
            else:
                yield filled(path)


GROUPS = [PAYLOADS[at : at + TOGETHER] for at in range(0, len(PAYLOADS), TOGETHER)]


def check(shown: str, kinds: set[tuple[str, str]], scripts: int, where: str) -> None:
    """Nothing came to a page that is on none with harmless words, and no script at all."""
    found = Structure(shown)
    assert found.kinds <= kinds, (where, found.kinds - kinds)
    assert found.scripts == scripts, where
    check_addresses(found, where)
    for payload in PAYLOADS:
        if MARK in payload and re.search(r"[<>\"']", payload):
            assert payload not in shown, (where, payload)


def check_addresses(found: Structure, where: str) -> None:
    """They lead to this dashboard."""
    for address in found.addresses:
        assert re.match(r"/(?![/\\])|#", address) or not address, (where, address)


def test_a_page_that_lets_something_through_is_seen() -> None:
    usual = {("p", ""), ("p", "title"), ("a", ""), ("a", "href")}
    active = [
        payload for payload in PAYLOADS if re.search(r"<[a-zA-Z!/]", payload) and "template" not in payload
    ]
    seen = 0
    for payload in active:
        try:
            check(f"<p>{payload}</p>", usual, 0, "here")
        except AssertionError:
            seen += 1
    assert seen == len(active) > 35
    with pytest.raises(AssertionError):
        check('<p title="" onmouseover="xq9()" x="">x</p>', usual, 0, "here")
    with pytest.raises(AssertionError):
        check('<a href="javascript:xq9()">x</a>', usual, 0, "here")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0][:20])
def test_rows_are_text_on_every_page(sqlite_template: Path, tmp_path: Path, group: tuple[str, ...]) -> None:
    house = Filled(sqlite_template, tmp_path / "payloads", group)
    harmless = Filled(sqlite_template, tmp_path / "harmless", (HARMLESS,) * len(group))
    usual = {path: harmless.client().get(path) for path in harmless.pages()}
    kinds = set().union(*(Structure(answer.text).kinds for answer in usual.values()))
    seen = 0
    for path in house.pages():
        answer = house.client().get(path)
        assert answer.status_code == usual[path].status_code, path
        assert "nosniff" in answer.headers["x-content-type-options"]
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        check(answer.text, kinds, Structure(usual[path].text).scripts, path)
        seen += MARK in answer.text
    assert seen > 12, "the payloads came to no page"
    house.close()
    harmless.close()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0][:20])
def test_the_api_answers_json_whatever_it_says(
    sqlite_template: Path, tmp_path: Path, group: tuple[str, ...]
) -> None:
    house = Filled(sqlite_template, tmp_path / "payloads", group)
    client = house.client()
    for path, methods in house.addresses:
        if not path.startswith("/api"):
            continue
        asked = [filled(path), f"{filled(path)}?{quote(group[0])}={quote(group[0])}"]
        for address in asked if "GET" in methods else []:
            answer = client.get(address)
            assert answer.headers["content-type"] == "application/json", address
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.text.isascii() and answer.json() is not None
    assert MARK in client.get("/api/jobs").text
    for payload in group:
        answer = client.post("/api/jobs", json={"type": payload, payload: 1})
        assert answer.status_code == 400 and answer.headers["content-type"] == "application/json"
    house.close()


def talk(client: TestClient, word: str) -> Iterator[tuple[str, Response]]:
    """Say a word wherever a request can say one; what is answered, and after that shown."""
    quoted, flat = quote(word, safe=""), quote(word.replace("/", ""), safe="")
    query = dict.fromkeys(QUERIES, word)
    for path in ("/audit", "/jobs", "/failed", "/types/hello", "/login", "/plugins"):
        yield path, client.get(path, params=query)
        yield path, client.get(path, params={"q": word})
    for path in (f"/{quoted}", f"/types/{quoted}", f"/jobs/{quoted}", f"/plugins/{flat}/{flat}"):
        yield path, client.get(path)
    for name in (*ACTIONS, flat):
        yield name, client.post(f"/actions/{name}", data=query)
        yield name, client.get("/audit")  # where it is told, and written down
    for name in (*QUESTIONS, flat):
        yield name, client.get(f"/confirm/{name}", params=query)
    form = dict.fromkeys(("attrib.name", "attrib.more", "queue", "priority", "delay"), word)
    yield "form", client.post("/types/hello", data=form)
    yield "form", client.post("/types/hello", data={**form, "attrib.more": "{}"})


@pytest.fixture(scope="module", autouse=True)
def nobody_answers() -> Iterator[None]:
    """The supervisors in these rows are made up: nothing is gained by waiting for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisors, "ANSWER", 0.0)
        yield


@pytest.fixture(scope="module")
def usual(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """What these pages are made of, when harmless words are said."""
    house = Filled(sqlite_template, tmp_path_factory.mktemp("usual") / "house", (HARMLESS,))
    kinds: set[tuple[str, str]] = set()
    for _, answer in talk(house.client(), HARMLESS):
        kinds |= Structure(answer.text).kinds
    house.close()
    return kinds


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_request_says_is_text(
    sqlite_template: Path, tmp_path: Path, usual: set[tuple[str, str]], payload: str
) -> None:
    house = Filled(sqlite_template, tmp_path / "house", (HARMLESS,))
    seen = 0
    for where, answer in talk(house.client(), payload):
        assert answer.status_code in (200, 303, 400, 404), where
        found = Structure(answer.text)
        assert found.kinds <= usual, (where, found.kinds - usual)
        check_addresses(found, where)
        for each in re.findall(r"<script\b[^>]*>", answer.text):
            assert 'src="/static/' in each or 'type="application/json"' in each, (where, each)
        seen += MARK in answer.text
    assert seen > 10
    house.close()
