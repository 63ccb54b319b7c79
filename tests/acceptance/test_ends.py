"""How workers end: by their limits, by signals; what they leave."""

from __future__ import annotations

import signal

import pytest
from processes import wait_until
from project import Project

from jobman_cli.store.lifecycle.line import promote_due


def test_once(project: Project) -> None:
    for _ in range(3):
        project.dispatch("hello")
    project.work("--once")
    assert project.statuses() == ["completed", "queued", "queued"]


def test_once_on_an_empty_line(project: Project) -> None:
    project.work("--once")
    assert project.statuses() == []


def test_max_jobs(project: Project) -> None:
    project.run("dispatch", "hello", "-", stdin="{}\n" * 5)
    project.work("--max-jobs", 3)
    assert project.statuses() == ["completed"] * 3 + ["queued"] * 2


def test_max_jobs_counts_for_each_worker(project: Project) -> None:
    project.run("dispatch", "hello", "-", stdin="{}\n" * 7)
    project.work("--max-jobs", 3, "--concurrency", 2)
    assert sorted(project.statuses()) == ["completed"] * 6 + ["queued"]


def test_stop_when_empty_promotes_what_is_due(project: Project) -> None:
    id = project.dispatch("hello", "--delay", "0.01")
    later = project.dispatch("hello", "--delay", "1h")
    project.work()
    assert (project.job(id).status, project.job(later).status) == ("completed", "scheduled")


@pytest.mark.parametrize("project", ["postgresql-redis"], indirect=True)  # SQLite knows no second writer
def test_stop_when_empty_waits_for_what_another_process_promotes(project: Project) -> None:
    id = project.dispatch("hello", "--delay", "0.01")
    store = project.store
    with store.transaction() as connection:
        rows = promote_due(connection, store.dialect)
        assert [row.id for row in rows] == [id]
        worker = project.worker("--stop-when-empty")
        with pytest.raises(AssertionError, match="did not end"):
            worker.wait(1.5)
    assert worker.wait(20) == 0  # the push that follows is the worker's own: the row does not need ours
    assert project.job(id).status == "completed"


def test_max_time(project: Project) -> None:
    project.dispatch("hello")
    project.work("--max-time", "1s")
    assert project.statuses() == ["completed"]


def test_memory(project: Project) -> None:
    project.dispatch("fat")
    project.dispatch("hello")
    project.work("--memory", 150)
    assert project.statuses() == ["completed", "queued"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_job_finish(project: Project, signum: int) -> None:
    worker = project.worker()
    running = project.hold()
    project.until_held()
    waiting = project.dispatch("hello")
    worker.send_signal(signum)
    wait_until(lambda: "stopping: " in worker.stderr, 5, "the supervisor's answer to the signal")
    assert project.job(running).status == "running"
    project.gate().touch()
    assert worker.wait(20) == 0
    assert project.job(running).status == "completed"
    assert (project.job(waiting).status, project.job(waiting).attempts) == ("queued", 0)
    assert "Traceback" not in worker.stderr
    assert project.workers() == []


def test_a_second_interrupt_gives_the_job_back(project: Project) -> None:
    worker = project.worker()
    running = project.hold()
    project.until_held()
    worker.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping: " in worker.stderr, 5, "the answer to the first Ctrl-C")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(20) == 130
    job = project.job(running)
    assert (job.status, job.attempts, job.claims) == ("queued", 0, 1)
    assert "Traceback" not in worker.stderr
    project.gate().touch()
    project.work()
    assert (project.job(running).status, project.job(running).attempts) == ("completed", 1)


def test_after_the_shutdown_timeout_the_job_is_given_back(project: Project) -> None:
    project.configure(shutdown_timeout=1)
    worker = project.worker()
    running = project.hold()
    project.until_held()
    worker.terminate()
    assert worker.wait(20) == 0
    job = project.job(running)
    assert (job.status, job.attempts) == ("queued", 0)


def test_threads_work_too(project: Project) -> None:
    ids = [project.dispatch("hello", name=name) for name in "ab"]
    flaky = project.dispatch("flaky", fails=1)
    worker = project.worker("--worker-type", "thread", "--concurrency", 2)
    for id in ids:
        project.until(id, "completed")
    assert project.until(flaky, "completed").attempts == 2
    assert "no hard timeout" in worker.stderr
    worker.terminate()
    assert worker.wait(20) == 0


def test_threads_end_when_the_line_is_empty(project: Project) -> None:
    project.run("dispatch", "hello", "-", stdin="{}\n" * 5)
    project.work("--worker-type", "thread", "--stop-when-empty")
    assert project.statuses() == ["completed"] * 5


def test_sync_can_be_interrupted(project: Project, start_jobman) -> None:
    process = start_jobman("try", "hold", "--gate", project.gate(), "--sync", cwd=project.path)
    project.until_held()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    (job,) = project.jobs()
    assert (job.status, job.attempts) == ("queued", 0)
    assert "Traceback" not in process.stderr
