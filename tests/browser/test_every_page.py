"""Every page with something on it: WCAG 2.2 AA in light and dark, a telephone's width, and no complaints."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from processes import JobmanProcess, start_jobman
from site_of_jobs import Site

from jobman_cli.dashboard.pages import PAGES

#: What stands for the variable part of a path.
EXAMPLES = {"{id}": "job", "{name}": "hello"}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, int]]:
    """A site with jobs in every state, and one of them."""
    started: list[JobmanProcess] = []

    def start(*arguments: str | int, **options: object) -> JobmanProcess:
        started.append(start_jobman(*arguments, **options))
        return started[-1]

    site = Site(tmp_path_factory.mktemp("varied"), start)
    yield site, site.vary()
    site.close()
    for process in started:
        process.kill()


PATHS = [
    *(item.path for item in PAGES),
    "/jobs?q=status:nonsense",
    "/jobs?q=type:nothing",
    "/confirm/retry-all?back=/failed",
    "/nowhere",
    "/jobs/4",
    "/types/fragile",
]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, varied: tuple[Site, int]) -> str:
    return request.param.replace("{id}", str(varied[1])).replace("{name}", "hello")


def opened(browser: Browser, site: Site, path: str, **options: object) -> Iterator[Page]:
    """The page, and afterwards a failure if it had complaints."""
    faults: list[str] = []
    context = browser.new_context(base_url=site.address, **options)
    page = context.new_page()
    page.on("console", lambda said: said.type in ("error", "warning") and faults.append(said.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    answer = page.goto(path)
    page.wait_for_timeout(300)
    yield page
    context.close()
    if answer.status >= 400:  # the browser itself says so
        faults = [fault for fault in faults if "Failed to load resource" not in fault]
    assert answer.status < 500
    assert faults == []


@pytest.fixture(params=["light", "dark"])
def page(
    request: pytest.FixtureRequest, browser: Browser, varied: tuple[Site, int], path: str
) -> Iterator[Page]:
    yield from opened(browser, varied[0], path, color_scheme=request.param)


@pytest.fixture
def small(browser: Browser, varied: tuple[Site, int], path: str) -> Iterator[Page]:
    device = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True}
    yield from opened(browser, varied[0], path, **device)


def test_the_rules_of_wcag(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": TAGS})
    told = [
        f"{each['id']}: {node['html'][:200]}\n    {node['failureSummary'][:300]}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]
    assert not told, "\n".join(told)
    assert len(found.response["passes"]) > 15, "it did look"
    assert page.locator("h1").count() == 1


def test_no_page_is_wider_than_a_telephone(small: Page) -> None:
    assert small.evaluate("document.documentElement.scrollWidth") <= 375
    for entry in small.locator(".menu a[aria-current]").all():
        box = entry.bounding_box()
        assert box is not None and 0 <= box["x"] <= 375 - box["width"], "the menu shows where one is"
