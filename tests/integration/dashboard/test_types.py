"""Job types and the form made of a signature; plugins, and the pages they bring."""

from __future__ import annotations

import datetime
import enum
import html
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from house_of_a_test import House
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from site_of_a_test import Page

from jobman_cli.core.context import Context
from jobman_cli.core.jobtype import job
from jobman_cli.dashboard import forms
from jobman_cli.hooks import PluginInfo
from jobman_cli.hooks.registry import PluginHook
from jobman_cli.operations.look import show


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    street: str
    number: int = 1


@job("paint", queue="studio", tries=3, tags=["art"])
def paint(
    ctx: Context,
    what: str,
    address: Address,
    day: datetime.date,
    colour: Colour = Colour.BLUE,
    coats: Annotated[int, Field(ge=1, le=9)] = 2,
    gloss: bool = True,
    share: float | None = None,
    size: Literal[1, 2] | None = None,
    note: str | None = None,
    title: str = "untitled",
    api_key: str = "hunter2",
    layers: list[int] = [1, 2],  # noqa: B006  # a job's default is read, never changed
) -> None:
    """Paint a thing.

    It takes <b>long</b>.

    Args:
        what: What is to be painted.
        coats: How often.
    """


@job("plain")
def plain(ctx: Context) -> None:
    """Do nothing."""


def broken_page(query: Any) -> str:
    raise ValueError("secret detail")


def pages_hook(jobman: Any, options: Any) -> list[Any]:
    """What pluggy gives: a list of the implementations' results."""

    def hello(query: Any) -> str:
        return f"<p id='brought'>{html.escape(jobman.settings.name)} {html.escape(query.get('q', ''))}</p>"

    return [
        [
            {"name": "hello", "title": "Hello <i>", "render": hello},
            {"name": "broken", "title": "Broken", "render": broken_page},
            {"name": "odd", "title": "Odd", "render": lambda query: b"bytes"},
            {"name": "bad/name", "title": "No", "render": hello},
        ]
    ]


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    infos = [
        PluginInfo("greeter", "jobman-greeter", "1.2", "loaded", job_types=("plain",)),
        PluginInfo("wreck", "jobman-wreck", "0.1", "broken", "ImportError: no such", "Repair <it>."),
        PluginInfo("idle", "jobman-idle", "2", "available", hint="Add idle."),
    ]
    hooks = {"jobman_dashboard_pages": (PluginHook("greeter", pages_hook),)}
    house = House(sqlite_template, tmp_path, [paint, plain], infos, hooks)
    yield house
    house.close()


TYPED = {
    "attrib.what": "a wall",
    "attrib.address": '{"street": "Elm"}',
    "attrib.day": "2030-01-31",
    "attrib.colour": '"red"',
    "attrib.coats": "3",
    "attrib.gloss": "",
    "attrib.share": "",
    "attrib.size": "",
    "attrib.note": "",
    "attrib.title": "",
    "attrib.api_key": "pssst",
    "attrib.layers": "",
}


def test_the_list_and_one_type(house: House) -> None:
    page = Page(house.client().get("/types").text)
    assert [row[0] for row in page.rows[1:]] == ["paint", "plain"]
    answer = house.client().get("/types/paint")
    assert "It takes &lt;b&gt;long&lt;/b&gt;." in answer.text and "<b>long" not in answer.text
    for said in ("What is to be painted.", "studio", "JSON Schema", "(required)"):
        assert said in answer.text
    assert "hunter2" not in answer.text.partition("JSON Schema")[0]
    assert house.client().get("/types/nothing").status_code == 404
    assert "Dispatch" in house.client().get("/types/plain").text


def test_fields_are_made_of_the_signature() -> None:
    fields = {each.name: each for each in forms.fields_of(paint.json_schema(), ["*key*"])}
    kinds = {name: each.kind for name, each in fields.items()}
    assert kinds == {
        "what": "text",
        "address": "json",
        "day": "date",
        "colour": "select",
        "coats": "number",
        "gloss": "checkbox",
        "share": "number",
        "size": "select",
        "note": "text",
        "title": "text",
        "api_key": "password",
        "layers": "json",
    }
    assert [name for name, each in fields.items() if each.required] == ["what", "address", "day"]
    assert fields["coats"].limits == {"min": 1, "max": 9, "step": 1} and fields["coats"].value == "2"
    assert fields["colour"].choices == [('"red"', "red"), ('"blue"', "blue")]
    assert fields["colour"].value == '"blue"' and fields["gloss"].value == "on"
    assert fields["api_key"].value == "" and fields["layers"].value == "[\n  1,\n  2\n]"
    assert fields["size"].nullable and not fields["coats"].nullable


def test_a_secret_that_is_left_empty_keeps_its_default(house: House) -> None:
    assert house.client().post("/types/paint", data={**TYPED, "attrib.api_key": ""}).status_code == 303
    assert show(house.jobman.records, 1).attribs["api_key"] == "hunter2"


def test_what_stands_in_the_form_is_what_the_defaults_are() -> None:
    fields = forms.fields_of(paint.json_schema())
    given = {each.input: each.value for each in fields} | {
        "attrib.what": "x",
        "attrib.address": '{"street": "Elm"}',
        "attrib.day": "2030-01-31",
    }
    attribs, wrong = forms.read(fields, given)
    assert not wrong
    least = {"what": "x", "address": {"street": "Elm"}, "day": "2030-01-31"}
    assert paint.validate(attribs) == paint.validate(least)


