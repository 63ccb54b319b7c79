"""T11: a process ends at each named point, and nothing is lost, doubled or illegal afterwards.

The points are those of `crashing.py`. In the fast profile the points of a worker's life strike one after
another in one scene; the long profile gives each a scene of its own, and a worker's points three, in which
they strike at the first, the third and the eighth visit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crashing import EXIT, POINTS
from processes import jobman_environment, wait_until
from scene import HERE, LONG, Scene
from servers import RedisServer

COMBINATIONS = ("sqlite-database", "postgresql-redis")
WORKER = [name for name in POINTS if name.startswith(("turn", "finish", "fail", "completing", "release"))]
KEEPER = [name for name in POINTS if name.startswith(("rescue", "promote"))]
COMMANDS = [name for name in POINTS if name.startswith(("dispatch", "requeue", "retry", "prune"))]
QUEUE = [name for name in POINTS if name.startswith(("rebuild", "pending"))]


def crash(scene: Scene, names: list[str], skip: int = 0) -> dict[str, str]:
    tokens = scene.path / "tokens"
    tokens.mkdir(exist_ok=True)
    return {"CRASH_AT": ",".join(names), "CRASH_TOKENS": str(tokens), "CRASH_SKIP": str(skip)}


def struck(scene: Scene, name: str) -> bool:
    return (scene.path / "tokens" / name.replace(" ", "_")).exists()


def launch(scene: Scene, names: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a `jobman` command that ends at one of these points."""
    environment = jobman_environment(scene.environment(crash(scene, names)))
    command = [sys.executable, str(HERE / "crashing.py"), *arguments]
    return subprocess.run(
        command, env=environment, cwd=scene.path, capture_output=True, text=True, timeout=60, check=False
    )


def crashing_supervisor(
    scene: Scene, names: list[str], monkeypatch: pytest.MonkeyPatch, workers: int = 1, skip: int = 0
) -> Any:
    """A supervisor whose processes end at these points; each lets the first ``skip`` visits pass."""
    import processes

    real = processes.spawn

    def spawn(command: list[str], **options: Any) -> Any:
        at = command.index("jobman_cli") - 1
        return real([command[0], str(HERE / "crashing.py"), *command[at + 2 :]], **options)

    monkeypatch.setattr(processes, "spawn", spawn)
    process = scene.supervisor(workers, env=crash(scene, names, skip))
    monkeypatch.undo()
    return process


def grouped(names: list[str]) -> list[list[str]]:
    return [[name] for name in names] if LONG else [names]


def label(names: list[str]) -> str:
    return names[0].replace(": ", "-").replace(" ", "-") if len(names) == 1 else "all"


def test_every_point_has_a_test() -> None:
    assert sorted([*WORKER, *KEEPER, *COMMANDS, *QUEUE]) == sorted(POINTS)
    assert len(POINTS) >= 25


