"""`async def` jobs in the real command, as users run them."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from project import Project

ASYNC = ("--worker-type", "async")


def many(project: Project, number: int, type: str = "nap", **attribs: object) -> list[int]:
    return list(project._jobman.dispatch_many(type, [attribs] * number))


def test_two_hundred_end_in_about_the_time_of_one(project: Project) -> None:
    ids = many(project, 200, seconds=2)
    project.work(*ASYNC, "--concurrency", 200, "--stop-when-empty")
    assert set(project.statuses()) == {"completed"}
    jobs = [project.job(id) for id in ids]
    took = max(job.completed_at for job in jobs) - min(job.started_at for job in jobs)
    assert took < timedelta(seconds=6), "one after another they take 400 s"
    assert {job.attempts for job in jobs} == {1}


def test_a_timeout_a_failure_and_a_cancel(project: Project) -> None:
    worker = project.worker(*ASYNC)
    late, bad, asked, fine = (
        project.dispatch("nap_late"),
        project.dispatch("nap", seconds=-1),
        project.dispatch("nap", seconds=600),
        project.dispatch("nap", seconds=0.1),
    )
    assert project.until(fine, "completed").completed_code == "slept"
    job = project.until(late, "failed")
    assert job.error_message == "timed out after 1 s"
    assert "cleared up" in job.logs
    assert project.until(bad, "failed").error_message == "ValueError: no such time"
    project.until(asked, "running")
    project.run("cancel", asked)
    assert "cleared up" in project.until(asked, "cancelled").logs
    worker.terminate()
    assert worker.wait(20) == 0


def test_after_term_they_finish_or_are_given_back(project: Project) -> None:
    project.configure(shutdown_timeout=6)
    worker = project.worker(*ASYNC)
    (long,) = many(project, 1, seconds=600)
    (short,) = many(project, 1, seconds=4)
    project.until(long, "running")
    project.until(short, "running")
    worker.terminate()
    assert worker.wait(20) == 0
    assert project.job(short).status == "completed"
    job = project.job(long)
    assert (job.status, job.attempts) == ("queued", 0)


def test_a_job_that_holds_the_loop_is_charged_and_no_other(project: Project) -> None:
    project.configure(grace=1)
    worker = project.worker(*ASYNC)
    beside = many(project, 5, seconds=3)
    for id in beside:
        project.until(id, "running")
    hog = project.dispatch("hog")
    job = project.until(hog, "failed", timeout=30)
    assert job.error_message == "timed out after 1 s; its worker was killed"
    for id in beside:
        job = project.until(id, "completed", timeout=30)
        assert (job.attempts, job.rescues) == (1, 0)
    worker.terminate()
    assert worker.wait(20) == 0


def test_planned_ends_let_them_finish(project: Project) -> None:
    many(project, 7, seconds=0.3)
    project.work(*ASYNC, "--max-jobs", 5)
    assert sorted(project.statuses()) == ["completed"] * 5 + ["queued"] * 2
    project.work(*ASYNC, "--once")
    assert sorted(project.statuses()) == ["completed"] * 6 + ["queued"]


def test_other_workers_run_them_too(project: Project, start_jobman) -> None:
    many(project, 2, seconds=0.1)
    project.work()
    many(project, 2, seconds=0.1)
    project.work("--worker-type", "thread", "--stop-when-empty")
    assert project.statuses() == ["completed"] * 4
    project.run("try", "nap", "--seconds", "0.1", "--sync")
    assert project.statuses() == ["completed"] * 5


@pytest.mark.parametrize("project", ["sqlite-database"], indirect=True)
def test_a_supervisor_of_the_configuration(project: Project, start_jobman) -> None:
    block = {"queues": ["default"], "worker_type": "async", "concurrency": 50, "max_processes": 1}
    project.configure(supervisors={"default": block})
    master = start_jobman("supervise", cwd=project.path)
    ids = many(project, 50, seconds=1)
    began = time.monotonic()
    for id in ids:
        project.until(id, "completed", timeout=40)
    assert time.monotonic() - began < 40
    master.terminate()
    assert master.wait(30) == 0


def test_plain_jobs_run_beside(project: Project) -> None:
    worker = project.worker(*ASYNC)
    held = project.hold()
    project.until_held()
    nap = project.dispatch("nap", seconds=0.1)
    project.until(nap, "completed")
    assert project.job(held).status == "running"
    project.gate().touch()
    project.until(held, "completed")
    worker.terminate()
    assert worker.wait(20) == 0
