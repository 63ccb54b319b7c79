"""`jobman supervise`: pools that grow and shrink, and what it does when a process of its own dies."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from contextlib import suppress
from urllib.request import urlopen

import psutil
import pytest
from fleet import EMBEDDED, SERVERS, Fleet, begun, until_gone
from processes import ROOT, JobmanProcess, is_gone, run_jobman, wait_until
from project import Project


def decisions(master: JobmanProcess) -> list[int]:
    """What the balancer gave the pool `default`, change after change."""
    return [int(number) for number in re.findall(r"pool default: (\d+) worker", master.stderr)]


def test_a_full_queue_draws_workers_and_an_empty_one_lets_them_go(fleet: Fleet) -> None:
    fleet.configure(queues=["default", "mail"], max_processes=4, max_shift=1)
    master = fleet.supervise()
    fleet.until_sizes(default=1, mail=1)  # the least, to begin with
    gates = fleet.hold(6)
    fleet.until_sizes(default=3, mail=1)
    wait_until(lambda: sum(map(begun, gates)) == 3, 10, "three jobs at once")
    time.sleep(1.5)
    assert decisions(master) == [2, 3], "one at a time, and room is left for the other's least"

    for gate in gates[:3]:
        gate.touch()
    wait_until(lambda: all(map(begun, gates)), 10, "the other three")
    workers = {worker.pid for worker in fleet.look().workers if worker.queues == ["default"]}
    wait_until(lambda: decisions(master)[-1] == 2, 10, "the shrink")
    time.sleep(1.5)  # longer than any patience that it should not have
    assert {worker.pid for worker in fleet.look().workers if worker.queues == ["default"]} == workers
    for gate in gates:
        gate.touch()
    fleet.until_sizes(default=1, mail=1)
    assert fleet.project.statuses() == ["completed"] * 6
    assert [job.attempts for job in fleet.project.jobs()] == [1] * 6
    master.terminate()
    assert master.wait() == 0
    assert "Traceback" not in master.stderr
    seen = fleet.look()
    assert (seen.state, seen.silent, seen.workers) == ("inactive", [], [])


@EMBEDDED
def test_the_most_at_once_by_max_shift_and_one_for_a_killed_worker(fleet: Fleet) -> None:
    fleet.configure(max_processes=4, max_shift=3, cooldown=0.5)
    master = fleet.supervise()
    gates = fleet.hold(4)
    wait_until(lambda: all(map(begun, gates)), 10, "four jobs at once")
    assert decisions(master) == [4]
    worker = fleet.look().workers[0]
    os.kill(worker.pid, signal.SIGKILL)
    for gate in gates:
        gate.touch()
    ended = [fleet.project.until(job.id, "completed") for job in fleet.project.jobs()]
    assert sum(job.rescues for job in ended) == 1
    assert worker.uuid not in {row.uuid for row in fleet.look().workers}


@EMBEDDED
def test_one_pool_for_all_queues(fleet: Fleet) -> None:
    fleet.configure(queues=["a", "b"], balance="off", max_processes=5, max_shift=4)
    fleet.supervise()
    gates = fleet.hold(5, "b")
    wait_until(lambda: all(map(begun, gates)), 15, "five jobs at once")
    assert fleet.sizes() == {"a,b": 5}
    for gate in gates:
        gate.touch()


@EMBEDDED
def test_a_killed_master_takes_nothing_with_it(fleet: Fleet) -> None:
    fleet.configure(max_processes=2)
    master = fleet.supervise()
    (gate,) = fleet.hold(1)
    wait_until(lambda: begun(gate), 10)
    waiting = fleet.project._jobman.dispatch("hello").id
    family = fleet.processes()
    refused = fleet.project.run("supervise", check=False)
    assert refused.returncode == 2
    assert "runs on this host already" in refused.stderr and "hint: " in refused.stderr
    os.kill(master.pid, signal.SIGKILL)
    wait_until(lambda: fleet.supervisor().state == "stopping", 10, "the supervisor's answer")
    again = fleet.supervise()  # the name is free at once
    gate.touch()
    until_gone(family)
    fleet.project.until(waiting, "completed")
    held = fleet.project.jobs()[0]
    assert (held.status, held.attempts, held.rescues) == ("completed", 1, 0)
    again.terminate()
    assert again.wait() == 0
    assert fleet.look().silent == [], "its successor has the name, so nobody misses it"


@SERVERS
def test_a_killed_supervisor_is_started_again(fleet: Fleet) -> None:
    fleet.configure(max_processes=2)
    master = fleet.supervise()
    (gate,) = fleet.hold(1)
    wait_until(lambda: begun(gate), 10)
    job = fleet.project.jobs()[0].id

    def is_rescued(times: int) -> bool:
        row = fleet.project.job(job)
        return (row.rescues, row.status) == (times, "running")

    for delay in (1, 2):
        first = fleet.supervisor()
        family = fleet.processes()
        os.kill(first.pid, signal.SIGKILL)
        until_gone(family)  # its workers die with it
        wait_until(lambda n=delay: f"started again in {n} s" in master.stderr, 5, f"a delay of {delay} s")
        wait_until(lambda old=first: fleet.successor_of(old), 20, "a new one")
        fleet.until_sizes(default=1)
        wait_until(lambda n=delay: is_rescued(n), 20, "the rescue, and the next attempt")
    assert fleet.look().silent == []
    gate.touch()
    assert fleet.project.until(job, "completed").attempts == 3


@EMBEDDED
def test_what_cannot_run_is_not_started_for_ever(fleet: Fleet) -> None:
    fleet.project.configure(modules=["not_there"])
    done = fleet.project.run("supervise", check=False, timeout=30)
    assert done.returncode == 78
    assert "has ended for good (exit 78)" in done.stderr
    assert "not_there" in done.stderr and "started again" not in done.stderr


@EMBEDDED
def test_environments(fleet: Fleet) -> None:
    fleet.project.configure(
        defaults={"default": {"queues": ["a", "b"], "max_processes": 3}},
        environments={"prod-*": {"default": {"balance": "simple", "max_processes": 2}}, "none": {}},
    )
    for options, said in [
        (["--environment", "nowhere"], "no environment 'nowhere'"),
        (["--config", "no.yaml"], "no.yaml"),
    ]:
        glob = options if options[0] == "--config" else []
        rest = [] if glob else options
        done = fleet.project.run(*glob, "supervise", *rest, check=False)
        assert (done.returncode, said in done.stderr) == (78, True), done.stderr
    fleet.project.configure(defaults={}, environments={"off": {"default": {"max_processes": 0}}})
    done = fleet.project.run("supervise", "--environment", "off", check=False)
    assert done.returncode == 78 and "none is to run here" in done.stderr
    fleet.project.configure(
        defaults={"default": {"queues": ["a", "b"], "max_processes": 3}},
        environments={"prod-*": {"default": {"balance": "simple", "max_processes": 2}}},
    )
    fleet.supervise("--environment", "prod-1")
    row = fleet.supervisor()
    assert (row.queues, row.balance, row.environment) == (["a", "b"], "simple", "prod-1")
    wait_until(lambda: fleet.sizes() == {"a": 1, "b": 1}, 10)


@EMBEDDED
@pytest.mark.parametrize(("limit", "value"), [("max_jobs", 2), ("memory", 1)])
def test_a_worker_at_its_limit_is_replaced(fleet: Fleet, limit: str, value: float) -> None:
    fleet.configure(min_processes=2, max_processes=2, **{limit: value})
    master = fleet.supervise()
    jobs = [fleet.project._jobman.dispatch("who").id for _ in range(12)]
    pids = {fleet.project.until(job, "completed").attribs["pid"] for job in jobs}
    if limit == "max_jobs":
        assert len(pids) >= 6
    wait_until(lambda: len({row.pid for row in fleet.look().workers} | pids) > 2, 10, "another worker")
    assert set(fleet.course("default", 1.5)) <= {1, 2}
    assert " died" not in master.stderr


@EMBEDDED
def test_hangup_brings_new_code_and_keeps_what_was_paused(fleet: Fleet) -> None:
    fleet.configure(max_processes=1)
    master = fleet.supervise()
    config = fleet.project.path / "jobman.yaml"
    good = config.read_text()
    config.write_text("nonsense: 1")
    master.send_signal(signal.SIGHUP)
    wait_until(lambda: "cannot be used" in master.stderr, 10, "the refusal")
    config.write_text(good)

    first = fleet.supervisor()
    code = fleet.project.path / "jobs_of_a_project.py"
    code.write_text(code.read_text().replace('return "greeted"', 'return "new"'))
    fleet.project.run("pause", "--supervisor", "default")
    master.send_signal(signal.SIGHUP)
    wait_until(lambda: fleet.successor_of(first), 20, "a new one")
    assert fleet.supervisor().state == "paused"
    job = fleet.project._jobman.dispatch("hello").id
    time.sleep(1)
    assert fleet.project.job(job).status == "queued"
    fleet.project.run("continue", "--supervisor", "default")
    assert fleet.project.until(job, "completed").completed_code == "new"


@EMBEDDED
def test_reload_starts_anew_when_code_changes(fleet: Fleet) -> None:
    fleet.configure(max_processes=1)
    fleet.supervise("--reload")
    code = fleet.project.path / "jobs_of_a_project.py"
    good = code.read_text()
    master = fleet.look().masters[0].pid

    def gone() -> bool:
        return not fleet.look().supervisors

    code.write_text("this is no Python")
    wait_until(gone, 15, "the end of the first")
    time.sleep(1)
    assert psutil.pid_exists(master), "it waits for better code"
    code.write_text(good.replace('return "greeted"', 'return "new"'))
    job = fleet.project._jobman.dispatch("hello").id
    assert fleet.project.until(job, "completed").completed_code == "new"


@EMBEDDED
def test_reload_says_what_it_needs(project: Project) -> None:
    (project.path / "watchfiles.py").write_text("raise ImportError")
    env = {"PYTHONPATH": f"{project.path}:{ROOT}"}
    done = run_jobman("supervise", "--reload", cwd=project.path, env=env, check=False)
    assert done.returncode == 2 and "jobman-cli[reload]" in done.stderr


@EMBEDDED
def test_one_signal_lets_jobs_finish_even_when_it_comes_twice(fleet: Fleet) -> None:
    """A process manager sends TERM to the whole group: the supervisor hears it from two sides."""
    fleet.configure(max_processes=1)
    master = fleet.supervise()
    (gate,) = fleet.hold(1)
    wait_until(lambda: begun(gate), 10)
    master.terminate()
    wait_until(lambda: "stopping: running jobs may finish" in master.stderr, 5)
    os.kill(fleet.supervisor().pid, signal.SIGTERM)
    time.sleep(0.5)
    gate.touch()
    assert master.wait() == 0
    job = fleet.project.jobs()[0]
    assert (job.status, job.attempts) == ("completed", 1)


@EMBEDDED
def test_a_second_interrupt_gives_jobs_back(fleet: Fleet) -> None:
    fleet.configure(max_processes=1)
    master = fleet.supervise()
    (gate,) = fleet.hold(1)
    wait_until(lambda: begun(gate), 10)
    master.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping: running jobs may finish" in master.stderr, 5)
    master.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert master.wait(9) == 130
    assert time.monotonic() - began < 8, "it did not wait for the shutdown timeout"
    job = fleet.project.jobs()[0]
    assert (job.status, job.attempts) == ("queued", 0)
    assert "Traceback" not in master.stderr


@EMBEDDED
def test_the_dashboard_beside_supervisors_is_kept_running_and_ends_with_them(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fleet.project.configure(dashboard={"port": port})
    fleet.configure(max_processes=1)
    master = fleet.supervise("--dashboard")

    def served() -> psutil.Process | None:
        """A dashboard that answers."""
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            assert answer.read() == b"ok\n"
            children = psutil.Process(master.pid).children()
            return next((child for child in children if "dashboard" in child.cmdline()), None)
        return None

    first = wait_until(served, 20, "the dashboard")
    first.kill()
    wait_until(lambda: "the dashboard died (signal 9); started again in 1 s" in master.stderr, 10)
    second = wait_until(served, 20, "its successor")
    assert second != first
    assert len(fleet.look().supervisors) == 1, "it is no supervisor"
    master.terminate()
    assert master.wait() == 0
    assert is_gone(second)

    again = fleet.supervise("--dashboard")
    wait_until(lambda: "the dashboard is at " in again.stderr, 20)
    (child,) = (each for each in psutil.Process(again.pid).children() if "dashboard" in each.cmdline())
    os.kill(again.pid, signal.SIGKILL)
    until_gone([child])
