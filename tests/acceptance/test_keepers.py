"""`jobman deploy` before those who read its files, and what a supervisor tells systemd."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import jobman_environment, run_jobman, spawn, wait_until
from project import Project
from provision import give_up

EMBEDDED = pytest.mark.parametrize("project", ["sqlite-database"], indirect=True)


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    return found or give_up(f"{name} is not here: `apt-get install {package}`")


def verify(unit: Path) -> tuple[int, str]:
    """What systemd says to a unit."""
    command = [tool("systemd-analyze", "systemd"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("place", ["app", "my app 100% 'of' it", 'a "b" $HOME %h'])
@pytest.mark.parametrize("program", ["supervise", "run-worker"])
def test_systemd_reads_the_unit(tmp_path: Path, place: str, program: str) -> None:
    home = tmp_path / place
    (home / "config").mkdir(parents=True)
    (home / "config" / "jobman.yaml").write_text("shutdown_timeout: 7\n")
    executable = home / "jobman"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    options = ["--user", "root", "--executable", str(executable), "--command", program]
    unit = tmp_path / "jobman.service"
    unit.write_text(run_jobman("deploy", "systemd", *options, cwd=home).stdout)
    assert "TimeoutStopSec=27\n" in unit.read_text()
    assert verify(unit) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"), [("Type=notify", "Type=notfy"), ("/jobman supervise", "/jobbman supervise")]
)
def test_systemd_would_find_a_fault(tmp_path: Path, right: str, wrong: str) -> None:
    executable = tmp_path / "jobman"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    text = run_jobman("deploy", "systemd", "--executable", str(executable), cwd=tmp_path).stdout
    assert right in text
    unit = tmp_path / "jobman.service"
    unit.write_text(text.replace(right, wrong))
    assert verify(unit) != (0, "")


@EMBEDDED
@pytest.mark.parametrize("program", ["supervise", "run-worker"])
def test_supervisord_runs_it_and_stops_it_gracefully(project: Project, program: str) -> None:
    supervisord = tool("supervisord", "supervisor")
    where = project.path / "it's %here"
    where.mkdir()
    text = project.run("deploy", "supervisor", "--command", program, "--name", "it").stdout
    file = where / "supervisord.conf"
    main = "[supervisord]\nnodaemon=true\nlogfile=supervisord.log\nchildlogdir=.\npidfile=pid\n"
    file.write_text(f"{main}\n{text}")
    keeper = spawn([supervisord, "-c", str(file)], cwd=where, env=jobman_environment())
    try:
        job = project.hold()
        project.until_held()
        worker = project.workers()[0].pid
        keeper.send_signal(signal.SIGTERM)
        log = where / "supervisord.log"
        wait_until(lambda: "received SIGTERM" in log.read_text(), 10, "the signal")
        time.sleep(0.5)
        assert project.job(job).status == "running", "it may finish"
        project.gate().touch()
        assert keeper.wait(30) == 0
    finally:
        keeper.kill()
    ended = project.job(job)
    assert (ended.status, ended.attempts, ended.rescues) == ("completed", 1, 0)
    assert "exit status 0" in log.read_text()
    assert not Path(f"/proc/{worker}").exists()


class Listener:
    """The other end of sd_notify."""

    def __init__(self, address: str) -> None:
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.bind("\0" + address[1:] if address.startswith("@") else address)
        self.end.setblocking(False)
        self.heard: list[str] = []

    def hears(self, message: str) -> bool:
        try:
            while True:
                self.heard.append(self.end.recv(4096).decode())
        except BlockingIOError:
            return message in self.heard


@pytest.fixture
def listening() -> Iterator[Callable[[str], Listener]]:
    made: list[Listener] = []

    def listen(address: str) -> Listener:
        made.append(Listener(address))
        return made[-1]

    yield listen
    for listener in made:
        listener.end.close()


@EMBEDDED
@pytest.mark.parametrize("program", ["supervise", "run-worker"])
@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_what_systemd_is_told(project: Project, start_jobman, listening, program: str, kind: str) -> None:
    address = str(project.path / "notify") if kind == "file" else f"@jobman-test-{os.getpid()}"
    listener = listening(address)
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000"}
    process = start_jobman(program, cwd=project.path, env=environment)
    wait_until(lambda: listener.hears("READY=1"), 20, "READY")
    began = time.monotonic()
    wait_until(lambda: listener.hears("WATCHDOG=1") and listener.heard.count("WATCHDOG=1") > 4, 20, "signs")
    assert time.monotonic() - began > 0.4, "no more than systemd asked for"
    project.hold()
    project.until_held()
    process.terminate()
    wait_until(lambda: listener.hears("STOPPING=1"), 10, "STOPPING")
    listener.heard.clear()
    wait_until(lambda: listener.hears("WATCHDOG=1"), 10, "a sign while it ends")
    project.gate().touch()
    assert process.wait() == 0


@EMBEDDED
def test_nobody_to_be_told(project: Project, start_jobman) -> None:
    environment = {"NOTIFY_SOCKET": str(project.path / "nobody"), "WATCHDOG_USEC": "soon"}
    project.run("dispatch", "hello")
    worker = start_jobman("run-worker", "--stop-when-empty", cwd=project.path, env=environment)
    assert worker.wait() == 0
    assert project.statuses() == ["completed"]


def test_what_is_refused(tmp_path: Path) -> None:
    for options, said in (
        (["--path", "relative"], "is not absolute"),
        (["--path", "/srv/a\nb"], "no such file can hold"),
        (["--user", "a b"], "--user"),
        (["--environment", "moon"], "no environment 'moon'"),
        (["--command", "run-worker", "--supervisor", "moon"], "no supervisor 'moon'"),
        (["--supervisor", "default"], "for --command run-worker"),
    ):
        done = run_jobman("deploy", "systemd", *options, cwd=tmp_path, check=False)
        assert done.returncode in (2, 78), done
        assert said in done.stderr
        assert done.stdout == ""


def test_options_of_a_worker_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "jobman.yaml").write_text(
        "database: postgresql://ada:hush@db/app\n"
        "supervisors:\n"
        "  mail: {queues: [mail, bulk], max_processes: 7, memory: 300, max_jobs: 9, worker_type: thread}\n"
    )
    done = run_jobman(
        "deploy", "supervisor", "--command", "run-worker", cwd=tmp_path, env={"JOBMAN_QUEUE": "database"}
    )
    options = (
        "run-worker --queue mail --queue bulk --concurrency 7 --worker-type thread --memory 300 --max-jobs 9"
    )
    assert f"command={sys.executable}" in done.stdout or "/jobman" in done.stdout
    assert f"{options}\n" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert "JOBMAN_QUEUE" in done.stderr
