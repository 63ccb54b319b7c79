"""What people do on the dashboard, from the first click to the last word in the database."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect
from processes import wait_until
from site_of_jobs import Site

from jobman_cli.operations.journal import audits
from jobman_cli.operations.supervision import overview, wait_until_heard

Visit = Callable[..., Page]


def states(page: Page) -> Page:
    return page.locator("h1 .state")


def test_a_job_from_the_form_watched_to_its_end(site: Site, visit: Visit) -> None:
    page = visit("/types")
    page.get_by_role("link", name="steps", exact=True).click()
    page.get_by_label("gate").fill(str(site.path / "gate"))
    page.get_by_role("button", name="Dispatch").click()
    if page.locator("h1 .state").count() == 0:
        page.get_by_role("link", name="1", exact=True).click()
    expect(states(page)).to_have_text("queued")
    page.evaluate("window.stayed = true")

    site.work()
    expect(states(page)).to_have_text("running")
    logs = page.locator("pre.logs")
    for step in (1, 2, 3):
        expect(logs).to_contain_text(f"waiting for step {step}")
        expect(page.locator("progress")).to_have_attribute("max", "3")
        (site.path / f"gate.{step}").touch()
    expect(states(page)).to_have_text("completed")
    expect(logs).to_contain_text("no step is left")
    assert page.evaluate("window.stayed"), "it was never loaded anew"
    (job,) = site.jobs()
    assert (job.status, job.attribs["number"], job.attempts) == ("completed", 3, 1)


def test_a_failed_job_retried_after_the_fix(site: Site, visit: Visit) -> None:
    fire = site.path / "fire"
    fire.touch()
    site.work()
    job = site.dispatch("fragile", {"path": str(fire)})
    page = visit("/failed")
    expect(page.locator("tr[data-row] summary")).to_have_text("ValueError: the disk is on fire")
    page.get_by_role("link", name=str(job), exact=True).click()
    expect(states(page)).to_have_text("failed")
    page.get_by_text("Traceback").first.click()
    expect(page.get_by_text("ValueError: the disk is on fire").last).to_be_visible()

    fire.unlink()
    page.get_by_role("button", name="Retry").click()
    expect(states(page)).to_have_text("completed")
    page.goto("/failed")
    expect(page.get_by_text("No job has failed.")).to_be_visible()
    assert site.until(job, "completed").attempts >= 1
    assert [row.action for row in audits(site.jobman.records)] == ["retry"]


def test_a_queue_paused_and_continued(site: Site, visit: Visit) -> None:
    site.work()
    site.until(site.dispatch("hello"), "completed")
    page = visit("/queues")
    row = page.get_by_role("row", name="default")
    row.get_by_role("button", name="Pause").click()
    expect(row.locator(".state")).to_have_text("paused")
    running = overview(site.jobman.records).supervisors
    assert not wait_until_heard(site.jobman.records, running, 20).silent
    job = site.dispatch("hello")
    expect(row.get_by_role("cell", name="1", exact=True).first).to_be_visible()
    assert site.until(job, "queued")
    row.get_by_role("button", name="Continue").click()
    expect(row.locator(".state")).to_have_text("running")
    site.until(job, "completed")


def test_without_scripts_all_of_it_works(site: Site, visit: Visit) -> None:
    page = visit("/types", java_script_enabled=False)
    expect(page.get_by_role("button", name="Live")).to_be_hidden()
    page.get_by_role("link", name="hello", exact=True).click()
    page.get_by_label("name").fill("Grace")
    page.get_by_role("button", name="Dispatch").click()
    (job,) = site.jobs()
    assert job.attribs == {"name": "Grace"}
    page.goto(f"/jobs/{job.id}")
    page.get_by_role("button", name="Cancel").click()
    expect(states(page)).to_have_text("cancelled")
    page.locator("#search").fill("status:cancelled")
    page.locator("#search").press("Enter")
    expect(page.get_by_role("link", name=str(job.id), exact=True)).to_be_visible()
    page.get_by_label("Theme").select_option("dark")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_keys(site: Site, visit: Visit) -> None:
    fire = site.path / "fire"
    fire.touch()
    jobs = [site.dispatch("fragile", {"path": str(fire)}) for _ in range(3)]
    site.work()
    for job in jobs:
        site.until(job, "failed")
    page = visit("/jobs")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("jk")  # letters, here
    expect(page.locator("#search")).to_have_value("jk")
    page.locator("#search").fill("")
    page.locator("h1").click()
    chosen = page.locator("tr.chosen")
    expect(chosen).to_have_count(0)
    page.keyboard.press("j")
    expect(chosen).to_contain_text(str(jobs[2]))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(chosen).to_have_attribute("id", f"job-{jobs[1]}")

    late = site.dispatch("hello", delay=3600)  # above it; the choice stays where it is
    expect(page.locator(f"#job-{late}")).to_be_visible()
    expect(chosen).to_have_attribute("id", f"job-{jobs[1]}")
    expect(chosen.get_by_role("link").first).to_be_focused()

    fire.unlink()
    page.keyboard.press("r")
    site.until(jobs[1], "completed")
    assert site.until(jobs[0], "failed") and site.until(jobs[2], "failed")
    page.locator("h1").click()
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.address}jobs/{jobs[2]}")


def test_keys_can_be_turned_off(site: Site, visit: Visit) -> None:
    site.dispatch("hello", delay=3600)
    page = visit("/jobs")
    page.get_by_label("Keys").select_option("off")
    expect(page.locator("html")).to_have_attribute("data-keys", "off")
    for key in ("/", "j", "r"):
        page.keyboard.press(key)
    expect(page.locator("tr.chosen")).to_have_count(0)
    expect(page.locator("#search")).not_to_be_focused()
    page.get_by_label("Keys").select_option("on")
    expect(page.locator("html")).to_have_attribute("data-keys", "on")
    page.keyboard.press("j")
    expect(page.locator("tr.chosen")).to_have_count(1)


def test_languages_follow_the_browser_and_the_choice(site: Site, visit: Visit) -> None:
    page = visit("/jobs", locale="zh-TW")
    expect(page.locator("html")).to_have_attribute("lang", "zh-TW")
    expect(page.get_by_role("heading", level=1)).to_have_text("工作")
    page.get_by_label("語言").select_option("en")
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    wait_until(lambda: page.get_by_role("button", name="Live").is_visible(), 10)
