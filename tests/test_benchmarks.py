"""The benchmarks' harness: it measures what ran, names what did not, and compares only what can be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from processes import ROOT, jobman_environment
from provision import give_up
from servers import PostgresServer, RedisServer, ServerUnavailable

from benchmarks import queueing, report, shards, targets, venvs
from benchmarks.costs import note
from benchmarks.measures import TINY
from benchmarks.run import Run, rounds
from benchmarks.stopwatch import Stopwatch
from benchmarks.systems import SYSTEMS, Ground, NotMeasured, names

MACHINE = {"cpu": "a processor", "cores": 2, "memory_gb": 24.0, "kernel": "6.1", "python": "3.11.7"}


def benchmarks(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *map(str, args)]
    env = jobman_environment()
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def made_up(*samples: dict[str, object], **more: object) -> report.Run:
    """A run with these samples; each needs `round` and `system`."""
    filled = [{"others": 0.0, **sample} for sample in samples]
    size = {"rounds": 3, "rows": 1000}
    plain = {"profile": "quick", "size": size, "began": "", "minutes": 1.0, "missing": {}, "once": {}}
    return {"machine": MACHINE, **plain, "samples": filled, **more}


@pytest.fixture
def ground():
    found = Ground()
    yield found
    found.close()


@pytest.fixture
def redis_is_here() -> None:
    try:
        RedisServer()
    except ServerUnavailable as error:
        give_up(f"Redis: {error}")


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("redis_is_here")
def test_a_tiny_run(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    systems = ("huey-redis", "jobman-sqlite-database")
    only = ("--only", "dispatch", "drain", "latency")
    done = benchmarks(
        "--profile", "tiny", "--systems", *systems, *only, "--out", out, "--plots", tmp_path / "plots"
    )
    assert done.returncode == 0, done.stderr
    run = json.loads(out.read_text())
    assert not run["missing"], done.stderr
    assert set(run["machine"]) >= set(MACHINE)
    for system in systems:
        for figure in ("dispatch", "drain_one", "cpu_us", "p50_ms", "worker_mb"):
            assert report.median(run, system, figure) > 0, (system, figure)
    assert report.median(run, "jobman-sqlite-database", "bulk") > 0
    assert report.median(run, "huey-redis", "bulk") is None, "Huey has no bulk call"
    assert "| Jobman, SQLite | job |" in done.stdout
    drawn = ElementTree.parse(tmp_path / "plots" / "drain-one.svg")
    assert {SYSTEMS[name].title for name in systems} <= {text.strip() for text in drawn.getroot().itertext()}


def test_runs_of_two_machines_are_not_compared(tmp_path: Path) -> None:
    paths = {}
    sample = {"round": 1, "system": "huey-redis", "drain_one": 100.0}
    runs = {
        "here": made_up(sample),
        "faster": made_up({**sample, "drain_one": 150.0}),
        "elsewhere": made_up(sample, machine={**MACHINE, "cpu": "another"}),
        "longer": made_up(sample, profile="full"),
    }
    for name, run in runs.items():
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(run))
    done = benchmarks("--compare", paths["here"], paths["elsewhere"])
    assert done.returncode == 2 and "cpu: a processor ≠ another" in done.stderr and not done.stdout
    done = benchmarks("--compare", paths["here"], paths["longer"])
    assert done.returncode == 2 and "profile: quick ≠ full" in done.stderr
    done = benchmarks("--compare", paths["here"], paths["faster"])
    assert done.returncode == 0 and "| 100.0 | 150.0 | 1.50 |" in done.stdout


@pytest.mark.usefixtures("redis_is_here")
def test_who_cannot_be_installed_is_named(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> Path:
        raise venvs.NotInstalled("no matching distribution")

    monkeypatch.setattr(venvs, "python_of", nowhere)
    run = Run("tiny", TINY)
    rounds(run, ground, ["rq"], ["drain"])
    assert run.missing == {"rq": "cannot be installed: no matching distribution"}
    assert "- not measured: rq: cannot be installed" in report.missing(run.as_json())


@pytest.mark.usefixtures("redis_is_here")
def test_a_profile_keeps_to_its_time(ground: Ground) -> None:
    run = Run("tiny", replace(TINY, minutes=1e-9))
    rounds(run, ground, ["huey-redis"], ["drain", "latency"])
    assert not run.samples
    assert run.missing == {"all from round 1, drain of huey-redis, on": "the profile's time was up"}


def test_workers_that_do_not_start_are_named(ground: Ground) -> None:
    with ground.place(SYSTEMS["jobman-sqlite-database"]) as place:
        setting = {"command": ["python", "-c", "raise OSError('no luck')"], "environment": {}, "processes": 1}
        with (
            pytest.raises(NotMeasured, match="stopped at 0 of 5 jobs: OSError: no luck"),
            place.workers(setting) as crew,
        ):
            place.wait(5, crew)


def test_ratios_are_of_the_same_round_and_to_the_best() -> None:
    run = made_up(
        {"round": 1, "system": "huey-redis", "drain_one": 100.0, "p50_ms": 2.0},
        {"round": 1, "system": "rq", "drain_one": 200.0, "p50_ms": 4.0},
        {"round": 1, "system": "jobman-postgresql-redis", "drain_one": 400.0, "p50_ms": 1.0},
        {"round": 2, "system": "huey-redis", "drain_one": 50.0},
        {"round": 2, "system": "jobman-postgresql-redis", "drain_one": 400.0},
        {"round": 3, "system": "jobman-postgresql-redis", "drain_one": 400.0},
    )
    both, own = ["huey-redis", "rq"], "jobman-postgresql-redis"
    assert report.ratios(run, own, both, "drain_one") == [2.0, 8.0]
    assert report.ratios(run, own, both, "p50_ms") == [0.5]
    found = {verdict.target: verdict for verdict in targets.verdicts(run)}
    huey = found["drain, one worker, PostgreSQL + Redis: ≥ 4 × bare Huey"]
    assert huey.met and huey.figure == "6.00 × (4.00-8.00)"
    assert found["idle p99, PostgreSQL + Redis: ≤ 15 ms"].figure == ""
    best = found["drain, best setting, PostgreSQL + Redis: ≥ 2.5 × the fastest peer of any kind"]
    assert not best.met and not best.figure


def test_a_target_that_is_missed_says_so() -> None:
    run = made_up(
        {"round": 1, "system": "huey-redis", "drain_one": 100.0, "worker_mb": 20.0},
        {"round": 1, "system": "jobman-postgresql-redis", "drain_one": 399.0, "worker_mb": 56.0},
    )
    missed = {verdict.target for verdict in targets.verdicts(run) if verdict.figure and not verdict.met}
    assert missed == {
        "drain, one worker, PostgreSQL + Redis: ≥ 4 × bare Huey",
        "an idle worker process (PSS): ≤ bare Huey's + 35 MB",
    }


def test_a_loud_machine_is_no_secret() -> None:
    sample = {"round": 1, "system": "huey-redis", "drain_one": 100.0}
    assert "Not a quiet machine" not in report.circumstances(made_up(sample))
    ours = {"round": 1, "system": "jobman-postgresql-redis", "drain_one": 900.0}
    loud = made_up({**sample, "others": 0.9}, {**ours, "others": 0.9})
    assert "Not a quiet machine" in report.circumstances(loud)
    assert "≥ 4 × bare Huey | 9.00 × (9.00-9.00) | met |" in targets.table(made_up(sample, ours))
    assert "≥ 4 × bare Huey | 9.00 × (9.00-9.00) | not judged" in targets.table(loud)


def test_every_peer_has_its_module_and_its_pins() -> None:
    peers = {system.peer for system in SYSTEMS.values()}
    assert {path.stem for path in (ROOT / "benchmarks/peers").glob("[a-z]*.py")} == peers
    assert set(venvs.pins()) == peers - set(venvs.OURS)
    assert all("==" in pin for pins in venvs.pins().values() for pin in pins)
    assert names(["celery", "rq"]) == ["rq", "celery-redis", "celery-postgresql"]
    with pytest.raises(SystemExit, match="no such system: rqq"):
        names(["rqq"])


def test_a_stopwatch_gives_each_moment_to_one_stage() -> None:
    watch = Stopwatch()

    class Work:
        def outer(self) -> None:
            spin(0.03)
            self.inner()
            spin(0.03)

        def inner(self) -> None:
            time.sleep(0.05)

    def spin(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    watch.wrap(Work, "outer", "outer")
    watch.wrap(Work, "inner", "inner")
    watch.follow()
    Work().outer()
    stranger = threading.Thread(target=Work().outer)
    stranger.start()
    stranger.join()
    outer, inner = watch.stages["outer"], watch.stages["inner"]
    assert (outer.entered, inner.entered) == (1, 1), "another thread's calls do not count"
    assert 0.06 <= outer.cpu < 0.08 and outer.wall >= outer.cpu - 0.001
    assert inner.wall >= 0.05 and inner.cpu < 0.02, "sleeping is waiting"


@pytest.mark.timeout(300)
def test_the_microcosts_of_a_job() -> None:
    options = ("--jobs", "300", "--rounds", "1", "--system", "jobman-sqlite-database")
    command = [sys.executable, "-m", "benchmarks.microcosts", *options]
    env = jobman_environment()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for stage in ("the job itself", "finish: the statement", "claim: the statement", "COMMIT"):
        assert re.search(rf"^\| [^|]*{stage}[^|]* \| [\d.]+ \| [\d.]+ \|", done.stdout, re.M), stage
    assert "the job itself (a write of eight bytes) | 1.000 |" in done.stdout


def program(module: str, *options: object) -> str:
    """What a benchmark prints when it is run by itself."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, options)]
    env = jobman_environment()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def postgres_is_here() -> None:
    try:
        PostgresServer()
    except ServerUnavailable as error:
        give_up(f"PostgreSQL: {error}")


