"""What a worker lives through: Redis away, rubbish in the queue, observers that crash, pipes that close."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import jobman_environment
from project import Project
from servers import RedisServer

OBSERVER = """
from jobman_cli import hookimpl


@hookimpl
def jobman_job_started(context):
    raise RuntimeError("the observer\\ncrashes")


@hookimpl
def jobman_job_finished(context, outcome):
    raise SystemExit("the observer exits")
"""


@pytest.fixture
def on_redis(tmp_path: Path, sqlite_url: str, redis_url: str, start_jobman):
    project = Project(tmp_path, sqlite_url, redis_url, start_jobman)
    yield project
    project.close()


def test_redis_away_at_dispatch(on_redis: Project, redis_server: RedisServer) -> None:
    worker = on_redis.worker()
    redis_server.kill()
    began = time.monotonic()
    done = on_redis.run("try", "hello", "--no-wait", "--json")
    assert json.loads(done.stdout)["status"] == "pending"
    assert "warning: " in done.stderr and "Traceback" not in done.stderr
    assert time.monotonic() - began < 6  # of which a second is the push, the rest Python's own start
    redis_server.ensure_running()
    job = on_redis.until(1, "completed", timeout=20)
    assert job.attempts == 1
    assert worker.running and "Traceback" not in worker.stderr


def test_rubbish_in_the_queue(on_redis: Project, redis_server: RedisServer) -> None:
    import redis

    id = on_redis.dispatch("hello")
    client = redis.Redis.from_url(redis_server.url)
    (line,) = [key for key in client.scan_iter() if b":queue:" in key]
    rubbish = [b"", b"\x80\x04rubbish", b"9" * 19, b"0" * 19, b"0" * 18 + b"7", b"x" * 10_000, b"-1", b"1e3"]
    client.zadd(line, dict.fromkeys(rubbish, 0))
    said = on_redis.work()
    assert on_redis.job(id).status == "completed"
    assert "Traceback" not in said
    assert client.zcard(line) == 0


def test_a_crashing_observer_changes_nothing(project: Project) -> None:
    (project.path / "observer_of_a_project.py").write_text(OBSERVER)
    project.configure(modules=["jobs_of_a_project", "observer_of_a_project"])
    id = project.dispatch("hello")
    failing = project.dispatch("again")
    worker = project.worker()
    assert project.until(id, "completed").completed_code == "greeted"
    assert project.until(failing, "failed").attempts == 2
    worker.terminate()
    assert worker.wait(20) == 0
    assert "the observer crashes" in worker.stderr and "Traceback" not in worker.stderr
    assert all(" [" in line for line in worker.stderr.splitlines())  # one line each, with its process


def test_a_worker_refuses_broken_plugins_unless_told(project: Project) -> None:
    project.configure(modules=["jobs_of_a_project", "missing_of_a_project"])
    id = project.dispatch("hello")
    refused = project.run("run-worker", "--once", check=False)
    assert refused.returncode == 78 and "missing_of_a_project" in refused.stderr
    project.work("--once", "--skip-broken-plugins")
    assert project.job(id).status == "completed"


@pytest.mark.parametrize("command", [["jobs", "--json"], ["jobs"], ["--help"], ["types", "hello"]])
def test_a_pipe_that_closes_is_quiet(project: Project, command: list[str]) -> None:
    project.dispatch("hello")
    read, write = os.pipe()
    os.close(read)  # nobody will ever read
    done = subprocess.run(
        [sys.executable, "-m", "jobman_cli", *command],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        cwd=project.path,
        env=jobman_environment(),
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
