"""Workers, supervisors and whole trees that are killed, frozen and told to stop, under load."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from processes import is_gone, wait_until
from scene import LONG, Scene, pick
from sqlalchemy import text

COMBINATIONS = ("sqlite-database", "postgresql-redis", "mariadb-redis")
if LONG:
    COMBINATIONS += ("postgresql-database", "mariadb-database", "sqlite-redis")
#: The whole tree, or the supervisor alone, is frozen.
FREEZES = [("postgresql-redis", True), ("sqlite-database", False)]
if LONG:
    FREEZES += [("sqlite-database", True), ("postgresql-redis", False), ("mariadb-redis", True)]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_kills_under_load(make_scene: Any, combination: str, seed: int) -> None:
    """T2: kill -9 of a child, of a parent, of a whole tree, again and again."""
    scene: Scene = make_scene(combination, seed)
    kills, workers = pick(6, 50), 2
    supervisors = [scene.supervisor(workers) for _ in range(2)]
    scene.client(pick(200, 2500), "effect", pause=0.005, ms=15)
    scene.client(pick(200, 2500), "plain", pause=0.005, ms=5)
    wait_until(lambda: scene.completed() > 10, 30, "the first jobs")
    for number in range(kills):
        time.sleep(scene.random.uniform(0.1, 0.5))
        victim = scene.random.choice(supervisors)
        kind = ("child", "parent", "tree")[number % 3]
        if kind == "child":
            children = wait_until(lambda: scene.children(victim) or victim.family()[1:], 30, "children")  # noqa: B023
            os.kill(scene.random.choice(children).pid, signal.SIGKILL)
            continue
        if kind == "parent":
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
        else:
            victim.kill()
        supervisors.remove(victim)
        supervisors.append(scene.supervisor(workers))
    verdict = scene.drain(90)
    assert verdict.facts["states"] == {"completed": verdict.acknowledged}, verdict
    # T15: each extra claim is owed to a kill. These jobs are too long to be claimed ahead, so a worker that
    # is hit holds one: it runs, or has run and is recorded with the next claim.
    extra = verdict.facts["claims"] - verdict.acknowledged
    assert extra <= kills * workers, verdict
    assert verdict.facts["rescues"] <= kills * workers, verdict


def test_a_killed_child_is_replaced_and_its_job_runs_again_at_once(make_scene: Any) -> None:
    scene: Scene = make_scene("postgresql-redis")
    scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    began = time.monotonic()
    scene.worker_of(job).kill()
    scene.until_started(2, timeout=10)
    assert time.monotonic() - began < 2.0
    scene.gate().touch()
    scene.drain()
    row = scene.row(job)
    assert (row.status, row.attempts, row.claims, row.rescues) == ("completed", 2, 2, 1)
    assert [(each.outcome, each.error_message) for each in scene.attempts(job)] == [
        ("rescued", "worker died: signal 9")
    ]


@pytest.mark.parametrize("combination", ["sqlite-database", "postgresql-redis"])
def test_no_child_survives_its_supervisor(make_scene: Any, combination: str) -> None:
    """PDEATHSIG; then another supervisor of the host sees the dead pids."""
    scene: Scene = make_scene(combination)
    victim = scene.supervisor(2)
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    family = victim.family()
    assert len(family) == 4  # itself, two workers, the maintenance
    scene.supervisor(1)
    began = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: all(map(is_gone, family)), 1, "the end of the children")
    scene.until_started(2, timeout=10)
    assert time.monotonic() - began < 7.0
    scene.gate().touch()
    scene.drain()
    assert scene.row(job).rescues == 1


def test_rolling_restarts_rescue_nothing(make_scene: Any, seed: int) -> None:
    """T3: SIGTERM finishes the job in hand; nothing is rescued and nothing is lost."""
    scene: Scene = make_scene("postgresql-redis", seed)
    current = scene.supervisor(2)
    scene.client(pick(300, 3000), "effect", pause=0.005, ms=10)
    for _ in range(pick(3, 20)):
        time.sleep(scene.random.uniform(0.2, 0.5))
        following = scene.supervisor(2)
        began = time.monotonic()
        current.terminate()
        assert current.wait(15) == 0
        assert time.monotonic() - began < 3.0
        current = following
    verdict = scene.drain()
    assert verdict.facts["rescues"] == 0
    assert verdict.facts["attempts"] == verdict.acknowledged


def test_a_graceful_stop_keeps_the_lease(make_scene: Any) -> None:
    """A job that takes longer than the lease to end, after TERM, is not given to anybody else."""
    scene: Scene = make_scene("postgresql-redis")
    stopping = scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    scene.supervisor()
    stopping.terminate()
    time.sleep(6)
    assert (scene.row(job).status, scene.row(job).claims) == ("running", 1)
    scene.gate().touch()
    assert stopping.wait(5) == 0
    scene.drain()
    assert (scene.row(job).attempts, scene.row(job).rescues) == (1, 0)


def test_a_stop_that_takes_too_long_gives_the_job_back(make_scene: Any) -> None:
    scene: Scene = make_scene("postgresql-redis", shutdown_timeout=0.5)
    stopping = scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    stopping.terminate()
    assert stopping.wait(5) == 0
    row = scene.row(job)
    assert (row.status, row.attempts, row.rescues, row.claims) == ("queued", 0, 0, 1)
    scene.supervisor()
    scene.gate().touch()
    scene.drain()


@pytest.mark.parametrize("number", range(pick(1, 4)), ids=lambda number: f"round{number}")
@pytest.mark.parametrize(("combination", "whole"), FREEZES)
def test_frozen_for_two_leases(make_scene: Any, combination: str, whole: bool, number: int) -> None:
    """T4: the lease runs out, the job runs elsewhere, and who wakes up is refused and ends.

    Frozen is the whole tree, or the supervisor alone, while its worker goes on with its job.
    """
    scene: Scene = make_scene(combination)
    frozen = scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    plain = scene.dispatch("held_plain", gate=str(scene.gate("other")))
    scene.until_started(1)
    old = scene.row(job).worker_id
    scene.supervisor(2)
    began = time.monotonic()
    if whole:
        frozen.freeze()
    else:
        os.kill(frozen.pid, signal.SIGSTOP)
    scene.until_started(2, timeout=15)
    assert 2.0 < time.monotonic() - began < 9.0
    wait_until(lambda: time.monotonic() - began > 6, 10)
    scene.gate("other").touch()
    if not whole:  # the old worker tries to finish while the new one still runs
        scene.gate().touch()
        scene.until(job, "completed")
        os.kill(frozen.pid, signal.SIGCONT)
    else:
        frozen.thaw()
        time.sleep(0.5)
        scene.gate().touch()
    scene.drain()
    row = scene.row(job)
    assert (row.status, row.claims, row.rescues) == ("completed", 2, 1)
    assert row.worker_id != old
    assert scene.row(plain).status == "completed"
    # It registers anew and goes on working.
    wait_until(lambda: len(scene.workers("running")) == 3, 10, "a new worker in the thawed supervisor")
    assert [worker.state for worker in scene.workers() if worker.uuid == old] == ["lost"]


def test_a_worker_whose_row_is_gone(make_scene: Any) -> None:
    """Its supervisor ends it, although it is busy, and another takes its place under a new name."""
    scene: Scene = make_scene("postgresql-redis")
    supervisor = scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    old, process = scene.row(job).worker_id, scene.worker_of(job)
    with scene.store.transaction() as connection:
        connection.execute(text("DELETE FROM jobman_workers"))
    wait_until(lambda: is_gone(process), 5, "the end of the worker that has no row")
    scene.until_started(2)
    scene.gate().touch()
    scene.drain()
    assert scene.row(job).worker_id != old
    assert supervisor.running


@pytest.mark.parametrize("combination", ["postgresql-redis", "mariadb-database"])
def test_an_attempt_that_was_given_up_has_no_effect(make_scene: Any, combination: str) -> None:
    """Its worker lives, and its job was run to the end by another, when it reaches its completing().

    Each step waits for the one before it, so the oracle's count does not depend on who is quicker: the
    supervisor that would end the old worker is frozen until the old worker has tried.
    """
    scene: Scene = make_scene(combination)
    frozen = scene.supervisor()
    job = scene.dispatch("held", gate=str(scene.gate()))
    scene.until_started(1)
    old, process = scene.row(job).worker_id, scene.worker_of(job)
    scene.supervisor()
    os.kill(frozen.pid, signal.SIGSTOP)
    scene.until_started(2)
    assert [worker.state for worker in scene.workers() if worker.uuid == old] == ["lost"]
    scene.gate("gate.open-2").touch()
    scene.until(job, "completed")
    assert process.is_running() and not scene.gate("gate.tried-1").exists()
    scene.gate("gate.open-1").touch()
    wait_until(scene.gate("gate.tried-1").exists, 10, "the old worker's completing()")
    scene.drain()
    assert [attempt for _, attempt in scene.ask(text("SELECT job_id, attempt FROM effect"))] == [2]
    row = scene.row(job)
    assert (row.status, row.claims, row.rescues) == ("completed", 2, 1)
    assert row.worker_id != old
    os.kill(frozen.pid, signal.SIGCONT)


def test_poison_dies_alone_after_four_starts(make_scene: Any) -> None:
    """T10: a job that kills its workers among neighbours that do no harm."""
    scene: Scene = make_scene("postgresql-redis")
    scene.supervisor(2)
    starts = scene.path / "starts"
    scene.client(250, "effect", ms=2)
    poison = scene.dispatch("poison", file=str(starts))
    scene.client(250, "plain", ms=1)
    began = time.monotonic()
    row = scene.until(poison, "failed", timeout=20)
    assert time.monotonic() - began < 20
    assert starts.read_text().split() == ["1", "2", "3", "4"]
    assert row.error_message == "worker died 4 times"
    assert row.rescues == 4
    assert len(scene.failed(poison)) == 1
    scene.drain()
    charged = [each.id for each in scene.rows(text("rescues > 0"))]
    assert charged == [poison]


def test_a_job_that_swallows_its_timeout(make_scene: Any) -> None:
    """It is killed at timeout + grace: a failed try, not a rescue."""
    scene: Scene = make_scene("postgresql-redis")
    scene.supervisor()
    starts = scene.path / "starts"
    began = time.monotonic()
    job = scene.dispatch("stubborn", file=str(starts))
    row = scene.until(job, "failed", timeout=20)
    assert 2 * 1.5 <= time.monotonic() - began < 10
    assert starts.read_text().split() == ["1", "2"]
    assert (row.attempts, row.rescues) == (2, 0)
    assert "timed out after 0.5 s" in row.error_message
    assert [each.outcome for each in scene.attempts(job)] == ["timeout", "timeout"]
    assert len(scene.failed(job)) == 1
    job = scene.dispatch("effect")
    scene.drain()


def test_a_job_that_swallows_its_timeout_while_the_supervisor_stops(make_scene: Any) -> None:
    scene: Scene = make_scene("sqlite-database")
    supervisor = scene.supervisor()
    job = scene.dispatch("stubborn", file=str(scene.path / "starts"))
    wait_until((scene.path / "starts").exists, 10)
    supervisor.terminate()
    assert supervisor.wait(8) == 0
    row = scene.row(job)
    assert (row.status, row.attempts, row.rescues) == ("scheduled", 1, 0)


def test_thread_workers(make_scene: Any, seed: int) -> None:
    """They have no hard timeout; a thread stuck past it makes its process start anew."""
    scene: Scene = make_scene("postgresql-redis", seed, shutdown_timeout=0.5)
    supervisor = scene.supervisor(2, "--worker-type", "thread")
    assert "no hard timeout" in supervisor.stderr
    scene.client(60, "effect", ms=5)
    starts = scene.path / "starts"
    job = scene.dispatch("stubborn", file=str(starts))
    row = scene.until(job, "failed", timeout=25)
    assert (row.attempts, row.rescues) == (2, 0)
    scene.drain()
    assert supervisor.running


def test_a_killed_client_loses_nothing_it_acknowledged(make_scene: Any, seed: int) -> None:
    scene: Scene = make_scene("postgresql-redis", seed)
    scene.supervisor(2)
    for _ in range(pick(1, 5)):
        client = scene.client(5000, "effect")
        wait_until(lambda: scene.acknowledged() > 20, 20)
        client.kill()
        client.communicate()
        scene.clients.remove(client)
    assert scene.drain().acknowledged > 20


@pytest.mark.parametrize("combination", ["sqlite-database", "postgresql-database"])
def test_eight_claimers_for_each_row(make_scene: Any, combination: str) -> None:
    """T12: every row has one winner, whoever else asks for it."""
    scene: Scene = make_scene(combination)
    supervisors = [scene.supervisor(4) for _ in range(2)]
    scene.client(pick(800, 4000), "effect", many=200)
    verdict = scene.drain()
    # A second winner would be a second attempt; what was claimed ahead and given back is none.
    assert verdict.facts["attempts"] == verdict.acknowledged
    assert not any("locked" in each.stderr for each in supervisors), scene.last_words()
    assert verdict.facts["rescues"] == 0
