"""Pause, continue, terminate, purge: commands to supervisors of one host and of several."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
from fleet import EMBEDDED, SERVERS, Fleet, begun
from processes import ROOT, wait_until

from jobman_cli.runtime.identity import identify, new_uuid, start_time
from jobman_cli.store.lifecycle.supervisors import Charge, register_supervisor
from jobman_cli.store.lifecycle.workers import register


def documented(heading: str) -> list[str]:
    """The keys in the reference's table with this first heading."""
    text = (ROOT / "docs/reference/json.md").read_text()
    return re.findall(r"^\| `(\w+)`", text.partition(f"\n| {heading} |")[2].partition("\n\n")[0], re.M)


@SERVERS
def test_a_paused_queue_starts_no_job_and_draws_no_worker(fleet: Fleet) -> None:
    fleet.configure(queues=["default", "mail"], max_processes=6)
    fleet.supervise()
    fleet.until_sizes(default=1, mail=1)
    said = fleet.project.run("pause", "--queue", "default", "--for", "5s").stderr
    paused = time.monotonic()
    assert "queue default is paused for 5s" in said
    jobs = [fleet.project._jobman.dispatch("hello").id for _ in range(10)]
    other = fleet.project._jobman.dispatch("hello", queue="mail").id
    fleet.project.until(other, "completed")
    assert set(fleet.course("default", 2)) == {1}
    assert fleet.look().paused_queues == ["default"]
    assert time.monotonic() < paused + 4.5, "too slow a machine to say anything"
    assert {fleet.project.job(job).status for job in jobs} == {"queued"}
    for job in jobs:
        fleet.project.until(job, "completed")


@SERVERS
def test_a_queue_that_was_paused_before_a_supervisor_came(fleet: Fleet) -> None:
    """Nothing of it is started, not even in a worker's first turn."""
    project = fleet.project
    project.run("pause", "--queue", "mail")
    waiting = [project._jobman.dispatch("hello", queue="mail").id for _ in range(20)]
    other = project._jobman.dispatch("hello").id
    command = ("run-worker", "--queue", "mail", "--queue", "default", "--stop-when-empty")
    project.run(*command, "--concurrency", "3")
    assert project.job(other).status == "completed"
    assert {(project.job(job).status, project.job(job).claims) for job in waiting} == {("queued", 0)}
    project.run("continue", "--queue", "mail")
    project.run(*command)
    assert {project.job(job).status for job in waiting} == {"completed"}


@EMBEDDED
def test_everything_a_supervisor_and_who_is_hired_meanwhile(fleet: Fleet) -> None:
    block = {"cooldown": 0.5, "max_processes": 1}
    fleet.project.configure(supervisors={"a": {"queues": ["a"], **block}, "b": {"queues": ["b"], **block}})
    fleet.supervise(supervisors=2)
    assert fleet.project.run("status").stdout.startswith("running: 2 supervisors on 1 host")
    fleet.project.run("pause", "--supervisor", "a")
    assert fleet.project.run("status", check=False).returncode == 1
    in_a, in_b = (fleet.project._jobman.dispatch("hello", queue=queue).id for queue in "ab")
    fleet.project.until(in_b, "completed")
    worker = next(worker for worker in fleet.look().workers if worker.queues == ["a"])
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: [w for w in fleet.look().workers if w.queues == ["a"] and w.pid != worker.pid], 10)
    time.sleep(1)
    assert fleet.project.job(in_a).status == "queued", "a worker hired under a pause is paused"

    fleet.project.run("pause")
    in_b = fleet.project._jobman.dispatch("hello", queue="b").id
    time.sleep(1)
    assert fleet.project.job(in_b).status == "queued"
    assert {row.state for row in fleet.look().masters} == {"paused"}
    shown = json.loads(fleet.project.run("supervisors", "--json").stdout)
    assert {(row["name"], row["state"]) for row in shown} == {("a", "paused"), ("b", "paused")}
    assert list(shown[0]) == documented("process") + documented("of a supervisor")
    fleet.project.run("continue")
    for job in (in_a, in_b):
        fleet.project.until(job, "completed")
    done = fleet.project.run("pause", "--supervisor", "c", check=False)
    assert done.returncode == 1 and "no supervisor named 'c'" in done.stderr


@EMBEDDED
def test_a_worker_started_by_hand_obeys_as_well(fleet: Fleet) -> None:
    worker = fleet.project.worker()
    assert "1 supervisor has no master" in fleet.project.run("list").stderr
    fleet.project.run("pause")
    job = fleet.project._jobman.dispatch("hello").id
    time.sleep(1)
    assert fleet.project.job(job).status == "queued"
    fleet.project.run("continue")
    fleet.project.until(job, "completed")
    assert "ended" in fleet.project.run("terminate", "--wait").stderr
    assert worker.wait(5) == 0
    assert fleet.project.run("status", check=False).returncode == 2
    assert "nothing runs" in fleet.project.run("pause").stderr


