"""The commands that look and repair, on every database with every engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_app import App
from rig import Rig, add_jobs, attempts_of, change, failed_rows, row_of, statuses
from sqlalchemy import update

from jobman_cli.operations.archive import read_archive
from jobman_cli.store.tables import FAILED_JOBS

OLD = datetime.now(UTC) - timedelta(days=200)


class Site:
    """The command and, behind its back, the rows and the workers of the same application."""

    def __init__(self, app: App, rig: Rig) -> None:
        self.app, self.rig, self.store = app, rig, rig.store
        settings = rig.parts.settings
        app.configure(json.dumps({"database": settings.database, "queue": settings.queue}))

    def failed(self, number: int = 1, **options: Any) -> list[tuple[int, int]]:
        """Make jobs fail; ids of `failed_jobs` rows and of jobs."""
        ids = [self.rig.dispatch("give_up", **options) for _ in range(number)]
        self.drain(options.get("queue") or "default")
        return [(failed_rows(self.store, each)[0].id, each) for each in ids]

    def drain(self, *queues: str) -> int:
        return self.rig.worker(*queues).drain()

    def fail_at(self, failed_id: int, moment: datetime) -> None:
        with self.store.transaction() as connection:
            connection.execute(
                update(FAILED_JOBS).where(FAILED_JOBS.c.id == failed_id).values(failed_at=moment)
            )

    def json(self, *arguments: str | int, code: int = 0) -> Any:
        result = self.app(*arguments, "--json")
        assert result.code == code, result
        return result.json


@pytest.fixture
def site(app: App, rig: Rig) -> Site:
    return Site(app, rig)


class TestFailed:
    def test_the_list_and_its_filters(self, site: Site) -> None:
        (one, job), (two, _) = site.failed(2)
        ((three, _),) = site.failed(1, queue="mail")
        site.fail_at(one, OLD)

        def ids(*arguments: str | int) -> list[int]:
            return [row["id"] for row in site.json("failed", *arguments)]

        assert ids() == [three, two, one]
        assert ids("--queue", "mail") == [three]
        assert ids("--type", "give_up", "--limit", 1) == [three]
        assert ids("--before", two) == [one]
        assert ids("--since", "1d") == [three, two] and ids("--until", "100d") == [one]
        assert ids("--error", "NO HOPE") == [three, two, one] and ids("--error", "100%") == []
        assert "no hope" in site.app.ok("failed").out
        row = site.json("failed", "--until", "1d")[0]
        assert list(row) == list(FAILED_JOBS.c.keys())
        assert row["jobman_id"] == job and json.loads(row["payload"])["type"] == "give_up"

    def test_retry_by_id_and_uuid(self, site: Site) -> None:
        (one, a), (_, b), (three, c) = site.failed(3)
        uuid = failed_rows(site.store, b)[0].uuid
        assert site.app.ok("retry", one, uuid.upper(), 10**6).err.startswith(
            "warning: there is no failed job"
        )
        assert statuses(site.store, [a, b, c]) == ["queued", "queued", "failed"]
        assert [len(failed_rows(site.store, each)) for each in (a, b, c)] == [0, 0, 1]
        assert row_of(site.store, a).attempts == 0 and row_of(site.store, a).claims == 1
        assert site.drain() == 2  # they were pushed as well
        counts = {"queued": 1, "missing": 0, "elsewhere": 0, "conflicts": []}
        assert site.json("retry", f"00{three}", three) == counts

    def test_nothing_matched(self, site: Site) -> None:
        assert "there is no failed job 7, 8" in site.app.refused(1, "retry", 7, 8)
        site.app("retry", "all")
        assert site.json("retry", "all", code=1)["queued"] == 0
        assert "there is no failed job 7" in site.app.refused(1, "forget", 7)

    def test_retry_all_that_match(self, site: Site) -> None:
        site.failed(3)
        ((mail, job),) = site.failed(1, queue="mail")
        dry = site.json("retry", "all", "--queue", "mail", "--dry-run")
        assert dry == {"dry_run": True, "count": 1, "first_ids": [mail]}
        assert site.json("retry", "all", "--queue", "mail")["queued"] == 1
        assert row_of(site.store, job).status == "queued"
        assert site.json("retry", "all", "--type", "nothing", code=1)["queued"] == 0
        assert site.json("retry", "all", "--type", "give_up")["queued"] == 3
        assert site.json("failed") == []

    def test_forget_and_flush_keep_the_jobs(self, site: Site) -> None:
        (one, a), (two, b), (_, c), (_, d) = site.failed(4)
        assert site.json("forget", one) == {"forgotten": 1, "missing": 0, "elsewhere": 0}
        site.fail_at(two, OLD)
        assert site.json("flush", "--hours", 24, "--dry-run")["first_ids"] == [two]
        assert site.json("flush", "--hours", 24, "--yes")["forgotten"] == 1
        assert len(site.json("failed")) == 2
        assert site.json("forget", "--all", "--yes")["forgotten"] == 2
        assert site.json("flush", "--yes")["forgotten"] == 0
        assert statuses(site.store, [a, b, c, d]) == ["failed"] * 4


class TestCancel:
    def test_each_state(self, site: Site) -> None:
        waiting, later = site.rig.dispatch("noop"), site.rig.dispatch("noop", delay=60)
        done, running = add_jobs(site.store, 2)
        change(site.store, done, status="completed")
        change(site.store, running, status="running")
        result = site.app.ok("cancel", waiting, later, running, done, 10**9)
        assert f"job {running}: asked to stop" in result.out and f"job {done} is completed" in result.err
        assert str(10**9) in result.err
        assert statuses(site.store, [waiting, later, running, done]) == [
            "cancelled",
            "cancelled",
            "running",
            "completed",
        ]
        assert row_of(site.store, running).cancel_requested_at is not None
        assert site.rig.engine.size("default") in (0, None)
        assert site.drain() == 0
        counts = {"cancelled": 0, "asked": 0, "finished": 1, "missing": 0}
        assert site.json("cancel", done, code=1) == counts
        assert "there is no job" in site.app.refused(1, "cancel", 10**9)

    def test_a_queue_is_cleared_and_no_other(self, site: Site) -> None:
        ids = [site.rig.dispatch("noop") for _ in range(3)] + [site.rig.dispatch("noop", delay=60)]
        other = site.rig.dispatch("noop", queue="mail")
        (running,) = add_jobs(site.store)
        change(site.store, running, status="running")
        assert "--yes" in site.app.refused(2, "clear", "--queue", "default")
        assert site.json("clear", "--queue", "default", "--dry-run")["first_ids"] == ids
        assert statuses(site.store, ids) == ["queued"] * 3 + ["scheduled"]
        assert site.json("clear", "--queue", "default", "--yes") == {"cancelled": 4}
        assert statuses(site.store, [*ids, other, running]) == ["cancelled"] * 4 + ["queued", "running"]
        assert site.json("clear", "--queue", "default", "--yes") == {"cancelled": 0}
        assert site.drain("default", "mail") == 1


class TestRequeue:
    def test_by_id(self, site: Site) -> None:
        ((_, broken),) = site.failed()
        waiting, done, running = add_jobs(site.store, 3)
        change(site.store, done, status="completed", attempts=3)
        change(site.store, running, status="running")
        assert site.json("requeue", done, broken, running, "--dry-run")["first_ids"] == sorted([done, broken])
        result = site.app.ok("requeue", done, broken, waiting, running, 10**9)
        assert "2 jobs queued" in result.out
        assert f"job {running} is running" in result.err and f"job {waiting} is queued" in result.err
        assert statuses(site.store, [done, broken, running]) == ["queued", "queued", "running"]
        assert row_of(site.store, done).attempts == 0 and failed_rows(site.store, broken) == []
        counts = {"queued": 0, "unfinished": 1, "missing": 0, "conflicts": []}
        assert site.json("requeue", running, code=1) == counts

    def test_by_state(self, site: Site) -> None:
        ids = add_jobs(site.store, 3, queue="mail")
        change(site.store, ids[0], status="completed")
        change(site.store, ids[1], status="cancelled")
        (other,) = add_jobs(site.store)
        change(site.store, other, status="cancelled")
        arguments = ("requeue", "--status", "cancelled", "--queue", "mail", "--type", "noop")
        assert site.json(*arguments, "--dry-run")["first_ids"] == [ids[1]]
        assert site.json(*arguments)["queued"] == 1
        assert statuses(site.store, [*ids, other]) == ["completed", "queued", "queued", "cancelled"]
        assert site.json("requeue", "--status", "completed", "--status", "cancelled")["queued"] == 2

    def test_what_is_not_in_its_queue(self, site: Site) -> None:
        """The purpose of it: rows that no queue knows are run at last, and those that one knows run once."""
        known = [site.rig.dispatch("noop") for _ in range(3)]
        lost = [site.rig.dispatch("noop") for _ in range(3)]
        site.rig.engine.remove("default", lost)
        pending = add_jobs(site.store, 2)
        for each in pending:
            change(site.store, each, status="pending")
        lines = site.rig.engine.has_lines
        dry = site.json("requeue", "--unqueued", "--dry-run")
        assert dry["count"] == (5 if lines else 2) and statuses(site.store, pending) == ["pending"] * 2
        done = site.json("requeue", "--unqueued")
        assert (done["pending"], done["missing"]) == (2, 3 if lines else 0)
        assert site.json("requeue", "--unqueued")["missing"] == 0
        assert statuses(site.store, pending) == ["queued"] * 2
        assert site.drain() == 8
        assert sorted(site.rig.calls) == [(each, 1) for each in sorted([*known, *lost, *pending])]


class TestPrune:
    def test_old_finished_ones_with_all_that_belongs_to_them(self, site: Site) -> None:
        ((failed_id, broken), _) = site.failed(2)
        done, waiting, running, young = add_jobs(site.store, 4)
        for each, status in ((done, "completed"), (waiting, "queued"), (running, "running")):
            change(site.store, each, status=status, created_at=OLD)
        change(site.store, broken, created_at=OLD)
        change(site.store, young, status="completed")
        dry = site.app.ok("prune", "--days", 180, "--dry-run")
        assert f"ids {broken}, {done}" in dry.out and "kept 2 old jobs" in dry.err
        archive = site.app.path / "old.jsonl.gz"
        result = site.json("prune", "--days", 180, "--archive", archive)
        assert (result["deleted"], result["kept"], result["archive"]) == (2, 2, str(archive))
        rows = list(read_archive(archive))
        assert [(table, row["id"]) for table, row in rows if table == "jobmans"] == [
            ("jobmans", broken),
            ("jobmans", done),
        ]
        assert [row["id"] for table, row in rows if table == "failed_jobs"] == [failed_id]
        assert [row["jobman_id"] for table, row in rows if table == "jobman_attempts"] == [broken]
        assert datetime.fromisoformat(rows[0][1]["created_at"]) == OLD
        assert {each["id"] for each in site.json("jobs")} == {waiting, running, young, broken + 1}
        assert attempts_of(site.store, broken) == [] and failed_rows(site.store, broken) == []

    def test_unfinished_ones_only_when_it_is_meant(self, site: Site) -> None:
        waiting, running = add_jobs(site.store, 2)
        change(site.store, waiting, created_at=OLD)
        change(site.store, running, created_at=OLD, status="running")
        assert "--yes" in site.app.refused(2, "prune", "--days", 180, "--include-unfinished")
        arguments = ("prune", "--days", 180, "--include-unfinished")
        assert site.json(*arguments, "--dry-run")["first_ids"] == [waiting]
        assert site.app.count() == 2
        result = site.app.ok(*arguments, "--yes")
        assert "1 job deleted" in result.out and "kept 1 old job" in result.err
        assert [each["id"] for each in site.json("jobs")] == [running]

    def test_the_hint_shows_what_was_kept(self, site: Site) -> None:
        (old, _) = add_jobs(site.store, 2)
        change(site.store, old, created_at=OLD)
        hint = site.app.ok("prune", "--days", 180).err.partition("jobman jobs ")[2].split()
        assert [each["id"] for each in site.json("jobs", *hint)] == [old]

    def test_nothing_to_do(self, site: Site) -> None:
        archive = site.app.path / "none.gz"
        assert "0 jobs deleted" in site.app.ok("prune", "--days", 0.5, "--archive", archive).out
        assert list(read_archive(archive)) == []


class TestLook:
    def test_filters(self, site: Site) -> None:
        plain = site.rig.dispatch("noop")
        tagged = site.rig.dispatch("noop", tags=["nightly", 'a "b" %'])
        ((_, broken),) = site.failed()
        change(site.store, plain, created_at=OLD, status="completed")

        def ids(*arguments: str | int) -> list[int]:
            return [row["id"] for row in site.json("jobs", *arguments)]

        assert ids("--tag", "nightly") == ids("--tag", 'a "b" %') == [tagged]
        assert ids("--tag", "night") == []
        assert ids("--error", "no HOPE") == [broken] and ids("--error", "n_ hope") == []
        assert ids("--since", "3d") == [broken, tagged] and ids("--until", "100d") == [plain]
        assert ids("--until", (OLD + timedelta(seconds=1)).isoformat()) == [plain]
        assert ids("--status", "failed", "--status", "completed") == [broken, tagged, plain]
        assert ids("--status", "cancelled", "--tag", "nightly") == []
        assert ids("--limit", 1, "--before", broken) == [tagged]

    def test_the_whole_of_a_job(self, site: Site) -> None:
        ((failed_id, broken),) = site.failed()
        ahead, waiting = site.rig.dispatch("noop"), site.rig.dispatch("noop")
        first = site.rig.dispatch("noop", priority=1)
        assert [site.json("show", each)["place"] for each in (first, ahead, waiting)] == [1, 2, 3]
        shown = site.json("show", broken)
        assert shown["place"] is None and shown["failed_job"]["id"] == failed_id
        assert shown["worker"]["host"] == "host" and shown["worker"]["state"] == "running"
        assert [(each["outcome"], each["host"], each["pid"]) for each in shown["history"]] == [
            ("fail", "host", 1)
        ]
        said = site.app.ok("show", broken, waiting).out
        assert (
            f"jobman retry {failed_id}" in said and "attempt 1: fail: " in said and "on host, pid 1" in said
        )
        assert "place" in said and "dispatched" in said

    def test_logs(self, site: Site) -> None:
        job = site.rig.dispatch("hello", {"name": "Ada"})
        assert "logged nothing" in site.app.ok("logs", job).err
        site.drain()
        assert "hello Ada" in site.app.ok("logs", job).out
        followed = site.app.ok("logs", job, "-f")
        assert "hello Ada" in followed.out and "completed" in followed.err
        assert list(site.json("logs", job)) == ["id", "status", "logs"]

    def test_wait_for_several(self, site: Site) -> None:
        one, two = site.rig.dispatch("noop"), site.rig.dispatch("noop")
        result = site.app("wait", one, two, "--timeout", "0.05")
        assert result.code == 1 and f"jobs {one}, {two} have not ended" in result.err
        site.drain()
        assert [each["id"] for each in site.json("wait", two, one)] == [two, one]
        assert site.json("wait", one)["status"] == "completed"
        assert "there is no job" in site.app.refused(1, "wait", one, 10**9)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_repairs_without_redis(app: App, store: Any, tmp_path: Path, unused_port: int) -> None:
    """Their part in the database is done; what must ask the queue says that it cannot."""
    url = f"redis://127.0.0.1:{unused_port}/0"
    database = store.url.render_as_string(hide_password=False)
    app.configure(json.dumps({"database": database, "queue": url}))
    waiting, done = add_jobs(store, 2)
    change(store, done, status="completed")
    assert "cannot be used" in app.refused(69, "requeue", "--unqueued")
    assert app.refused(69, "requeue", "--unqueued", "--dry-run")
    result = app.ok("cancel", waiting)
    assert "cancelled" in result.out and "warning: " in result.err
    result = app.ok("requeue", done)
    assert "1 job queued" in result.out and "warning: " in result.err
    assert statuses(store, [waiting, done]) == ["cancelled", "pending"]
    assert "1 job cancelled" in app.ok("clear", "--queue", "default", "--yes").out
