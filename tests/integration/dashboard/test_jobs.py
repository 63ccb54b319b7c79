"""The pages of jobs, failed jobs and tags, and what can be done there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import Rig, add_jobs, attempts_of, change, failed_rows, statuses
from site_of_a_test import Site

from jobman_cli.operations import paging
from jobman_cli.operations.metrics import tag_counts


def fail(rig: Rig, number: int = 1) -> list[int]:
    ids = [rig.dispatch("give_up") for _ in range(number)]
    rig.worker().drain()
    return ids


def ids_of(rows: list[list[str]]) -> list[int]:
    return [int(row[0]) for row in rows if row and row[0].isdigit()]


def test_the_list_is_searched_by_address(rig: Rig, site: Site) -> None:
    hello, mail = rig.dispatch("hello", tags=["a b"]), rig.dispatch("noop", queue="mail")
    failed = fail(rig)[0]
    assert ids_of(site.get("/jobs").rows) == [failed, mail, hello]
    for q, expected in {
        "status:failed": [failed],
        "status:completed,queued": [mail, hello],
        "type:hello": [hello],
        "queue:mail": [mail],
        'tag:"a b"': [hello],
        f"id:{mail}": [mail],
        f"before:{failed} since:1h": [mail, hello],
        "until:1h": [],
        "no HOPE": [failed],
        'error:"no hope" type:hello': [],
    }.items():
        page = site.get("/jobs", q=q)
        assert ids_of(page.rows) == expected, q
        if not expected:
            assert "No job matches." in page.words


def test_links_narrow_the_search(rig: Rig, site: Site) -> None:
    hello, other = rig.dispatch("hello", tags=["x"]), rig.dispatch("noop")
    page = site.get("/jobs", q="status:queued")
    assert ids_of(site.get(page.links["hello"]).rows) == [hello]
    assert ids_of(site.get(page.links["x"]).rows) == [hello]
    assert ids_of(site.get(page.links["all"]).rows) == [other, hello]
    assert "status%3Aqueued" in page.links["hello"]
    assert "queued 2" in page.links and "failed 0" in page.links


@pytest.mark.parametrize(
    "q",
    [
        "status:odd",
        "type:",
        "id:0",
        "id:9999999999999999999",
        "since:yesterdayish",
        'error:"open',
        "stauts:failed",
    ],
)
def test_a_search_that_makes_no_sense_is_explained(site: Site, q: str) -> None:
    page = site.get("/jobs", 400, q=q)
    assert "such as" in page.words or "Use " in page.words or "Close it" in page.words
    assert site.client.get("/jobs", params={"q": q}).text.count("Traceback") == 0


@pytest.mark.parametrize("path", ["/jobs", "/failed", "/audit"])
@pytest.mark.parametrize("cursor", ["-1", "²", "9" * 5000, "1e3", "99999999999999999999"])
def test_a_cursor_that_is_no_id_is_refused(site: Site, path: str, cursor: str) -> None:
    site.get(path, 400, before=cursor)


@pytest.mark.parametrize("given", ["0", "x", "99999999999999999999", "1.5", "-1"])
def test_no_such_job(site: Site, given: str) -> None:
    assert "there is no job" in site.get(f"/jobs/{given}", 404).words


def test_pages_go_both_ways_and_keep_the_search(rig: Rig, site: Site) -> None:
    ids = sorted(add_jobs(rig.store, 120), reverse=True)
    first = site.get("/jobs", q="type:noop")
    assert ids_of(first.rows) == ids[:50] and "Newer" not in first.links
    second = site.get(first.links["Older"])
    assert ids_of(second.rows) == ids[50:100]
    third = site.get(second.links["Older"])
    assert ids_of(third.rows) == ids[100:] and "Older" not in third.links
    assert ids_of(site.get(third.links["Newer"]).rows) == ids[50:100]
    assert ids_of(site.get(second.links["Newer"]).rows) == ids[:50]
    assert all("type%3Anoop" in page.links["Newest"] for page in (second, third))


def test_a_search_that_takes_too_long_says_how_far_it_came(
    rig: Rig, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add_jobs(rig.store, 300)
    change(rig.store, ids[0], status="failed", error_message="needle")
    monkeypatch.setattr(paging.Stride.__init__, "__defaults__", (100, 100, 0.03))
    monkeypatch.setattr(paging, "PAGE_TIME", 0.0)
    page, seen = site.get("/jobs", q="needle"), 1
    assert "The last 100 rows were looked at so far. None of them matches." in page.words
    while "Search on" in page.links:
        page, seen = site.get(page.links["Search on"]), seen + 1
    assert ids_of(page.rows) == [ids[0]] and seen == 3


def test_retry_keeps_the_search_and_is_written_down(rig: Rig, site: Site) -> None:
    job_id = fail(rig)[0]
    page = site.get("/jobs", q="status:failed,queued")
    after = site.press(page, "Retry")
    assert f"Job {job_id} runs again." in after.words
    assert ids_of(after.rows) == [job_id] and "Cancel" in after.forms
    assert statuses(rig.store, [job_id]) == ["queued"] and not failed_rows(rig.store, job_id)
    assert f"nothing to do: job {job_id} is queued" in site.press(page, "Retry").words
    assert site.audit() == [("retry", "refused", 0), ("retry", "done", 1)]


def test_retry_after_the_failure_was_forgotten(rig: Rig, site: Site) -> None:
    job_id = fail(rig)[0]
    assert "off the list" in site.press(site.get("/failed"), "Forget").words
    assert not failed_rows(rig.store, job_id) and statuses(rig.store, [job_id]) == ["failed"]
    assert "No job has failed" in site.get("/failed").words
    site.press(site.get(f"/jobs/{job_id}"), "Retry")
    assert statuses(rig.store, [job_id]) == ["queued"]


def test_retry_all_says_the_number_first(rig: Rig, site: Site) -> None:
    add_jobs(rig.store, 40)
    ids = fail(rig, 3)
    other = rig.dispatch("again")
    rig.worker().drain()
    change(rig.store, other, status="failed")
    page = site.get("/failed", q="type:give_up no hope")
    question = site.get(page.links["Retry all that match …"])
    assert "Retry 3 failed jobs" in question.words
    assert f"The first ones: {' , '.join(map(str, ids))}" in question.words
    assert statuses(rig.store, ids) == ["failed"] * 3
    after = site.press(question, "Retry them")
    assert "3 failed jobs retried." in after.words and "No failed job matches." in after.words
    assert statuses(rig.store, [*ids, other]) == ["queued"] * 3 + ["failed"]
    assert site.audit() == [("retry-all", "done", 3)]


def test_failed_jobs_are_searched(rig: Rig, site: Site) -> None:
    ids = fail(rig, 2)
    assert ids_of(site.get("/failed", q="type:give_up hope").rows) == ids[::-1]
    assert ids_of(site.get("/failed", q="queue:mail").rows) == []
    assert "cannot be asked for here" in site.get("/failed", 400, q="status:failed").words


def test_cancel(rig: Rig, site: Site) -> None:
    job_id = rig.dispatch("noop")
    assert f"Job {job_id} is cancelled." in site.press(site.get(f"/jobs/{job_id}"), "Cancel").words
    assert statuses(rig.store, [job_id]) == ["cancelled"]
    running = rig.dispatch("noop")
    change(rig.store, running, status="running")
    after = site.press(site.get(f"/jobs/{running}"), "Cancel")
    assert "was asked to stop" in after.words and "Cancel" not in after.forms


def test_requeue_one_and_all_that_match(rig: Rig, site: Site) -> None:
    done = [rig.dispatch("hello") for _ in range(2)]
    rig.worker().drain()
    waiting = rig.dispatch("hello")
    site.press(site.get(f"/jobs/{done[0]}"), "Run again")
    assert statuses(rig.store, done) == ["queued", "completed"]
    page = site.get("/jobs", q="type:hello")
    question = site.get(page.links["Run all that match again …"])
    assert "Run 1 finished job again" in question.words
    site.press(question, "Run them again")
    assert statuses(rig.store, [*done, waiting]) == ["queued"] * 3
    assert site.audit()[0] == ("requeue-all", "done", 1)


@pytest.mark.parametrize("q", ["", "status:queued"])
def test_not_everything_is_requeued_at_once(rig: Rig, site: Site, q: str) -> None:
    rig.dispatch("hello")
    rig.worker().drain()
    assert "only finished jobs" in site.get("/confirm/requeue-all", 400, q=q).words
    site.client.post("/actions/requeue-all", data={"q": q})
    assert site.audit() == [("requeue-all", "refused", 0)]


def test_silenced_jobs_are_left_out_of_the_list_and_of_what_is_done_to_it(rig: Rig, site: Site) -> None:
    hello, noop = rig.dispatch("hello"), rig.dispatch("noop")
    rig.worker().drain()
    desk = site.app.state.desk
    vars(desk.jobman)["settings"] = replace(desk.jobman.settings, silenced=("noop",))
    vars(desk.jobman).pop("records", None)
    page = site.get("/jobs", q="queue:default")
    assert ids_of(page.rows) == [hello] and "silenced are left out" in page.words
    site.press(site.get(page.links["Run all that match again …"]), "Run them again")
    assert statuses(rig.store, [hello, noop]) == ["queued", "completed"]
    for q in ("type:noop", f"id:{noop}"):
        shown = site.get("/jobs", q=q)
        assert ids_of(shown.rows) == [noop] and "left out" not in shown.words


def test_delete_asks_and_takes_all_that_belongs_to_it(rig: Rig, site: Site) -> None:
    job_id, other = fail(rig, 2)
    question = site.get(site.get(f"/jobs/{job_id}").links["Delete …"])
    assert "cannot be brought back" in question.words
    after = site.press(question, "Delete it")
    assert f"Job {job_id} is deleted." in after.words and ids_of(after.rows) == [other]
    assert not attempts_of(rig.store, job_id) and not failed_rows(rig.store, job_id)
    waiting = rig.dispatch("noop")
    site.client.post("/actions/delete", data={"id": waiting})
    assert statuses(rig.store, [waiting]) == ["queued"]
    assert site.audit() == [("delete", "refused", 0), ("delete", "done", 1)]


def test_one_job_in_full(rig: Rig, site: Site) -> None:
    job_id = rig.dispatch("hello", {"name": "Ada <b>"}, tags=["x y"])
    ahead = site.get(f"/jobs/{job_id}")
    assert "Place in the line the next" in ahead.words
    rig.worker().drain()
    page = site.get(f"/jobs/{job_id}")
    for words in ("Completed code greeted", '"name": "Ada <b>"', "hello Ada <b>", "1/2", "host, pid 1"):
        assert words in page.words, words
    assert ids_of(site.get(page.links["x y"]).rows) == [job_id]
    html = site.client.get(f"/jobs/{job_id}").text
    assert f'data-topic="job:{job_id}"' in html and "<b>" not in html and "style=" not in html


def test_secrets_are_masked(rig: Rig, site: Site) -> None:
    job_id = rig.dispatch("hello")
    change(rig.store, job_id, attribs={"db": {"Password": "hunter2"}, "name": "x"})
    html = site.client.get(f"/jobs/{job_id}").text
    assert "hunter2" not in html and "***" in html


def test_the_timeline_tells_each_round(rig: Rig, site: Site) -> None:
    job_id = fail(rig)[0]
    site.press(site.get(f"/jobs/{job_id}"), "Retry")
    page = site.get(f"/jobs/{job_id}")
    assert "It was run again after attempt 1 had failed" in page.words and "Fail: no hope" in page.words
    story = page.words.partition("Timeline")[2]
    assert story.index("dispatched") < story.index("fail attempt 1") < story.index("run again")
    rig.worker().drain()
    story = site.get(f"/jobs/{job_id}").words.partition("Timeline")[2]
    assert story.count("run again") == 1 and story.count("attempt 1") == 2 and story.count("Traceback") >= 2


def test_a_try_that_failed_is_no_round(rig: Rig, site: Site) -> None:
    job_id = rig.dispatch("boom")
    worker = rig.worker()
    worker.drain()
    words = site.get(f"/jobs/{job_id}").words
    assert "scheduled" in words and "error attempt 1" in words and "run again" not in words
    change(rig.store, job_id, status="queued")
    assert "run again" not in site.get(f"/jobs/{job_id}").words
    worker.drain()
    words = site.get(f"/jobs/{job_id}").words
    assert "error attempt 2" in words and "run again" not in words


def test_tags_are_monitored(rig: Rig, site: Site) -> None:
    job_id = rig.dispatch("hello", tags=["shop 12"])
    page = site.get("/tags")
    assert "No tag is monitored" in page.words
    page = site.press(page, "Monitor", tag="shop 12")
    assert "shop 12 is monitored." in page.words
    assert ids_of(site.get(page.links["shop 12"]).rows) == [job_id]
    assert ids_of(site.get(page.links["1"]).rows) == [job_id]
    site.press(page, "Monitor no more")
    assert tag_counts(rig.parts) == {}
    assert "a tag has 1 to 100" in site.press(site.get("/tags"), "Monitor", tag=" ").words


def test_those_who_may_not_act_see_no_buttons(rig: Rig) -> None:
    job_id = fail(rig)[0]
    with Site(rig, read_only=True) as site:
        for path in ("/jobs?q=status:failed", "/failed", "/tags", f"/jobs/{job_id}"):
            page = site.get(path)
            assert not {form[0] for form in page.forms.values()} & {f"/actions/{each}" for each in ACTIONS}
            assert not any("/confirm/" in link for link in page.links.values())
        assert site.client.post("/actions/retry", data={"id": job_id}).status_code == 403


ACTIONS = ("retry", "cancel", "requeue", "delete", "forget", "monitor", "unmonitor")


def test_the_way_back_leads_nowhere_else(rig: Rig, site: Site) -> None:
    job_id = fail(rig)[0]
    page = site.get("/confirm/delete", id=job_id, back="//evil.example/")
    assert page.links["Go back"] == "/"
