"""Messages, questions and errors that code makes in English are said in the visitor's language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from rig import Rig, add_jobs, change
from site_of_a_test import Site
from test_steering import ENTRIES, supervise

from jobman_cli.dashboard.actions import ACTIONS, QUESTIONS
from jobman_cli.dashboard.actions import supervisors as supervisor_actions
from jobman_cli.dashboard.languages import translations
from jobman_cli.dashboard.sayings import translated
from jobman_cli.operations.journal import audits

CHINESE = re.compile(r"[\u4e00-\u9fff]")
#: Two words in a row, outside of what is quoted as code.
ENGLISH = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")
CODE = re.compile(r"`[^`]*`|\w+:[\w,-]+( \w+:[\w,-]+)*")


class Shown(HTMLParser):
    """The texts that code made: said above the page, a question or fault, what to do, the button."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._tag, self._keep = "", False
        self.feed(html.partition('<main id="main"')[2].partition("</main>")[0])

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self._keep = tag == "h1" or tag == "title" or "said" in (given.get("class") or "")
        self._keep = self._keep or given.get("class") == "primary" or (tag == "p" and not given)

    def handle_data(self, data: str) -> None:
        if self._keep and data.strip():
            self.texts.append(" ".join(data.split()))

    def handle_endtag(self, tag: str) -> None:
        self._keep = False


def english(text: str) -> bool:
    """True for what nobody translated."""
    return not CHINESE.search(text) or bool(ENGLISH.search(CODE.sub("", text)))


@pytest.fixture
def site(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(supervisor_actions, "ANSWER", 0.1)
    rig.parts = replace(rig.parts, settings=replace(rig.parts.settings, schedule=ENTRIES))
    with Site(rig) as site:
        site.client.cookies.set("jobman_language", "zh-TW")
        yield site


@pytest.fixture
def fields(rig: Rig) -> dict[str, list[dict[str, str]]]:
    """What each action is asked, so that it does something, does nothing, and refuses."""
    done = add_jobs(rig.store, 2)
    for job in done:
        change(rig.store, job, status="completed")
    failed = [rig.dispatch("give_up") for _ in range(4)]
    rig.worker().drain()
    waiting = add_jobs(rig.store, 3)
    (running,) = add_jobs(rig.store)
    change(rig.store, running, status="running")
    one, _two = supervise(rig), supervise(rig, name="other", host="web-2")
    ids = [{"id": str(each)} for each in (waiting[0], running, 4711, "x")]
    tag = [{"tag": "a"}, {"tag": "a"}, {"tag": ""}, {"tag": "\x00"}]
    whom: list[dict[str, str]] = [{"supervisor": one}, {"host": "web-1"}, {}, {"host": "nowhere"}]
    whom.append({"host": "web-1", "supervisor": one})
    queue = [{"queue": "default"}, {"queue": "default"}, {"queue": "no*name"}]
    entry = [{"name": name} for name in ("greet", "greet", "tidy", "gret", "nothing", "gone")]
    asked = [
        {"q": text} for text in ("", "type:give_up", "type:none", "odd:", 'x "', "since:never", "status:x")
    ]
    return {
        "retry": [{"id": str(failed[0])}, *ids],
        "retry-all": [*asked, {"q": "stauts:x"}, {"q": "type:a type:b"}, {"q": "x" * 2000}],
        "cancel": ids,
        "requeue": [{"id": str(done[0])}, *ids],
        "requeue-all": [
            *asked,
            {"q": "status:completed"},
            {"q": "status:queued"},
            {"q": "since:1h until:2h"},
        ],
        "delete": [{"id": str(done[1])}, *ids],
        "forget": [{"id": str(failed[1])}, *ids],
        "pause-queue": [*queue, {"queue": "default", "for": "1h"}, {"queue": "default", "for": "no"}],
        "continue-queue": queue,
        "clear-queue": queue,
        "push-unqueued": [{}],
        "run-schedule": entry,
        "pause-schedule": entry,
        "continue-schedule": entry,
        "pause-supervisors": whom,
        "continue-supervisors": whom,
        "terminate-supervisors": whom,
        "monitor": tag,
        "unmonitor": tag,
    }


def test_no_action_and_no_question_speaks_english(
    rig: Rig, site: Site, fields: dict[str, list[dict[str, str]]]
) -> None:
    assert set(fields) == set(ACTIONS) | set(QUESTIONS), "say here what a new action is asked"
    seen: dict[str, list[str]] = {}
    for name in QUESTIONS:
        for given in fields[name]:
            answer = site.client.get(f"/confirm/{name}", params=given)
            seen[f"{name}? {given}"] = Shown(answer.text).texts
    for name in sorted(ACTIONS, key=lambda name: name in ("clear-queue", "requeue-all", "retry-all")):
        for given in fields[name]:
            answer = site.client.post(f"/actions/{name}", data={**given, "back": "/types"})
            assert answer.status_code == 200
            said = [text for text in Shown(answer.text).texts if text != "工作類型"]
            assert said, f"{name} said nothing"
            seen[f"{name}! {given}"] = said
    assert {each: texts for each, texts in seen.items() if any(map(english, texts))} == {}
    assert {row.action for row in audits(rig.parts, limit=1000)} == set(ACTIONS), "each is written down"
    assert {
        row.message for row in audits(rig.parts, limit=1000) if CHINESE.search(row.message or "")
    } == set()


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/jobs/x",
        "/jobs/4711",
        "/metrics?since=1",
        "/metrics?type=%20",
        "/plugins/a/b",
        "/types/hallo",
    ],
)
def test_faults_of_addresses_are_said_in_the_language(site: Site, path: str) -> None:
    texts = Shown(site.client.get(path).text).texts
    assert len(texts) >= 2
    assert not any(map(english, texts)), texts


def test_a_form_says_what_is_wrong_in_the_language(site: Site) -> None:
    for given in ({"priority": "x"}, {"priority": "9999"}, {"delay": "no"}, {"queue": "no*name"}):
        page = site.client.post("/types/hello", data={"attrib.name": "Ada", **given})
        assert page.status_code == 400
        wrong = re.findall(r'<p class="wrong"[^>]*>([^<]*)</p>', page.text)
        assert wrong and not any(map(english, wrong)), wrong


def test_what_is_no_saying_stays_as_it_is() -> None:
    say = translations("zh-TW").gettext
    for text in ("", "Ada", "a\nb", "<b>", "%(id)s", "x" * 10_000):
        assert translated(text, say) == text
    left = "2 failed jobs retried. Left alone, with the job that has its unique key: 5 (6), 7 (8)."
    assert not english(translated(left, say))
    assert translated("Job 7 runs again.", str) == "Job 7 runs again."
    assert translated("there is no job '%(id)s %s {0}'", say) == "沒有工作 '%(id)s %s {0}'"
