"""The sweeps of the safety tests on the databases of servers: their queries, their errors, their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from house_of_a_test import House
from payloads import MARK, PAYLOADS, Structure
from test_api import ENTRIES, hello
from test_safety import (
    CREDENTIALS,
    LEAK,
    OPEN_TO_ALL,
    PUBLIC,
    READ,
    bearer,
    filled,
    state,
    sweep,
)
from test_safety_html import GROUPS, HARMLESS, Filled, check

from jobman_cli.dashboard import entrance
from jobman_cli.store.database import Database

SERVERS = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
#: What a search asks for, with anybody's text in its place.
SEARCHES = (
    "{}",
    'error:"{}"',
    'type:"{}"',
    'tag:"{}"',
    'status:failed "{}"',
    'tag:"{}" since:1h',
    "queue:{}",
)
#: What would mean something in the text of a query, beside the payloads.
WILD = (
    "%",
    "_",
    "\\",
    "100%_\\",
    "' OR 1=1 --",
    "'; DROP TABLE jobmans",
    "$1",
    ":id",
    "%(id)s",
    "?",
    "{a",
    "漢",
)


@pytest.fixture
def house(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(entrance, "PENALTY", 0)
    house = House(database_url, tmp_path, [hello], dashboard=CREDENTIALS, schedule=ENTRIES)
    house.fill(LEAK)
    yield house
    house.close()


@SERVERS
def test_strangers_see_and_do_nothing(house: House) -> None:
    before, client = state(house), house.client()
    for method, path, _ in sweep(house):
        if path in {public for _, public in PUBLIC} or path.startswith("/static"):
            continue
        answer = client.request(method, filled(path))
        assert answer.status_code in (303, 401, 403, 404, 405), (method, path, answer.status_code)
        assert LEAK not in answer.text, (method, path)
    assert state(house) == before


@SERVERS
def test_who_may_look_sees_all_and_changes_nothing(house: House) -> None:
    before, client = state(house), house.client(headers=bearer(READ))
    seen = 0
    for method, path, _ in sweep(house):
        if path in OPEN_TO_ALL or method in ("TRACE", "PROPFIND"):
            continue
        answer = client.request(method, filled(path))
        assert answer.status_code < 500, (method, path, answer.text)
        if method not in ("GET", "HEAD", "OPTIONS"):
            assert answer.status_code in (403, 405), (method, path)
        seen += LEAK in answer.text
    assert seen > 10
    assert state(house) == before


@pytest.fixture
def make_house(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> Iterator[Callable[..., Filled]]:
    """Houses, one after the other, in one database: what was in it is gone."""
    made: list[Filled] = []

    def make(texts: tuple[str, ...]) -> Filled:
        empty(database_url)
        made.append(Filled(database_url, tmp_path / str(len(made)), texts))
        return made[-1]

    yield make
    for house in made:
        house.close()


def empty(url: str) -> None:
    from jobman_cli.store.schema import upgrade
    from jobman_cli.store.tables import TABLES

    store = Database(url)
    upgrade(store)
    with store.transaction() as connection:
        for table in TABLES:
            connection.execute(table.delete())
    store.close()


@SERVERS
def test_rows_are_text_on_every_page(make_house: Callable[..., Filled]) -> None:
    group: Any = GROUPS[0]
    harmless = make_house((HARMLESS,) * len(group))
    usual = {path: harmless.client().get(path) for path in harmless.pages()}
    kinds = set().union(*(Structure(answer.text).kinds for answer in usual.values()))
    for group in GROUPS:
        house, seen = make_house(group), 0
        for path in house.pages():
            answer = house.client().get(path)
            assert answer.status_code == usual[path].status_code, (path, answer.text)
            if "text/html" in answer.headers.get("content-type", ""):
                check(answer.text, kinds, Structure(usual[path].text).scripts, path)
                seen += MARK in answer.text
        assert seen > 12, "the payloads came to no page"


@SERVERS
def test_a_search_takes_texts_for_texts(make_house: Callable[..., Filled]) -> None:
    house = make_house((HARMLESS,))
    before, client = state(house), house.client()
    for path in ("/jobs", "/failed", "/confirm/requeue-all", "/confirm/retry-all"):
        for search in SEARCHES:
            if path in ("/failed", "/confirm/retry-all") and ("tag:" in search or "status:" in search):
                continue
            for text in (*WILD, *PAYLOADS[::7]):
                quoted = text.replace("\\", "\\\\").replace('"', '\\"')
                answer = client.get(path, params={"q": search.format(quoted)})
                assert answer.status_code in (200, 400), (path, search, text, answer.text)
                if answer.status_code == 200 and path in ("/jobs", "/failed"):
                    assert "data-row" not in answer.text, (
                        search,
                        text,
                        "it matches a row that does not hold it",
                    )
    assert client.get("/jobs", params={"q": HARMLESS[:5]}).text.count("data-row") == 7
    assert state(house) == before