@SERVERS
def test_hosts_are_named_and_ended_one_by_one(fleet: Fleet) -> None:
    """Two hosts, whose names begin alike."""
    fleet.configure(max_processes=1)
    one, ten = fleet.supervise(host="web-1"), fleet.supervise(host="web-10")
    gates = fleet.hold(2)
    wait_until(lambda: all(map(begun, gates)), 10)
    shown = json.loads(fleet.project.run("list", "--json").stdout)
    masters = [(row["host"], row["supervisors"]) for row in shown]
    assert masters == [("web-1", ["default"]), ("web-10", ["default"])]
    said = fleet.project.run("terminate", "--host", "web-1").stderr
    assert "web-1 " in said and "web-10" not in said
    for gate in gates:
        gate.touch()
    assert one.wait(10) == 0
    assert ten.running
    assert {row.host for row in fleet.look().supervisors} == {"web-10"}
    two = fleet.supervise(host="web-2")

    ten.freeze()
    done = fleet.project.run("terminate", check=False)
    assert done.returncode == 1
    assert "master web-10 on web-10" in done.stderr and "does not answer" in done.stderr
    assert two.wait(10) == 0
    ten.thaw()
    assert ten.wait(15) == 0, "it does as it was told when it wakes up"
    assert fleet.look().state == "inactive"
    assert [job.status for job in fleet.project.jobs()] == ["completed"] * 2


@EMBEDDED
def test_terminate_waits_for_the_jobs(fleet: Fleet) -> None:
    fleet.configure(max_processes=1)
    master = fleet.supervise()
    (gate,) = fleet.hold(1)
    wait_until(lambda: begun(gate), 10)
    command = [sys.executable, "-m", "jobman_cli", "terminate", "--wait"]
    waiting = subprocess.Popen(command, cwd=fleet.project.path, env={**os.environ, **_text(fleet)}, stderr=-1)
    wait_until(lambda: fleet.look().masters[0].state == "stopping", 10)
    time.sleep(0.5)
    assert waiting.poll() is None and fleet.project.jobs()[0].status == "running"
    gate.touch()
    _, said = waiting.communicate(timeout=20)
    assert waiting.returncode == 0 and b": ended" in said
    assert master.wait(1) == 0
    assert fleet.project.jobs()[0].status == "completed"


def _text(fleet: Fleet) -> dict[str, str]:
    return {key: value for key, value in fleet.environment().items() if value is not None}


@EMBEDDED
def test_purge_ends_what_is_proven_orphaned_and_nothing_else(fleet: Fleet) -> None:
    """Rows that say: this process is ours; one whose supervisor lives, one whose supervisor is gone."""
    records = fleet.project._jobman.records
    sleepers = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(3)]
    orphan, cared, stranger = sleepers
    try:
        for process, owner_pid in ((orphan, 2**22 - 7), (cared, os.getpid())):
            owner, mine = new_uuid(), _as(process.pid)
            records.database.run(register_supervisor, _as(owner_pid, owner), Charge("supervisor", "x"))
            records.database.run(register, _owned(mine, owner))
        # One of our rows with a pid that was given to somebody else meanwhile.
        records.database.run(register, _owned(_as(stranger.pid, start=1), owner))
        assert f"process {orphan.pid}" in fleet.project.run("purge", "--dry-run").stdout
        refused = fleet.project.run("purge", check=False)
        assert refused.returncode == 2 and orphan.poll() is None
        assert fleet.project.run("purge", "--signal", "no", check=False).returncode == 2
        done = fleet.project.run("purge", "--yes")
        assert "sent SIGTERM to 1 process" in done.stderr
        assert orphan.wait(10) == -signal.SIGTERM
        assert cared.poll() is None and stranger.poll() is None
        assert "nothing is orphaned" in fleet.project.run("purge", "--yes").stderr
    finally:
        for process in sleepers:
            process.kill()
            process.wait()


def _as(pid: int, uuid: str | None = None, start: int | None = None):
    mine = identify(uuid or new_uuid(), "", ("default",))
    return replace(mine, pid=pid, start_time=start if start is not None else start_time(pid) or 1)


def _owned(who, owner: str):
    return replace(who, supervisor=owner)


@EMBEDDED
def test_a_live_view_redraws_until_ctrl_c(fleet: Fleet) -> None:
    for command in ("status", "list", "supervisors"):
        done = fleet.project.run(command, "--watch", check=False)
        assert done.returncode == 2 and "--json" in done.stderr, "off a terminal there is none"
    main, end = pty.openpty()
    command = [sys.executable, "-m", "jobman_cli", "status", "--watch"]
    env = {**os.environ, **_text(fleet), "TERM": "xterm"}
    view = subprocess.Popen(command, cwd=fleet.project.path, env=env, stdin=end, stdout=end, stderr=end)
    os.close(end)
    seen = b""
    try:
        deadline = time.monotonic() + 20
        while seen.count(b"Ctrl-C ends this") < 2 and time.monotonic() < deadline:
            seen += os.read(main, 65536)
        assert b"inactive" in seen and seen.count(b"\x1b[H") >= 2
        assert psutil.pid_exists(view.pid)
        view.send_signal(signal.SIGINT)
        assert view.wait(10) == 130
    finally:
        view.kill()
        view.wait()
        os.close(main)
