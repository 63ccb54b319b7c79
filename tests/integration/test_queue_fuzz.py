"""Any message in a line: dropped, never raised, and no row but the real job's is touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fuzzing import many, patience, tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig, add_jobs
from servers import RedisServer
from sqlalchemy import text

from jobman_cli.store.database import Database

#: Messages that are put into the line at once.
BATCH = 50
# Ids of no row: a message with the id of a job that waits is that job's, whoever sent it.
digits = st.integers(10**6, 2**70).map(lambda number: b"%019d" % number)
messages = st.binary(max_size=40) | digits | st.text(max_size=12).map(lambda t: t.encode("utf-8", "replace"))
scores = st.floats(allow_nan=False, width=64)
batches = st.dictionaries(messages, scores, min_size=BATCH, max_size=BATCH)


@pytest.fixture
def rig(sqlite_template: Path, tmp_path: Path, redis_server: RedisServer) -> Any:
    path = tmp_path / "jobman.db"
    shutil.copy(sqlite_template, path)
    store = Database(f"sqlite:///{path}")
    redis_server.flush()
    rig = Rig(store, redis_server.url, tmp_path)
    yield rig
    rig.close()
    store.close()


@pytest.mark.timeout(patience(300))
def test_any_message(rig: Rig, redis_server: RedisServer) -> None:
    idle = add_jobs(rig.store, 3, queue="elsewhere")
    worker = rig.worker()

    def rows() -> list[Any]:
        query = text("SELECT * FROM jobmans WHERE queue = 'elsewhere' ORDER BY id")
        with rig.store.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    before = rows()
    assert len(before) == len(idle)
    with redis_server.client() as client:

        @settings(
            max_examples=many(6, 1 / BATCH),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(batches)
        def check(some: dict[bytes, float]) -> None:
            job = rig.dispatch("noop")
            client.zadd("jobman:queue:default", some)
            for _ in range(BATCH):  # a drain ends after two turns in which no job ran
                worker.drain()
                if not rig.engine.size("default"):
                    break
            assert rig.row(job).status == "completed"
            assert rig.engine.size("default") == 0
            tried("queue", len(some))

        check()
    assert rows() == before