@pytest.mark.parametrize("skip", [0, 2, 7] if LONG else [0])
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("names", grouped(WORKER), ids=label)
def test_a_worker_ends(
    make_scene: Any, combination: str, names: list[str], skip: int, monkeypatch: Any
) -> None:
    """In the turn, in finish, in completing(): its supervisor replaces it."""
    scene: Scene = make_scene(combination)
    supervisor = crashing_supervisor(scene, names, monkeypatch, skip=skip)

    def feed() -> bool:
        if scene.unfinished() < 20:
            for _ in range(10):
                scene.dispatch("effect")
                scene.dispatch("plain")
            scene.dispatch("flaky")
            for job_id in scene.jobman.dispatch_many("plain", [{"ms": 0}] * 30):
                scene.acknowledge(job_id)
            scene.dispatch("plain", ms=400)  # behind it, the watch gives back what was claimed ahead
        missing = [name for name in names if not struck(scene, name)]
        return missing in ([], ["release: written"])

    wait_until(feed, 60, f"strikes; missing: {[n for n in names if not struck(scene, n)]}", interval=0.1)
    verdict = scene.drain(40)
    assert verdict.facts["states"] == {"completed": verdict.acknowledged}
    assert supervisor.running


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("names", grouped(KEEPER), ids=label)
def test_a_keeper_ends(make_scene: Any, combination: str, names: list[str], monkeypatch: Any) -> None:
    """In rescue and promote: the supervisor or its maintenance ends while it repairs; another goes on."""
    scene: Scene = make_scene(combination)
    jobs: list[int] = []
    scene.supervisor(1)  # lives on
    for name in names:
        crashing = crashing_supervisor(scene, [name], monkeypatch)
        for number in range(2):
            gate = f"{name}-{number}".replace(" ", "_")
            jobs.append(scene.dispatch("held", gate=str(scene.gate(gate))))
            scene.until_started(1, gate)
        scene.dispatch("flaky")
        later = scene.acknowledge(scene.jobman.dispatch("effect", {}, delay=0.5).id)
        if name.startswith("rescue"):
            for child in scene.children(crashing):
                child.kill()
        for number in range(2):
            scene.gate(f"{name}-{number}".replace(" ", "_")).touch()

        def feed(name: str = name) -> bool:
            if name.startswith("promote"):  # who promotes is left to chance: go on until it is this one
                scene.acknowledge(scene.jobman.dispatch("effect", {}, delay=0.1).id)
            return struck(scene, name)

        wait_until(feed, 30, f"{name} to strike", interval=0.2)
        scene.until(later, "completed", timeout=20)
        if name.startswith("rescue"):
            assert crashing.wait(5) == EXIT  # it was the supervisor itself
        else:
            crashing.kill()
    verdict = scene.drain(30)
    assert verdict.facts["states"] == {"completed": verdict.acknowledged}


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_command_ends(make_scene: Any, combination: str) -> None:
    """In dispatch, requeue, retry, prune: workers find what it left, and a second run does the rest."""
    scene: Scene = make_scene(combination)
    scene.supervisor(2)
    failed = scene.dispatch("fails")
    done = scene.dispatch("plain")
    scene.until(failed, "failed")
    scene.until(done, "completed")
    operations = ("dispatch: ", "dispatch many", "dispatch together", "requeue", "retry", "prune")
    for name in COMMANDS:
        before = {row.id: row for row in scene.rows()}
        operation = next(key for key in operations if name.startswith(key))
        run_operation(scene, name, operation, done)
        assert struck(scene, name), name
        scene.until(done, "completed") if any(row.id == done for row in scene.rows()) else None
        rows = {row.id: row for row in scene.rows()}
        # A single insert is its own transaction where the database can do that: it is there, and not pushed.
        alone = scene.store.dialect.commits_alone and "many" not in name
        if name.startswith("dispatch") and name.endswith("inserted") and not alone:
            assert set(rows) == set(before), "an insert that was not committed left rows"
        elif name.startswith("dispatch"):
            assert len(rows) == len(before) + (1 if operation == "dispatch: " else 3)
        elif name.startswith("prune"):
            assert set(rows) == set(before), "a prune that was not committed deleted rows"
    scene.drain(30)


def run_operation(scene: Scene, name: str, operation: str, done: int) -> None:
    """Run an operation in a process that ends at this point."""
    environment = jobman_environment(scene.environment(crash(scene, [name])))
    script = {
        "dispatch: ": "j.dispatch('effect', {})",
        "dispatch many": "j.dispatch_many('effect', [{}] * 3)",
        "dispatch together": "from jobman_cli.operations import dispatch as d; "
        "new = d.new_job(j.parts.registry.find('effect'), d.DEFAULTS); "
        "d._write_some(j.parts, new, ['{}'] * 3)",
        "requeue": f"from jobman_cli.operations.requeue import requeue; requeue(j.parts, [{done}])",
        "retry": "from jobman_cli.operations.failed import retry_all; "
        "from jobman_cli.store.queries_failed import FailedFilter; retry_all(j.parts, FailedFilter())",
        "prune": "from jobman_cli.operations.prune import prune; "
        "from datetime import datetime, UTC, timedelta; "
        "prune(j.parts, datetime.now(UTC) + timedelta(days=1))",
    }[operation]
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); import crashing, pathlib; "
        f"crashing.arm({name!r}, pathlib.Path({str(scene.path / 'tokens')!r}), 0); "
        f"from jobman_cli.app import Jobman; j = Jobman.from_config({str(scene.config)!r}); {script}"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=scene.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == EXIT, ended.stderr


@pytest.mark.parametrize("names", grouped(QUEUE), ids=label)
def test_the_queues_keeper_ends(
    make_scene: Any, redis_server: RedisServer, names: list[str], monkeypatch: Any
) -> None:
    """In the rebuild, and between the push of pending rows and its record."""
    scene: Scene = make_scene("postgresql-redis")
    crashing_supervisor(scene, names, monkeypatch)
    for name in names:
        if name.startswith("pending"):
            redis_server.kill()
            scene.dispatch("effect")
            redis_server.start()
        else:
            redis_server.flush()
        for _ in range(20):
            scene.dispatch("effect")
        wait_until(lambda name=name: struck(scene, name), 25, f"{name} to strike")
    verdict = scene.drain(40)
    assert verdict.facts["states"] == {"completed": verdict.acknowledged}


def test_the_launcher_runs_the_real_command(make_scene: Any) -> None:
    scene: Scene = make_scene("sqlite-database")
    ended = launch(scene, ["dispatch: pushed"], "dispatch", "effect", "{}", "--json")
    assert (ended.returncode, ended.stdout) == (EXIT, "")
    again = launch(scene, ["dispatch: pushed"], "dispatch", "effect", "{}", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["status"] == "queued"
    assert len(scene.rows()) == 2
    assert Path(scene.path / "tokens").exists()
