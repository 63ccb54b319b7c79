"""Pages that keep themselves new, and leave alone what a person does there."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page, expect
from site_of_jobs import Site

from jobman_cli.operations.journal import audit

Visit = Callable[..., Page]


def note(site: Site, action: str) -> None:
    audit(site.jobman.records, actor="ada", address="::1", action=action, details={"id": "1"})


def test_a_change_appears_by_itself_and_only_there(site: Site, visit: Visit) -> None:
    note(site, "first")
    page = visit("/audit")
    first = page.get_by_role("row", name="first")
    first.evaluate("row => { row.mark = 'the same node' }")
    page.locator("#search").fill("half typed")
    page.evaluate("window.untouched = document.querySelector('h1')")
    note(site, "second")
    expect(page.get_by_role("row", name="second")).to_be_visible()
    assert first.evaluate("row => row.mark") == "the same node"
    assert page.evaluate("window.untouched.isConnected")
    expect(page.locator("#search")).to_have_value("half typed")
    expect(page.locator("#search")).to_be_focused()


def test_what_happened_before_the_stream_was_open_is_seen(site: Site, visit: Visit) -> None:
    note(site, "first")
    page = visit("about:blank")
    page.route("**/live?*", lambda route: (note(site, "between"), route.continue_()))
    page.goto("/audit")
    expect(page.get_by_role("row", name="between")).to_be_visible()


def test_a_page_has_one_stream_also_when_its_answer_takes_a_while(site: Site, visit: Visit) -> None:
    page = visit("about:blank")
    opened: list[str] = []
    page.route(
        "**/live?*", lambda route: (opened.append(route.request.url), time.sleep(0.3), route.continue_())
    )
    page.goto("/audit")
    page.wait_for_timeout(2000)
    assert len(opened) == 1
    switch = page.get_by_role("button", name="Live")
    with page.expect_event("requestfailed", lambda request: "/live?" in request.url):
        switch.click()
    with page.expect_request("**/live?*"):
        switch.click()
    page.wait_for_timeout(1000)
    assert len(opened) == 2


def test_the_switch_stops_and_resumes_and_is_remembered(site: Site, visit: Visit) -> None:
    note(site, "first")
    page = visit("/audit")
    switch = page.get_by_role("button", name="Live")
    expect(switch).to_have_attribute("aria-pressed", "true")
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "false")
    note(site, "second")
    page.wait_for_timeout(2500)  # longer than a look and a fetch
    expect(page.get_by_role("row", name="second")).to_have_count(0)
    page.reload()
    expect(switch).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("row", name="second")).to_be_visible()
    note(site, "third")
    page.wait_for_timeout(2500)
    expect(page.get_by_role("row", name="third")).to_have_count(0)
    switch.click()
    expect(page.get_by_role("row", name="third")).to_be_visible()


def test_a_text_that_is_selected_stays_until_it_is_let_go(site: Site, visit: Visit) -> None:
    note(site, "first")
    page = visit("/audit")
    page.wait_for_timeout(1500)  # the catching up after the stream was opened
    page.get_by_role("row", name="first").locator("code").select_text()
    note(site, "second")
    page.wait_for_timeout(2500)
    assert page.evaluate("getSelection().toString().trim()") == "id=1"
    expect(page.get_by_role("row", name="second")).to_have_count(0)
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.get_by_role("row", name="second")).to_be_visible()


def test_a_hidden_tab_closes_its_stream_and_catches_up(site: Site, visit: Visit) -> None:
    note(site, "first")
    page = visit("/audit")
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    asked: list[str] = []
    page.wait_for_timeout(1500)
    with page.expect_event("requestfailed", lambda request: "/live?" in request.url):
        page.evaluate(hide, True)
    page.on("request", lambda request: asked.append(request.url))
    note(site, "second")
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate(hide, False)
    expect(page.get_by_role("row", name="second")).to_be_visible()
