"""The schedule with real processes: jobs by the clock, and an operation whose process is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psutil
import pytest
from processes import JobmanProcess, wait_until
from project import Project
from sqlalchemy import select

from jobman_cli.store.database import Database
from jobman_cli.store.tables import SCHEDULE_FIRES

EMBEDDED = pytest.mark.parametrize("project", ["sqlite-database"], indirect=True)
#: An operation that never ends while the file is not there. Plugins cannot bring one, so it is put in.
SLOW = """
import time
from pathlib import Path
from jobman_cli.operations import chores

def slow(parts, options, progress):
    Path(options["gate"] + ".began").touch()
    while not Path(options["gate"]).exists():
        progress(1)
        time.sleep(0.01)
    return "done"

chores.CHORES = {**chores.CHORES, "slow": chores.Chore(slow, {"gate": (lambda _: True, "a file")})}
"""


def fires(project: Project) -> list[Any]:
    database = Database(project.settings["database"])
    try:
        with database.reading() as connection:
            return list(connection.execute(select(SCHEDULE_FIRES).order_by(SCHEDULE_FIRES.c.id)).all())
    finally:
        database.close()


def maintenance_of(supervisor: JobmanProcess) -> int:
    """The supervisor's child that is no worker: the first one that it started."""
    return min(child.pid for child in psutil.Process(supervisor.pid).children())


def test_each_time_once_by_two_supervisors(
    project: Project, start_jobman: Callable[..., JobmanProcess]
) -> None:
    project.configure(schedule=[{"name": "tick", "every": 1, "job": "hello", "catch_up": "all"}])
    supervisors = [start_jobman("run-worker", cwd=project.path) for _ in range(2)]
    wait_until(lambda: len(fires(project)) >= 5, 30, "five times")
    for supervisor in supervisors:
        supervisor.terminate()
    assert [supervisor.wait() for supervisor in supervisors] == [0, 0]
    rows = fires(project)
    moments = [row.fire_at for row in rows]
    assert {later - earlier for earlier, later in pairwise(moments)} == {timedelta(seconds=1)}
    jobs = project.jobs()
    assert [job.id for job in jobs] == [row.jobman_id for row in rows]
    assert all(job.tags == ["schedule:tick"] for job in jobs)
    assert any(job.status == "completed" for job in jobs)


@EMBEDDED
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
def test_an_operation_outlives_its_process(
    project: Project, start_jobman: Callable[..., JobmanProcess], end: signal.Signals
) -> None:
    (project.path / "slow_chore.py").write_text(SLOW)
    gate = project.gate()
    project.configure(
        modules=["jobs_of_a_project", "slow_chore"],
        schedule=[{"name": "clean", "every": 1, "operation": "slow", "gate": str(gate)}],
        lease=2,
        heartbeat=0.3,
        sweep=0.2,
    )
    first = start_jobman("run-worker", cwd=project.path)
    wait_until(lambda: [row.outcome for row in fires(project)][:1] == ["running"], 20, "the operation")
    if end is signal.SIGKILL:
        os.kill(maintenance_of(first), signal.SIGKILL)
    else:
        first.terminate()
        assert first.wait() == 0
        assert (fires(project)[0].outcome, fires(project)[0].claims) == ("waiting", 0)
        start_jobman("run-worker", cwd=project.path)
    gate.touch()
    row = wait_until(
        lambda: row if (row := fires(project)[0]).outcome == "completed" else None, 40, "its end"
    )
    assert (row.claims, row.message) == (2 if end is signal.SIGKILL else 1, "done")
    assert all(other.outcome in ("skipped", "completed", "waiting", "running") for other in fires(project))
