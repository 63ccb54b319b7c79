"""One job's way through the real command: dispatched, worked, recorded, shown."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from processes import wait_until
from project import Project


def test_dispatch_work_show(project: Project) -> None:
    row = json.loads(project.run("try", "hello", "--name", "Ada", "--no-wait", "--json").stdout)
    assert (row["status"], row["attribs"]) == ("queued", {"name": "Ada"})
    project.work()
    shown = json.loads(project.run("show", row["id"], "--json").stdout)
    assert (shown["status"], shown["completed_code"], shown["attempts"]) == ("completed", "greeted", 1)
    assert shown["attribs"] == {"name": "Ada", "greeting": "Hello, Ada"}
    assert shown["logs"].endswith("[1] Hello, Ada\n") and shown["progress"] == {"done": 1, "total": 1}
    assert shown["created_at"] < shown["started_at"] <= shown["completed_at"]
    assert shown["history"] == []
    assert "greeted" in project.run("jobs").stdout


def test_try_follows_a_job_that_a_worker_runs(project: Project) -> None:
    project.worker()
    done = project.run("try", "hello", "--name", "Ada")
    assert "completed, greeted" in done.stdout and "Hello, Ada" in done.stderr
    failed = project.run("try", "again", check=False)
    assert failed.returncode == 1
    assert "failed, never" in failed.stdout and "hint: " in failed.stderr


def test_try_says_how_to_start_a_worker(project: Project) -> None:
    done = project.run("try", "hello", "--queue", "slow")
    assert "jobman run-worker --queue slow" in done.stderr and "queued" in done.stdout


def test_sync_leaves_nothing_for_a_worker(project: Project) -> None:
    project.worker()
    done = json.loads(project.run("try", "who", "--sync", "--json", timeout=30).stdout)
    assert done["status"] == "completed"
    (live,) = project.workers()
    assert done["worker_id"] != live.uuid and done["attribs"]["pid"] != live.pid
    assert project.job(done["id"]).claims == 1


def test_a_failing_job_is_tried_again_and_fails(project: Project) -> None:
    id = project.dispatch("flaky")
    project.worker()
    job = project.until(id, "failed")
    assert (job.attempts, job.error_message) == (3, "ValueError: boom 3")
    history = project.history(id)
    assert [(each.number, each.error_message) for each in history] == [
        (number, f"ValueError: boom {number}") for number in (1, 2, 3)
    ]
    assert [line.split("] ")[1] for line in job.logs.splitlines()] == ["attempt 1", "attempt 2", "attempt 3"]
    assert "Traceback" in job.exception and job.failed_at is not None


def test_a_job_that_fails_once_completes(project: Project) -> None:
    id = project.dispatch("flaky", fails=1)
    project.worker()
    job = project.until(id, "completed")
    assert job.attempts == 2 and len(project.history(id)) == 1


def test_retry_and_fail_on_purpose(project: Project) -> None:
    id = project.dispatch("again")
    project.worker()
    assert project.until(id, "failed").attempts == 2
    assert [each.outcome for each in project.history(id)] == ["retry", "fail"]


def test_a_timeout_frees_the_worker(project: Project) -> None:
    id = project.dispatch("sleepy")
    after = project.dispatch("hello")
    project.worker()
    project.until(id, "running")
    began = time.monotonic()
    job = project.until(id, "failed")
    assert 1 < time.monotonic() - began < 4
    assert job.error_message == "timed out after 2 s"
    assert project.until(after, "completed", timeout=5).worker_id == job.worker_id


def test_a_delay_is_kept(project: Project) -> None:
    project.worker()
    id = project.dispatch("hello", "--delay", "1s")
    assert project.job(id).status == "scheduled"
    job = project.until(id, "completed", timeout=10)
    assert 1 <= (job.started_at - job.created_at).total_seconds() < 4


def test_priority_goes_first(project: Project) -> None:
    trace = project.path / "trace"
    project.dispatch("append", path=str(trace), text="low")
    project.dispatch("append", "--priority", 5, path=str(trace), text="high")
    project.work()
    assert trace.read_text().split() == ["high", "low"]


def test_several_queues_in_order(project: Project) -> None:
    trace = project.path / "trace"
    for queue in ("third", "first", "second"):
        project.dispatch("append", "--queue", queue, path=str(trace), text=queue)
    project.dispatch("append", "--queue", "unserved", path=str(trace), text="unserved")
    project.work("--queue", "first", "--queue", "second", "--queue", "third", "--stop-when-empty")
    assert trace.read_text().split() == ["first", "second", "third"]
    assert project.statuses().count("queued") == 1


def test_default_queues_come_from_the_settings(project: Project) -> None:
    project.configure(supervisors={"default": {"queues": ["a", "b"]}})
    ids = [project.dispatch("hello", "--queue", queue) for queue in ("b", "a")]
    project.work()
    assert {project.job(id).status for id in ids} == {"completed"}


def test_many_by_json_lines(project: Project) -> None:
    lines = "".join(json.dumps({"name": f"n{number}"}) + "\n" for number in range(1500))
    done = project.run("dispatch", "hello", "-", "--json", stdin=lines)
    assert json.loads(done.stdout)["count"] == 1500
    project.work("--stop-when-empty", "--concurrency", 2)
    wait_until(lambda: set(project.statuses()) == {"completed"}, 20)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="it needs Linux's /proc")
def test_a_collection_leaves_a_workers_shared_memory_shared(project: Project) -> None:
    id = project.dispatch("collect")
    project.worker()
    grown = project.until(id, "completed").attribs["grown_mib"]
    assert grown < 5, f"{grown:.1f} MiB of pages that the supervisor has as well were copied"
