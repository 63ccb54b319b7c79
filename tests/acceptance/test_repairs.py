"""Repairs beside real workers, and beside each other: no job runs twice, none is lost."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from project import Project

from jobman_cli.errors import InvalidOption
from jobman_cli.operations.archive import read_archive
from jobman_cli.store.lifecycle.insert import NewJob, insert_jobs
from jobman_cli.store.tables import FAILED_JOBS, JOBS

OLD = datetime.now(UTC) - timedelta(days=200)
MANY = 200

MORE_JOBS = """
from pathlib import Path

from jobman_cli import Fail, job


@job("once", tries=1, queue="once")
def once(number: int, path: str, fixed: str) -> None:
    "Fails until a file appears; notes each run after that."
    if not Path(fixed).exists():
        raise Fail("not fixed yet")
    with open(path, "a") as file:
        file.write(f"{number}\\n")
"""


@pytest.fixture
def shop(project: Project) -> Shop:
    return Shop(project)


class Shop:
    """A project with jobs that note their runs."""

    def __init__(self, project: Project) -> None:
        self.project, self.path = project, project.path
        (self.path / "more_jobs_of_a_project.py").write_text(MORE_JOBS)
        project.configure(modules=["jobs_of_a_project", "more_jobs_of_a_project"])
        self.notes, self.fixed = self.path / "notes", self.path / "fixed"
        self.store: Any = project._jobman.database

    def dispatch(self, number: int) -> None:
        lines = (
            json.dumps({"number": each, "path": str(self.notes), "fixed": str(self.fixed)})
            for each in range(number)
        )
        self.project.run("dispatch", "once", "-", stdin="\n".join(lines))

    def work(self) -> None:
        self.project.work("--queue", "once", "--stop-when-empty")

    def ran(self) -> list[int]:
        return sorted(map(int, self.notes.read_text().split())) if self.notes.exists() else []

    def count(self, status: str) -> int:
        from sqlalchemy import func, select

        with self.store.reading() as connection:
            query = select(func.count()).select_from(JOBS).where(JOBS.c.status == status)
            return int(connection.execute(query).scalar_one())

    def old_rows(self, number: int, status: str = "completed") -> None:
        """Finished rows of half a year ago, with something in them."""
        new = NewJob("hello", "default", 0, 1, None)
        for at in range(0, number, 1000):
            texts = ['{"name": "' + "x" * 200 + '"}'] * min(1000, number - at)
            ids = [row.id for row in self.store.run(insert_jobs, new, texts)]
            with self.store.transaction() as connection:
                change = JOBS.update().where(JOBS.c.id.between(min(ids), max(ids)))
                connection.execute(change.values(status=status, created_at=OLD))

    def job_ids(self) -> set[int]:
        from sqlalchemy import select

        with self.store.reading() as connection:
            return set(connection.execute(select(JOBS.c.id)).scalars())


def test_two_retries_at_once_run_no_job_twice(shop: Shop) -> None:
    shop.dispatch(MANY)
    shop.work()
    assert shop.count("failed") == MANY
    shop.fixed.touch()
    worker = shop.project.worker("--queue", "once")
    retries = [shop.project._start("retry", "all", "--json", cwd=shop.path) for _ in range(2)]
    codes = [each.wait(60) for each in retries]
    queued = [json.loads(each.stdout)["queued"] for each in retries]
    assert sum(queued) == MANY, (queued, codes)
    assert all(code == (0 if number else 1) for code, number in zip(codes, queued, strict=True))
    wait_until(lambda: shop.count("completed") == MANY, 60, "the jobs")
    assert shop.ran() == list(range(MANY))
    worker.terminate()
    worker.wait()
    with shop.store.reading() as connection:
        assert connection.execute(FAILED_JOBS.select()).all() == []


def test_requeue_beside_running_workers(shop: Shop) -> None:
    """`--unqueued` pushes ids that a worker has just popped; the claim sorts it out."""
    shop.fixed.touch()
    worker = shop.project.worker("--queue", "once", "--concurrency", "2")
    shop.dispatch(MANY)
    for _ in range(3):
        shop.project.run("requeue", "--unqueued")
    wait_until(lambda: shop.count("completed") == MANY, 60, "the jobs")
    assert shop.ran() == list(range(MANY))
    queued = json.loads(shop.project.run("requeue", "--status", "completed", "--json").stdout)["queued"]
    assert queued == MANY  # each once, although workers complete them behind the walk's back
    wait_until(lambda: len(shop.ran()) == 2 * MANY, 60, "the jobs again")
    assert shop.ran() == sorted([*range(MANY), *range(MANY)])
    worker.terminate()
    assert worker.wait() == 0


def test_prune_beside_running_workers_deletes_finished_ones_only(shop: Shop) -> None:
    shop.fixed.touch()
    worker = shop.project.worker("--queue", "once")
    shop.dispatch(MANY)
    deleted = 0
    while shop.count("queued") or shop.count("running"):
        result = json.loads(shop.project.run("prune", "--days", "0", "--json").stdout)
        deleted += result["deleted"]
    deleted += json.loads(shop.project.run("prune", "--days", "0", "--json").stdout)["deleted"]
    assert deleted == MANY and shop.job_ids() == set()
    assert shop.ran() == list(range(MANY))
    worker.terminate()
    assert worker.wait() == 0


def test_cancel_and_start_at_the_same_time(shop: Shop) -> None:
    """A job that was told to be cancelled never runs; one that was only asked runs once."""
    shop.fixed.touch()
    worker = shop.project.worker("--queue", "once")
    shop.dispatch(MANY)
    ids = sorted(shop.job_ids())
    result = shop.project.run("cancel", *ids[::2], "--json", check=False)
    counts = json.loads(result.stdout)
    assert sum(counts.values()) == len(ids[::2])
    wait_until(lambda: not shop.count("queued") and not shop.count("running"), 60, "the end")
    assert shop.count("cancelled") == counts["cancelled"]
    assert len(shop.ran()) == MANY - counts["cancelled"] == len(set(shop.ran()))
    worker.terminate()
    worker.wait()


def test_a_running_job_is_asked(shop: Shop) -> None:
    project = shop.project
    worker = project.worker()
    job = project.hold()
    project.until_held()
    assert "asked to stop" in project.run("cancel", job).stdout
    assert project.job(job).status == "running"
    project.gate().touch()
    project.until(job, "completed")  # it did not look
    worker.terminate()
    worker.wait()


def test_logs_are_followed(shop: Shop) -> None:
    project = shop.project
    worker = project.worker()
    job = project.hold()
    project.until_held()
    follower = project._start("logs", job, "-f", cwd=project.path)
    wait_until(lambda: "holding" in follower.stdout, 20, "the first line, while it runs")
    project.gate().touch()
    assert follower.wait() == 0 and "completed" in follower.stderr
    worker.terminate()
    worker.wait()


def archived(path: Path) -> set[int]:
    """The jobs in an archive, however it ends."""
    found: set[int] = set()
    if path.exists():
        try:
            for table, row in read_archive(path):
                if table == "jobmans":
                    found.add(row["id"])
        except InvalidOption:
            pass
    return found


@pytest.mark.parametrize("part", [0.1, 0.6])
def test_a_killed_prune_loses_no_row(shop: Shop, part: float) -> None:
    """kill -9 in its middle: what is gone from the table is in the archive."""
    shop.old_rows(12_000)
    before = shop.job_ids()
    archive = shop.path / "killed.jsonl.gz"
    prune = shop.project._start("prune", "--days", 180, "--archive", archive, cwd=shop.path)
    wait_until(
        lambda: len(shop.job_ids()) <= len(before) * (1 - part) or not prune.running, 60, interval=0.001
    )
    os.kill(prune.pid, signal.SIGKILL)
    prune.wait()
    wait_until(lambda: stable(shop), 20, "the server's end of the transaction")
    gone = before - shop.job_ids()
    assert gone and gone <= archived(archive)
    rest = shop.path / "rest.jsonl.gz"
    shop.project.run("prune", "--days", 180, "--archive", rest)
    assert shop.job_ids() == set()
    assert archived(rest) == before - gone


def stable(shop: Shop) -> bool:
    """Nobody holds a lock any more: a client's last COMMIT may still be on its way."""
    with shop.store.transaction() as connection:
        connection.execute(JOBS.update().where(JOBS.c.id > 0).values(tries=JOBS.c.tries))
    return True


def test_an_interrupted_prune_goes_on_later(shop: Shop) -> None:
    shop.old_rows(12_000)
    archive = shop.path / "interrupted.jsonl.gz"
    prune = shop.project._start("prune", "--days", 180, "--archive", archive, cwd=shop.path)
    wait_until(lambda: len(shop.job_ids()) < 12_000 or not prune.running, 60, interval=0.001)
    prune.send_signal(signal.SIGINT)
    assert prune.wait() in (0, 130)
    if prune.returncode:
        assert "stopped after" in prune.stderr and "Traceback" not in prune.stderr
    left = shop.job_ids()
    assert archived(archive) >= set(range(1, 12_001)) - left
    shop.project.run("prune", "--days", 180)
    assert shop.job_ids() == set()