def test_a_job_is_dispatched_from_the_form(house: House) -> None:
    client = house.client()
    more = {"queue": "q", "priority": "-5", "delay": "30s", "tags": "a, b c"}
    answer = client.post("/types/paint", data={**TYPED, **more})
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/1")
    assert "is dispatched" in client.get("/jobs/1").text
    row = show(house.jobman.records, 1)
    assert row.attribs == {
        "what": "a wall",
        "address": {"street": "Elm", "number": 1},
        "day": "2030-01-31",
        "colour": "red",
        "coats": 3,
        "gloss": False,
        "share": None,
        "size": None,
        "note": None,
        "title": "",
        "api_key": "pssst",
        "layers": [1, 2],
    }
    assert (row.queue, row.priority, row.status, row.tags) == ("q", -5, "scheduled", ["a", "b c"])
    entry = house.audit()[0]
    assert (entry.action, entry.outcome, entry.number) == ("dispatch", "done", 1)
    assert entry.details == {"type": "paint", **more}


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"attrib.what": ""}, "attrib-what", "Field required"),
        ({"attrib.address": "{"}, "attrib-address", "This is no JSON."),
        ({"attrib.address": "{}"}, "attrib-address", "street"),
        ({"attrib.coats": "x"}, "attrib-coats", "This is no number."),
        ({"attrib.coats": "10"}, "attrib-coats", "less than or equal to 9"),
        ({"attrib.colour": '"green"'}, "attrib-colour", "red"),
        ({"attrib.day": "soon"}, "attrib-day", "date"),
        ({"attrib.layers": "NaN"}, "attrib-layers", "This is no JSON."),
        ({"queue": "a b"}, "option-queue", "no queue name"),
        ({"priority": "high"}, "option-priority", "no whole number"),
        ({"priority": "1001"}, "option-priority", "out of bounds"),
        ({"delay": "soon"}, "option-delay", "no duration"),
        ({"tags": "x" * 101}, "option-tags", "no tag"),
    ],
)
def test_what_is_wrong_is_said_beside_it(house: House, change: dict[str, str], place: str, said: str) -> None:
    answer = house.client().post("/types/paint", data={**TYPED, **change})
    assert answer.status_code == 400
    beside = answer.text.partition(f'id="{place}-wrong">')[2].partition("</p>")[0]
    assert said in html.unescape(beside), answer.text
    assert f"{place}-wrong" in answer.text.partition("aria-describedby")[2]
    kept = html.unescape(answer.text)
    for name, text in {**TYPED, **change}.items():
        assert text in kept or name in ("attrib.api_key", "attrib.colour"), name
    assert "pssst" not in kept
    assert house.client().get("/api/jobs").json() == []


TEXT = st.text(max_size=20) | st.sampled_from(["1", "null", "{}", '"red"', "[" * 5000, "1e999", "2030-01-31"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.dictionaries(st.sampled_from([*TYPED, "queue", "priority", "delay", "tags"]), TEXT))
def test_nothing_that_is_typed_breaks_it(house: House, typed: dict[str, str]) -> None:
    typed = {name: text.encode("utf-8", "replace").decode() for name, text in typed.items()}
    answer = house.client().post("/types/paint", data={**TYPED, **typed})
    assert answer.status_code in (303, 400), answer.text


def test_who_may_only_look_sees_no_form(sqlite_template: Path, tmp_path: Path) -> None:
    house = House(sqlite_template, tmp_path, [paint], dashboard={"read_only": True})
    main = house.client().get("/types/paint").text.partition("<main")[2].partition("</main>")[0]
    assert "<h1>paint</h1>" in main and "<form" not in main
    assert house.client().post("/types/paint", data=TYPED).status_code == 403
    house.close()


def test_plugins_and_their_remedies(house: House) -> None:
    answer = house.client().get("/plugins")
    page = Page(answer.text)
    states = [row[:2] for row in page.rows[1:]]
    assert states == [["greeter", "loaded"], ["wreck", "broken"], ["idle", "available"]]
    assert "ImportError: no such Repair <it>." in page.words and "Add idle." in page.words
    assert page.links["plain"] == "/types/plain"


def test_a_plugin_brings_a_page(house: House) -> None:
    client = house.client()
    answer = client.get("/plugins/greeter/hello", params={"q": "<script>"})
    assert "<p id='brought'>jobman &lt;script&gt;</p>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<h1>Hello &lt;i&gt;</h1>" in answer.text and 'aria-current="page">Hello &lt;i&gt;' in answer.text
    assert Page(client.get("/audit").text).links["Hello <i>"] == "/plugins/greeter/hello"
    assert client.get("/plugins/greeter/bad/name").status_code == 404
    assert client.get("/plugins/greeter/other").status_code == 404


@pytest.mark.parametrize("name", ["broken", "odd"])
def test_a_page_that_fails_is_told_with_its_plugin(
    house: House, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "jobman.dashboard"):
        answer = house.client().get(f"/plugins/greeter/{name}")
    assert answer.status_code == 500
    words = Page(answer.text).words
    assert "plugin 'greeter'" in words and "log" in words and "secret detail" not in words
    assert "failed" in caplog.text
    assert house.client().get("/plugins/greeter/hello").status_code == 200
