"""A real Chromium, a real `jobman dashboard`, and real workers, all of the tests' own.

A page that says anything to the console, or breaks its content security policy, fails its test.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright
from processes import ROOT, JobmanProcess
from provision import give_up
from site_of_jobs import Site

expect.set_options(timeout=15_000)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def assets() -> None:
    """What the pages take from npm, built as `make frontend` does."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    hook: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    dashboard = ROOT / hook.DASHBOARD
    if not hook.is_built(dashboard):
        if shutil.which("npm") is None:
            give_up("npm is not here, so the dashboard's front end cannot be built")
        hook.build(dashboard / "frontend")


@pytest.fixture(scope="module")  # Playwright's event loop runs in this thread: no later test may meet it
def browser(assets: None) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        give_up("Chromium is not here: install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path, start_jobman: Callable[..., JobmanProcess]) -> Iterator[Site]:
    """A project with jobs, its database, and its dashboard."""
    site = Site(tmp_path, start_jobman)
    yield site
    site.close()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Open a page of the site in a browser of its own (`path`, and options of a context)."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def watch(page: Page) -> None:
        page.on("console", lambda said: said.type in ("error", "warning") and faults.append(said.text))
        page.on("pageerror", lambda error: faults.append(str(error)))

    def visit(path: str = "/", **options: Any) -> Page:
        contexts.append(browser.new_context(base_url=site.address, **options))
        page = contexts[-1].new_page()
        watch(page)
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        try:
            context.close()
        except Error as error:
            faults.append(str(error))
    assert faults == []