@pytest.mark.usefixtures("postgres_is_here")
def test_partitions_lose_no_job() -> None:
    """That every month ends with its number of rows is the benchmark's own check."""
    told = program("partitions", "--rows", 600, "--jobs", 100, "--rounds", 1)
    assert "| | one table | by created_at | by id | by id, bounded | by id, named |" in told
    assert re.search(r"^\| DETACH CONCURRENTLY, DROP: s \| –( \| [\d.]+){4} \|$", told, re.M)
    assert "must include all partitioning columns" in told


@pytest.mark.usefixtures("redis_is_here")
def test_queues_shard_by_their_names() -> None:
    told = program("shards", "--ids", 500, "--rounds", 1, "--servers", 1)
    assert re.search(r"^\| 1 \| 4 \| 1, 1 \| [\d,]+ \|", told, re.M)
    assert [shards.shard_of(name, 4) for name in shards.names(4, 4)] == [0, 1, 2, 3]


@pytest.mark.usefixtures("postgres_is_here")
def test_a_replica_answers_the_dashboard() -> None:
    told = program("replica", "--rows", 300, "--seconds", 0.3, "--rounds", 1, "--visits", 2)
    pages = re.search(r"^Pages that answer from the replica: (\d+) of (\d+)$", told, re.M)
    assert pages and pages[1] == pages[2]


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("redis_is_here", "postgres_is_here")
def test_what_a_job_costs() -> None:
    told = program("job_costs", "--jobs", 300, "--rounds", 1, "--idle", 0.1)
    for name in ("worker_us", "run_wal_bytes", "row_bytes", "postgresql_network_bytes", "worker_mb"):
        found = re.search(rf"^\| {name} \| ([\d.,]+) \| ([\d.,]+) \|$", told, re.M)
        assert found and all(float(each.replace(",", "")) > 0 for each in found.groups()), name


