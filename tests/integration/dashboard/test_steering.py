"""The pages that show what goes on, and what people tell queues, supervisors and the schedule there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rig import Rig, add_jobs, change, statuses
from site_of_a_test import Page, Site
from sqlalchemy import select

from jobman_cli.core.histogram import bucket
from jobman_cli.dashboard.actions import schedule as schedule_actions
from jobman_cli.dashboard.actions import supervisors as supervisor_actions
from jobman_cli.operations.alerts import raise_alert
from jobman_cli.operations.housekeeping import perform_now
from jobman_cli.operations.journal import audit
from jobman_cli.operations.supervision import overview, paused_queues_until
from jobman_cli.runtime.identity import identify, new_uuid
from jobman_cli.store.lifecycle.metrics import Count, Spread, add_counts
from jobman_cli.store.lifecycle.schedules import adopt_entries
from jobman_cli.store.lifecycle.supervisors import Charge, acknowledge, register_supervisor
from jobman_cli.store.lifecycle.workers import WorkerIdentity, heartbeat, register
from jobman_cli.store.queries import database_now
from jobman_cli.store.tables import SUPERVISORS

PAGES = ("/", "/queues", "/supervisors", "/metrics", "/schedule", "/reconcile")
#: The entries of the schedule that a page shows: one of each kind, and one that cannot be fired.
ENTRIES: tuple[dict[str, Any], ...] = (
    {"name": "greet", "every": 300.0, "timezone": "UTC", "job": "hello", "attribs": {"name": "Ada"}},
    {"name": "tidy", "cron": "0 3 * * *", "timezone": "Asia/Taipei", "operation": "snapshot"},
    {"name": "gone", "every": 60.0, "timezone": "UTC", "job": "no.such", "attribs": {"password": "sekrit"}},
)


@pytest.fixture
def scheduled(rig: Rig) -> Iterator[Site]:
    rig.parts = replace(rig.parts, settings=replace(rig.parts.settings, schedule=ENTRIES))
    with Site(rig) as site:
        yield site


def count_minutes(rig: Rig, type: str = "hello", queue: str = "default", number: int = 12) -> None:
    """Jobs that ended in this minute and each of the thirty before: all but two completed, one failed."""
    now = int(rig.store.read(database_now).timestamp()) // 60 * 60
    spread = Spread(0.2 * number, 0.2, {bucket(0.2): number})
    one = Count(number - 2, 2, 1, spread, Spread(1.5 * number, 1.5, {bucket(1.5): number}))
    rig.store.run(add_counts, {(now - 60 * ago, type, queue): one for ago in range(31)})


def supervise(
    rig: Rig, kind: str = "supervisor", name: str = "default", host: str = "web-1", **more: Any
) -> str:
    uuid = new_uuid()
    who = replace(identify(uuid, uuid, ("default",)), host=host)
    rig.store.run(register_supervisor, who, Charge(kind, name, "auto", **more))
    return uuid


def command_of(rig: Rig, uuid: str) -> str | None:
    with rig.store.reading() as connection:
        return connection.execute(select(SUPERVISORS.c.command).where(SUPERVISORS.c.uuid == uuid)).scalar()


def row_of(page: Page, first: str) -> list[str]:
    return next(row for row in page.rows if row and row[0].startswith(first))


class TestEveryPage:
    @pytest.mark.parametrize("path", PAGES)
    def test_with_nothing_there_it_teaches_a_command(self, site: Site, path: str) -> None:
        html = site.client.get(path).text
        assert html.count("<h1>") == 1
        assert 'class="empty"' in html
        assert "style=" not in html

    @pytest.mark.parametrize("path", PAGES)
    def test_it_says_what_is_refreshed(self, site: Site, path: str) -> None:
        topic = path.strip("/") or "overview"
        assert f'id="live" data-topic="{topic}"' in site.client.get(path).text

    @pytest.mark.parametrize("path", PAGES)
    def test_who_may_only_look_has_no_buttons(self, rig: Rig, path: str) -> None:
        rig.parts = replace(rig.parts, settings=replace(rig.parts.settings, schedule=ENTRIES))
        supervise(rig)
        rig.dispatch("noop")
        with Site(rig, read_only=True) as site:
            html = site.client.get(path).text
        assert "/actions/" not in html and "/confirm/" not in html

    @pytest.mark.parametrize("path", PAGES)
    def test_names_are_escaped(self, rig: Rig, path: str) -> None:
        bad = "<img src=x onerror=alert(1)>"
        supervise(rig, name=bad, host=bad)
        add_jobs(rig.store, type=bad, queue=bad[:60])
        count_minutes(rig, bad, bad[:60])
        raise_alert(rig.parts, "long-wait", "x", f"</script>{bad}")
        with Site(rig) as site:
            html = site.client.get(path).text
        assert "<img" not in html and "</script>&lt;img" not in html


class TestOverview:
    def test_figures(self, rig: Rig, site: Site) -> None:
        count_minutes(rig)
        count_minutes(rig, "mail.send", "mail", 40)
        old, running = add_jobs(rig.store, 2)
        change(rig.store, old, queued_at=rig.store.read(database_now) - timedelta(seconds=300))
        change(rig.store, running, status="running")
        raise_alert(rig.parts, "long-wait", "long-wait:default", "it takes long")
        supervise(rig)
        page = site.get("/")
        for words in (
            "Jobs per minute 52 last 5 minutes",
            "Failed in the last hour 62 124 attempts",
            "Running 1",
            "Waiting 1",
            "Longest wait 5 min default",
            "Busiest job type mail.send",
            "Busiest queue mail",
            "long-wait it takes long",
        ):
            assert words in page.words, words
        assert row_of(page, "default")[1:4] == ["1", "5 min", "0"]
        assert row_of(page, "web-1")[1] == "default running"

    def test_a_chart_says_the_same_three_times(self, rig: Rig, site: Site) -> None:
        count_minutes(rig)
        html = site.client.get("/").text
        found = re.search(r'id="chart-throughput".*?application/json">(.*?)</script>', html, re.DOTALL)
        assert found is not None
        at, completed, failed = json.loads(found[1])["series"]
        assert len(at) == len(completed) == len(failed) in (59, 60, 61)
        assert (max(completed), max(failed)) == (10, 2)
        assert completed.count(10) in (30, 31)
        assert html.count('<polyline class="line-0"') >= 1
        table = [row[1:] for row in Page(found[0]).rows if row[1:] != ["completed", "failed"]]
        assert table.count(["10", "2"]) in (30, 31)


class TestQueues:
    def test_what_waits(self, rig: Rig, site: Site) -> None:
        add_jobs(rig.store, 3, queue="mail")
        count_minutes(rig, queue="mail")
        page = site.get("/queues")
        row = row_of(page, "mail")
        assert row[1] == "inactive no worker serves it"
        assert (row[2], row[4]) == ("3", "0")
        assert 5.5 < float(row[6]) <= 6.2
        worker = WorkerIdentity(new_uuid(), "s", "web-1", 1, "b", "p", 1, ("mail",))
        rig.store.run(register, worker)
        row = row_of(site.get("/queues"), "mail")
        assert (row[1], row[4], row[5]) == ("running", "1", "600 ms")

    def test_pause_and_continue(self, rig: Rig, site: Site) -> None:
        add_jobs(rig.store, queue="mail")
        page = site.press(site.get("/queues"), "Pause", **{"for": "1h"})
        assert "Queue mail is paused for 1h." in page.words
        assert row_of(page, "mail")[1].startswith("paused goes on in ")
        left = paused_queues_until(rig.parts)["mail"] - rig.store.read(database_now)
        assert 3500 < left.total_seconds() < 3601
        page = site.press(page, "Continue")
        assert ("Queue mail goes on." in page.words, paused_queues_until(rig.parts)) == (True, {})
        site.press(page, "Pause", **{"for": ""})
        assert paused_queues_until(rig.parts) == {"mail": None}
        assert row_of(site.get("/queues"), "mail")[1] == "paused until continued"
        assert [action for action, *_ in site.audit()] == ["pause-queue", "continue-queue", "pause-queue"]

    def test_a_paused_queue_without_jobs_is_shown(self, rig: Rig, site: Site) -> None:
        site.client.post("/actions/pause-queue", data={"queue": "legacy"})
        assert row_of(site.get("/queues"), "legacy")[2] == "0"

    def test_clear_says_the_number_first(self, rig: Rig, site: Site) -> None:
        mail = add_jobs(rig.store, 3, queue="mail")
        other = add_jobs(rig.store)
        question = site.get(site.get("/queues").links["Clear…"].replace("queue=default", "queue=mail"))
        assert "Cancel 3 waiting jobs of queue mail?" in question.words
        assert statuses(rig.store, mail) == ["queued"] * 3, "a question changes nothing"
        page = site.press(question, "Cancel 3 jobs")
        assert "3 waiting jobs of queue mail are cancelled." in page.words
        assert statuses(rig.store, [*mail, *other]) == ["cancelled"] * 3 + ["queued"]
        assert site.audit()[0] == ("clear-queue", "done", 3)

    @pytest.mark.parametrize("fields", [{}, {"queue": ""}, {"queue": "a b"}, {"queue": "x" * 200}])
    def test_a_name_that_no_queue_can_have(self, rig: Rig, site: Site, fields: dict[str, str]) -> None:
        for action in ("pause-queue", "continue-queue", "clear-queue"):
            site.client.post(f"/actions/{action}", data=fields)
        assert {outcome for _, outcome, _ in site.audit()} == {"refused"}
        assert paused_queues_until(rig.parts) == {}
        site.get("/confirm/clear-queue", 400, **fields)

    def test_a_time_that_cannot_be_chosen(self, rig: Rig, site: Site) -> None:
        site.client.post("/actions/pause-queue", data={"queue": "mail", "for": "1000d"})
        assert (site.audit()[0][1], paused_queues_until(rig.parts)) == ("refused", {})


class TestSupervisors:
    def test_what_each_worker_runs(self, rig: Rig, site: Site) -> None:
        master = supervise(rig, "master", "web")
        uuid = supervise(rig, master=master)
        worker = WorkerIdentity(new_uuid(), uuid, "web-1", 4711, "b", "p", 1, ("default",))
        rig.store.run(register, worker)
        assert row_of(site.get("/supervisors"), worker.uuid[:8])[3:6] == ["nothing", "–", "not known"]
        rig.store.run(heartbeat, uuid, {worker.uuid: 64 * 2**20})
        (job,) = add_jobs(rig.store, type="noop")
        now = rig.store.read(database_now)
        change(rig.store, job, status="running", worker_id=worker.uuid, started_at=now)
        page = site.get("/supervisors")
        row = row_of(page, worker.uuid[:8])
        assert (row[1], row[2], row[3], row[5], row[6]) == (
            "default",
            "default",
            f"{job} noop",
            "64 MiB",
            "4711",
        )
        assert row_of(page, "default")[0] == "default of web"

    def test_one_is_paused_at_once(self, rig: Rig, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervisor_actions, "ANSWER", 0.0)
        uuid = supervise(rig)
        page = site.press(site.get("/supervisors"), "Pause")
        assert "No answer yet from supervisor default on web-1" in page.words
        assert command_of(rig, uuid) == "pause"
        assert "told to pause" in row_of(page, "default")[1]
        assert site.audit()[0] == ("pause-supervisors", "done", 1)

    def test_an_answer_is_waited_for(self, rig: Rig, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        uuid = supervise(rig)
        real = supervisor_actions.tell

        def answered(records: Any, rows: Any, command: str, **options: Any) -> Any:
            def watch(_left: int) -> None:
                rig.store.run(acknowledge, uuid, command)

            return real(records, rows, command, watch=watch, **options)

        monkeypatch.setattr(supervisor_actions, "tell", answered)
        page = site.press(site.get("/supervisors"), "Pause")
        assert "supervisor default on web-1: paused." in page.words

    def test_a_host_and_everything_are_asked_about(
        self, rig: Rig, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervisor_actions, "ANSWER", 0.0)
        master = supervise(rig, "master", "web")
        mine, other = supervise(rig, master=master), supervise(rig, host="web-2")
        question = site.get("/confirm/terminate-supervisors", host="web-1")
        assert "Terminate master web on web-1?" in question.words
        assert [command_of(rig, uuid) for uuid in (master, mine, other)] == [None] * 3
        site.press(question, "Terminate")
        assert [command_of(rig, uuid) for uuid in (master, mine, other)] == ["terminate", None, None], (
            "a master passes it on"
        )
        question = site.get("/confirm/pause-supervisors")
        assert "Pause 3 masters and supervisors on 2 hosts?" in question.words
        site.press(question, "Pause")
        assert {command_of(rig, uuid) for uuid in (master, mine, other)} == {"pause"}
        site.client.post("/actions/continue-supervisors", data={"host": "web-2"})
        assert command_of(rig, other) == "continue"

    def test_nobody_is_told_when_nobody_is_meant(self, rig: Rig, site: Site) -> None:
        uuid = supervise(rig)
        for fields in ({"supervisor": "gone"}, {"host": "x" * 300}, {"host": "web-1", "supervisor": uuid}):
            site.client.post("/actions/terminate-supervisors", data=fields)
        assert {outcome for _, outcome, _ in site.audit()} == {"refused"}
        assert command_of(rig, uuid) is None
        assert len(overview(rig.parts).supervisors) == 1


class TestMetrics:
    def test_by_type_and_queue(self, rig: Rig, site: Site) -> None:
        count_minutes(rig)
        count_minutes(rig, "mail.send", "mail", 40)
        page = site.get("/metrics")
        assert row_of(page, "mail.send")[1:4] == ["1,178", "62", "31"]
        assert row_of(page, "mail")[1] == "1,178"
        one = site.get(page.links["hello"])
        assert "Metrics: hello" in one.words
        assert "mail.send" not in one.words

    @pytest.mark.parametrize("since", ["1h", "6h", "24h", "7d"])
    def test_every_window_shows_what_there_is(self, rig: Rig, site: Site, since: str) -> None:
        count_minutes(rig)
        html = site.client.get("/metrics", params={"since": since}).text
        (series,) = re.findall(r'id="chart-runtime".*?application/json">(.*?)</script>', html, re.DOTALL)
        at, p50, _ = json.loads(series)["series"]
        assert len(at) in range(59, 170)
        assert max(value for value in p50 if value is not None) == pytest.approx(0.2, rel=0.1)

    @pytest.mark.parametrize("query", [{"since": "2h"}, {"since": ""}, {"type": "a b"}, {"queue": "x" * 101}])
    def test_what_cannot_be_asked(self, site: Site, query: dict[str, str]) -> None:
        site.get("/metrics", 400, **query)


class TestSchedule:
    def test_entries(self, scheduled: Site) -> None:
        page = scheduled.get("/schedule")
        assert row_of(page, "greet")[1:4] == ["hello name=Ada", "every 300", "on"]
        assert row_of(page, "tidy")[1].startswith("snapshot operation")
        assert row_of(page, "gone")[1] == "no.such password=***"
        assert row_of(page, "gone")[3].startswith("broken there is no job type 'no.such'")

    def test_times_of_another_configuration_are_said(self, rig: Rig, scheduled: Site) -> None:
        rig.store.run(adopt_entries, {"greet": "every 60"})
        assert row_of(scheduled.get("/schedule"), "greet")[3].startswith("differs in force: every 60")

    def post(self, site: Site, action: str, name: str) -> Page:
        return Page(site.client.post(f"/actions/{action}", data={"name": name, "back": "/schedule"}).text)

    def test_run_now(self, rig: Rig, scheduled: Site) -> None:
        page = self.post(scheduled, "run-schedule", "greet")
        assert "(hello) is queued." in page.words
        assert "queued" in row_of(page, "greet")[5]
        page = self.post(scheduled, "run-schedule", "tidy")
        assert "snapshot: completed: 0 row(s) of metrics rolled up" in page.words
        self.post(scheduled, "run-schedule", "gone")
        self.post(scheduled, "run-schedule", "unknown")
        outcomes = [outcome for _, outcome, _ in scheduled.audit()]
        assert outcomes == ["refused", "refused", "done", "done"]

    def test_a_long_operation_goes_on(
        self, rig: Rig, scheduled: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import threading

        gate, ended = threading.Event(), threading.Event()

        def slow(*arguments: Any) -> Any:
            gate.wait(20)
            try:
                return perform_now(*arguments)
            finally:
                ended.set()

        monkeypatch.setattr(schedule_actions, "perform_now", slow)
        monkeypatch.setattr(schedule_actions, "PATIENCE", 0.01)
        page = self.post(scheduled, "run-schedule", "tidy")
        assert "snapshot runs; what comes of it will be shown here." in page.words
        gate.set()
        assert ended.wait(20)
        assert "completed" in row_of(scheduled.get("/schedule"), "tidy")[5]

    def test_pause_and_continue(self, scheduled: Site) -> None:
        page = self.post(scheduled, "pause-schedule", "greet")
        assert row_of(page, "greet")[3] == "paused"
        assert "greet is paused already." in self.post(scheduled, "pause-schedule", "greet").words
        page = self.post(scheduled, "continue-schedule", "greet")
        assert ("greet goes on." in page.words, row_of(page, "greet")[3]) == (True, "on")


class TestReconcile:
    def test_push_what_is_missing(self, rig: Rig, site: Site) -> None:
        first, _ = add_jobs(rig.store, 2, queue="mail")
        change(rig.store, first, status="pending")
        page = site.get("/reconcile")
        assert "1 row is not in its queue" in page.words
        assert row_of(page, "mail") == ["mail", "1", "the table is the line", "1"]
        page = site.press(page, "Push what is missing")
        assert "1 jobs were pushed." in page.words
        assert row_of(page, "mail")[3] == "0"
        assert any(
            row[1:] and row[1] == "asked for by-hand" and row[3] == "1" for row in page.rows if len(row) == 4
        )
        assert site.audit()[0] == ("push-unqueued", "done", 1)

    def test_with_redis(self, rig: Rig, redis_url: str, tmp_path: Any) -> None:
        redis = Rig(rig.store, redis_url, tmp_path)
        jobs = [redis.dispatch("noop") for _ in range(3)]
        redis.engine.remove("default", [jobs[1]])
        with Site(redis) as site:
            page = site.get("/reconcile")
            assert row_of(page, "default") == ["default", "3", "2", "0"]
            assert "1 row is not in its queue" in page.words
            assert page.links[str(jobs[1])] == f"/jobs/{jobs[1]}"
            assert "All 3 queued rows were compared." in page.words
            page = site.press(page, "Push what is missing")
            assert "1 of 3 queued ones were missing" in page.words
            assert redis.engine.size("default") == 3
        redis.close()

    def test_redis_away(self, rig: Rig, tmp_path: Any) -> None:
        away = Rig(rig.store, "redis://127.0.0.1:1/0", tmp_path)
        add_jobs(rig.store, 2)
        with Site(away) as site:
            page = site.get("/reconcile")
            assert "The queue cannot be reached" in page.words
            assert row_of(page, "default") == ["default", "2", "not known", "0"]
            site.press(page, "Push what is missing")
            assert site.audit()[0][1] == "refused"
        away.close()


def test_words_of_rows_stay_text_when_they_are_translated(rig: Rig, site: Site) -> None:
    audit(rig.parts, actor="a", address="b", action="c", details={}, outcome="<b>100%s</b>")
    assert "&lt;b&gt;100%s&lt;/b&gt;" in site.client.get("/audit").text
