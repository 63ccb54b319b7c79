"""Charts: drawn from the page's own numbers, drawn on when it is refreshed, readable without a drawing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect
from site_of_jobs import Site

from jobman_cli.store.lifecycle.metrics import Count, add_counts
from jobman_cli.store.queries import database_now

Visit = Callable[..., Page]
TOP = "chart => Math.max(...JSON.parse(chart.querySelector('script').textContent).series[1])"


def count(site: Site, number: int) -> None:
    """So many more jobs in each of the last ten whole minutes."""
    database = site.jobman.records.database
    now = int(database.read(database_now).timestamp()) // 60 * 60
    one = Count(completed=number)
    database.run(add_counts, {(now - 60 * ago, "hello", "default"): one for ago in range(1, 11)})


def test_a_chart_is_drawn_and_goes_on(site: Site, visit: Visit) -> None:
    count(site, 10)
    page = visit("/")
    chart = page.locator("#chart-throughput")
    canvas = chart.locator("canvas")
    expect(canvas).to_have_count(1)
    expect(chart.locator(".plot > svg")).to_have_count(0)
    canvas.evaluate("canvas => { window.first = canvas; window.before = canvas.toDataURL() }")
    assert chart.evaluate(TOP) == 10
    count(site, 30)
    expect(chart.locator("figcaption")).to_contain_text("highest 40")
    assert chart.evaluate(TOP) == 40
    page.wait_for_function("window.first.toDataURL() !== window.before")
    assert page.evaluate("window.first.isConnected"), "the same drawing, with other numbers"


def test_the_table_says_the_same_and_stays_open(site: Site, visit: Visit) -> None:
    count(site, 10)
    page = visit("/metrics")
    chart = page.locator("#chart-throughput")
    chart.get_by_text("As a table").click()
    cell = chart.get_by_role("cell", name="10", exact=True)
    expect(cell.first).to_be_visible()
    count(site, 5)
    expect(chart.get_by_role("cell", name="15", exact=True).first).to_be_visible()


def test_times_are_the_viewers_in_their_language(site: Site, visit: Visit) -> None:
    count(site, 10)
    page = visit("/", locale="zh-TW", timezone_id="Asia/Taipei")
    chart = page.locator("#chart-throughput")
    expect(chart.locator("canvas")).to_have_count(1)
    expect(chart.locator(".u-legend")).to_contain_text("時間")
    latest = (
        "() => JSON.parse(document.querySelector('#chart-throughput script').textContent).series[0].at(-1)"
    )
    seconds = page.evaluate(latest)
    box = chart.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 40)
    there = datetime.fromtimestamp(seconds, ZoneInfo("Asia/Taipei"))
    expect(chart.locator(".u-legend")).to_contain_text(f"{there:%H:%M}")


def test_without_scripts_the_server_draws(site: Site, visit: Visit) -> None:
    count(site, 10)
    page = visit("/", java_script_enabled=False)
    expect(page.locator("#chart-throughput .plot > svg")).to_be_visible()