def test_the_formula_of_waits_is_erlangs() -> None:
    alone = queueing.wait(8.0, 0.1, 1)
    assert alone.some == pytest.approx(0.8) and alone.mean == pytest.approx(0.4), "M/M/1: ρ / (μ - λ)"
    many = queueing.wait(90.0, 0.1, 10)
    assert many.some == pytest.approx(0.6687, abs=1e-4), "Erlang C of 9 erlangs and 10 servers"
    assert queueing.simulated(90.0, 0.1, 10, 200_000) == pytest.approx(many.mean, rel=0.15)
    assert queueing.wait(100.0, 0.1, 10).mean == float("inf")
    assert queueing.wait(11_574 * 5, 0.05, 3000).mean < 0.01, "large numbers do not overflow"


def test_a_day_with_its_peak() -> None:
    minutes = queueing.rates(100.0, 5.0, 1.0)
    assert sum(minutes) / 1440 == pytest.approx(100.0) and max(minutes) == 500.0
    assert queueing.day(minutes, 500.0).backlog == 0
    worst = queueing.day(minutes, 200.0)
    assert worst.backlog == pytest.approx(300 * 3600)
    assert worst.longest == pytest.approx(300 * 3600 / 200)


def test_the_model_says_what_it_was_told(tmp_path: Path) -> None:
    costs = tmp_path / "costs.json"
    before = program("scale_model", "--costs", costs)
    assert "Not a measurement" in before and "| **assumed** |" in before
    note("python -m benchmarks.job_costs", 0.25, {"each.run_wal_bytes": 99_000.0}, costs)
    after = program("scale_model", "--costs", costs, "--set", "peak=2", "--days", 30)
    assert re.search(
        r"^\| each.run_wal_bytes \| 99,000 \| measured \| python -m .*others 25% \|$", after, re.M
    )
    assert re.search(r"^\| peak \| 2.0 \| \*\*assumed\*\* \| given \|$", after, re.M)
    assert "| jobs, peak | 231 /s | 2,315 /s | 23,148 /s |  |" in after
    assert "PostgreSQL: WAL, peak 20.0 ×" in after
