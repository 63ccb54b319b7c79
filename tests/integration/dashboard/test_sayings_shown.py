"""What is said elsewhere than in actions, too: at the door, in alerts, of attribs, entries and plugins."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from house_of_a_test import House
from pydantic import AfterValidator, Field
from rig import Rig, add_jobs, change
from site_of_a_test import Page, Site
from test_safety import CREDENTIALS, READ, bearer
from test_sayings import CHINESE, english
from test_steering import ENTRIES, supervise

from jobman_cli.core.jobtype import job
from jobman_cli.dashboard import access, live
from jobman_cli.dashboard.languages import said_in
from jobman_cli.dashboard.pages import queues
from jobman_cli.dashboard.sayings import SAYINGS
from jobman_cli.hooks import PluginInfo
from jobman_cli.operations import alerts
from jobman_cli.operations.reconcile import Rebuilt
from jobman_cli.operations.schedule import Settled, entries_of
from jobman_cli.store.lifecycle.schedules import adopt_entries
from jobman_cli.store.queries import database_now
from jobman_cli.store.tables import SUPERVISORS

CHINESE_PLEASE = {"accept-language": "zh-TW"}


def small(number: int) -> int:
    if number > 9:
        raise ValueError("nine will do")
    return number


@job("paint")
def paint(
    what: str,
    day: date | None = None,
    colour: Literal["red", "blue", "green"] = "red",
    coats: Annotated[int, AfterValidator(small)] = 1,
    layers: Annotated[list[int], Field(min_length=1)] = [1],  # noqa: B006  # a job's default is read, never changed
    shop: dict[str, int] = {},  # noqa: B006
) -> None:
    """Paint a thing."""


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    house = House(sqlite_template, tmp_path, [paint], dashboard=CREDENTIALS, max_attribs_bytes=1000)
    yield house
    house.close()


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    rig.parts = replace(rig.parts, settings=replace(rig.parts.settings, schedule=ENTRIES))
    with Site(rig) as site:
        site.client.cookies.set("jobman_language", "zh-TW")
        yield site


def at_the_door(house: House) -> Iterator[tuple[int, Any]]:
    """Each way to be refused before a page is made."""
    client = house.client(headers=CHINESE_PLEASE)
    yield 400, client.get("/jobs", headers={"host": "evil.example"})
    yield 413, client.post("/login", content=b"a" * 80_000)
    yield 413, client.post("/login", content=iter([b"a" * 40_000] * 2))
    yield 403, client.post("/login", headers={"sec-fetch-site": "cross-site"})
    yield 401, client.get("/jobs")
    yield 403, client.post("/actions/retry", headers=bearer(READ))
    yield 405, client.put("/login")
    yield 500, client.get("/queues", headers=bearer(READ))
    yield 503, client.get("/live?topic=jobs", headers=bearer(READ))


def test_a_refusal_at_the_door_speaks_the_language(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "queue_states", None)
    monkeypatch.setattr(live, "MOST", 0)
    for status, answer in at_the_door(house):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert not english(answer.text.strip()), answer.text
        assert answer.headers["content-security-policy"] == access.HEADERS["Content-Security-Policy"]
    topic = house.client(headers={**CHINESE_PLEASE, **bearer(READ)}).get("/live?topic=x")
    assert "沒有主題 'x'" in html.unescape(topic.text)


def test_programs_are_answered_in_english(house: House) -> None:
    client = house.client(headers=CHINESE_PLEASE)
    for answer in (
        client.get("/api/jobs"),
        client.get("/api/jobs", headers={"host": "evil.example"}),
        client.get("/api/nothing", headers=bearer(READ)),
        client.get("/api/jobs/7", headers=bearer(READ)),
        client.get("/healthz"),
    ):
        assert not CHINESE.search(answer.text) and answer.text.isascii(), answer.text


def test_alerts_speak_the_language(rig: Rig, site: Site) -> None:
    parts = rig.parts
    now = rig.store.read(database_now)
    names = ("late", "served", "unserved")
    for queue in names:
        (job_id,) = add_jobs(rig.store, queue=queue)
        change(rig.store, job_id, queued_at=now - timedelta(hours=1))
    quiet = supervise(rig, "master", "quiet", "web-9")
    with rig.store.transaction() as connection:
        gone = now - timedelta(hours=1)
        connection.execute(SUPERVISORS.update().where(SUPERVISORS.c.uuid == quiet).values(heartbeat_at=gone))
    entries = entries_of(parts.settings)
    rig.store.run(adopt_entries, {"greet": "every 60"})
    alerts.note_overtaken(parts, 1234)
    alerts.note_settled(parts, entries["tidy"], Settled(now, left_out=now))
    alerts._raise_late(parts, entries["gone"], now)
    alerts.watch_over(parts)
    alerts.raise_alert(
        parts, "long-wait", "x", "the first job of queue 'a' has waited 99 s; the limit is 60 s"
    )
    shown = site.client.get("/").text.partition('class="alerts"')[2].partition("</section>")[0]
    told = [html.unescape(re.sub(r"<[^>]+>", "", each)) for each in re.findall(r"<li>(.*?)</li>", shown)]
    kinds = {row.kind for row in alerts.alerts(parts)}
    assert len(told) >= 8 and len(kinds) == 6, (told, kinds)
    assert not any(english(re.sub(r"每 |every \d+", "", each)) for each in told), told
    alerts.note_rebuilt(parts, Rebuilt(1234, True))
    again = html.unescape(site.client.get("/").text)
    assert "佇列不一致 佇列遺失或被取代；已重新推送 1,234 列排隊中的資料" in re.sub(r"<[^>]+>", "", again)
    assert "queued rows" in " ".join(row.message for row in alerts.alerts(parts)), "rows keep English"


def wrong_of(page: str) -> list[str]:
    found = re.findall(r'<p class="wrong"[^>]*>([^<]*)</p>', page)
    said = re.search(r'<div class="said bad".*?</div>', page, re.DOTALL)
    return [html.unescape(each) for each in [*found, *re.findall(r"<p>([^<]*)</p>", said[0] if said else "")]]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"attrib.what": ""}, "此欄必填"),
        ({"attrib.day": "x"}, "輸入應為日期或日期時間（輸入太短）"),
        ({"attrib.colour": '"black"'}, "輸入應為 'red', 'blue' 或 'green'"),
        ({"attrib.layers": "[]"}, "清單驗證後至少要有 1 個項目，目前為 0"),
        ({"attrib.layers": '[1, "x"]'}, "layers[1]：輸入應為整數"),
        ({"attrib.shop": '{"a": 1.5}'}, "shop.a：輸入應為整數，不能有小數"),
        ({"attrib.what": "a" * 2000}, "參數佔"),
        ({"attrib.shop": "[" * 40 + "]" * 40}, "巢狀超過 31 層"),
    ],
)
def test_attribs_that_do_not_fit(house: House, typed: dict[str, str], said: str) -> None:
    given = {"attrib.what": "wall", "attrib.coats": "1", "attrib.colour": '"red"', **typed}
    answer = house.client(headers={**CHINESE_PLEASE, **bearer(CREDENTIALS["token"])}).post(
        "/types/paint", data=given
    )
    assert answer.status_code == 400
    wrong = wrong_of(answer.text)
    assert any(said in each for each in wrong), wrong
    assert not any(map(english, wrong)), wrong


def test_what_a_validator_of_the_job_says_stays_its_own(house: House) -> None:
    client = house.client(headers={**CHINESE_PLEASE, **bearer(CREDENTIALS["token"])})
    answer = client.post("/types/paint", data={"attrib.what": "wall", "attrib.coats": "10"})
    assert "值不正確：nine will do" in wrong_of(answer.text)


def test_the_schedule_says_what_is_wrong_and_what_came_of_it(rig: Rig, site: Site) -> None:
    site.client.post("/actions/run-schedule", data={"name": "tidy"})
    wanted = {"every": 60.0, "timezone": "UTC"}
    entries = (
        *ENTRIES,
        {"name": "unfit", **wanted, "job": "hello", "attribs": {"name": 7, "nmae": "x"}},
        {"name": "odd", **wanted, "operation": "prnue"},
        {"name": "open", **wanted, "operation": "prune", "options": {"dyas": 1}},
        {"name": "many", **wanted, "operation": "prune", "options": {"days": -1}},
        {"name": "few", **wanted, "operation": "flush"},
    )
    rig.parts = replace(rig.parts, settings=replace(rig.parts.settings, schedule=entries))
    with Site(rig) as other:
        page = other.client.get("/schedule", headers=CHINESE_PLEASE).text
    reasons = [html.unescape(each) for each in re.findall(r'<small class="reason">([^<]*)</small>', page)]
    assert len(reasons) == 7, reasons
    assert not any(map(english, reasons)), reasons


def test_plugins_and_their_remedies(sqlite_template: Path, tmp_path: Path) -> None:
    from jobman_cli.hooks.loader import load_registry

    (tmp_path / "zh_broken.py").write_text("import no_such_thing\n")
    (tmp_path / "zh_twice.py").write_text("from jobman_cli import job\n\n@job('a b')\ndef a(): ...\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        names = ("zh_broken", "zh_twice", "zh_nothing")
        found = load_registry(["halo", "jobman-hello"], names, {"helo": {"tries": 1}}, tmp_path)
    infos = [*found.plugins, PluginInfo("idle", "jobman-idle", "1", "available", None, idle_hint())]
    house = House(sqlite_template, tmp_path, [paint], infos)
    house.jobman.registry.warnings = found.warnings
    text = house.client(headers=CHINESE_PLEASE).get("/plugins").text
    text = re.sub(r"<code>.*?</code>", "", text)
    remedies = [row[4] for row in Page(text).rows[1:] if len(row) == 5 and row[4]]
    warned = re.findall(r'<p class="said bad">([^<]*)</p>', text)
    assert len(remedies) >= 6 and len(warned) == 1
    own = re.compile(r"No module named|ModuleNotFoundError|\([^()]*\.py:\d+\)")  # Python's
    for each in (*remedies, *warned):
        assert not english(own.sub("", html.unescape(each))), each
    house.close()


def idle_hint() -> str:
    return "To use it, add idle to `plugins:` in the configuration."


def test_the_audit_says_what_the_api_did(rig: Rig, site: Site) -> None:
    client = site.client
    made = client.post("/api/jobs", json={"type": "hello", "attribs": {"name": "Ada"}}).json()["id"]
    for path in ("retry", "requeue", "delete", "cancel", "cancel", "requeue", "cancel", "delete"):
        client.post(f"/api/jobs/{made}/{path}")
    for path in ("pause", "continue", "continue"):
        client.post(f"/api/queues/default/{path}", json={})
    client.post("/api/failed/retry", json={})
    for name in ("greet", "tidy", "gone", "nothing"):
        client.post(f"/api/schedule/{name}/run")
    client.post("/api/supervisors/no-such/pause")
    rows = Page(client.get("/audit").text).rows[1:]
    assert len(rows) == 18, [row[3] for row in rows]
    assert not any(english(f"{row[3]} {row[5]}") for row in rows), rows


def test_no_text_keeps_a_translator_busy() -> None:
    """A text that nearly is a saying, as often as it can be, costs no more than any other."""
    places = re.compile(r"%\(\w+\)s")
    begun, number = time.perf_counter(), 0
    for saying in filter(places.search, SAYINGS):
        begin, *between, end = places.split(saying)
        for word in between or [begin]:
            for text in (begin + 2000 * word + end, begin + 300 * word + "!", "; ".join([begin + word] * 24)):
                said_in("zh-TW", text[:4000])
                number += 1
    for text in (": " * 1900, "; " * 1900, "job type x: " * 300, "a: b: c; " * 24):
        said_in("zh-TW", text)
    assert number > 700
    assert time.perf_counter() - begun < 20, "of seconds; it takes less than one"


def test_times_are_not_taken_for_sayings() -> None:
    at = datetime(2030, 1, 31, tzinfo=UTC).isoformat()
    assert said_in("zh-TW", at) == at
    for text in (
        "ValueError: could not: x",
        "tidy: completed: done",
        "a: b: c",
        "Foo should have at least 3 x",
    ):
        assert said_in("zh-TW", text) in (text, "tidy：已完成：done")
        assert said_in("en", text) == text
