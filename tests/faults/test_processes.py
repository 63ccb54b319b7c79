"""Which pids are dead, and what a job's own processes inherit: rules 16 and 17."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest
from processes import is_gone as has_ended
from processes import wait_until
from scene import Scene

from jobman_cli.runtime import identity
from jobman_cli.runtime.identity import is_gone, start_time


def test_a_dead_pid() -> None:
    """Absent, a zombie, or another process of the same number; nothing else is proof."""
    waits = "import time; time.sleep(60)"  # it lives until it is killed, and not for ever
    child = subprocess.Popen([sys.executable, "-S", "-c", waits])
    started = wait_until(lambda: start_time(child.pid), 5)
    assert not is_gone(child.pid, started)
    assert is_gone(child.pid, started + 1)  # the number was given again
    os.kill(child.pid, signal.SIGSTOP)
    assert not is_gone(child.pid, started)
    child.kill()
    wait_until(lambda: is_gone(child.pid, started), 5, "the zombie")  # nobody has waited for it yet
    child.wait()
    assert is_gone(child.pid, started)


def test_a_pid_that_may_not_be_signalled_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signum: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_gone(os.getpid(), 1)


ELSEWHERE = """
import os, time
from jobman_cli.runtime.consumer import environment

environment._ask_kernel = lambda: False
parent = os.getpid()
if os.fork() == 0:
    environment._die_with(parent)
    print(os.getpid(), flush=True)
time.sleep(60)  # both live until they are killed, and not for ever
"""


def test_a_child_ends_with_its_parent_where_the_kernel_does_not_see_to_it() -> None:
    """Rule 16, off Linux."""
    parent = subprocess.Popen([sys.executable, "-c", ELSEWHERE], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    try:
        assert not has_ended(child)
    finally:
        parent.kill()
        parent.communicate()
    wait_until(lambda: has_ended(child), 5, "the end of the child")


def test_what_could_not_be_read_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a worker that could not read its own start, nor a judge that cannot read it now."""
    assert not is_gone(os.getpid(), 0)
    started = start_time(os.getpid()) or 0
    assert is_gone(os.getpid(), started + 1)
    monkeypatch.setattr(identity, "_read", lambda _path: "")
    assert not is_gone(os.getpid(), started + 1)
    assert start_time(os.getpid()) is None


def test_a_jobs_own_subprocesses(make_scene: Any) -> None:
    """They inherit no ignored TERM and no answer of the worker's; a job may use multiprocessing."""
    scene: Scene = make_scene("sqlite-database")
    scene.supervisor()
    job = scene.dispatch("subprocesses", file=str(scene.path / "seen"))
    assert scene.until(job, "completed", "failed").status == "completed", scene.row(job).exception
    ignored, reckoned, end = (scene.path / "seen").read_text().split()
    assert not int(ignored, 16) & (1 << (signal.SIGTERM - 1) | 1 << (signal.SIGHUP - 1))
    assert reckoned == "49"
    assert end == str(-signal.SIGTERM)
    assert scene.until(scene.dispatch("plain"), "completed").attempts == 1  # the worker was not stopped
