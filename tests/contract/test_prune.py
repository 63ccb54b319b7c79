"""Prune, on every database: what is old and finished goes, by range or by list, and nothing else does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from rig import add_jobs, change, row_of
from sqlalchemy import insert, select

from jobman_cli.operations.parts import Records
from jobman_cli.operations.prune import cutoff, prune
from jobman_cli.settings import Settings
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle import prune as statements
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS

STATES = ("completed", "failed", "cancelled", "queued", "running", "scheduled", "pending")


@pytest.mark.parametrize("way", ["range", "list", "archive"])
@pytest.mark.parametrize("unfinished", [False, True])
def test_what_is_old_and_finished_goes(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, unfinished: bool
) -> None:
    monkeypatch.setattr("jobman_cli.operations.prune.FEWEST", 1)
    monkeypatch.setattr("jobman_cli.operations.prune.MOST", 6)
    if way == "list":
        monkeypatch.setattr(statements, "SPREAD", 0)
    records = Records(Settings(root=tmp_path, database=str(store.url)), store)
    before = cutoff(records, 180)
    ids = add_jobs(store, 40)
    expected = []
    for at, job_id in enumerate(ids):
        status, old = STATES[at % 7], at % 10 != 9
        # Times that fall while ids rise: a batch of the oldest is then scattered over the ids.
        age = timedelta(seconds=at % 3 * 100 + 1)
        change(store, job_id, status=status, created_at=before - age if old else before + age)
        goes = status != "running" if unfinished else at % 7 < 3
        if not (old and goes):
            expected.append(job_id)
    with store.transaction() as connection:
        now = row_of(store, ids[0]).created_at
        attempt = {"number": 1, "claim": 1, "ended_at": now, "outcome": "error"}
        failure = {
            "connection": "redis",
            "queue": "default",
            "payload": "{}",
            "exception": "",
            "failed_at": now,
        }
        connection.execute(insert(ATTEMPTS), [{"jobman_id": each, **attempt} for each in ids])
        connection.execute(
            insert(FAILED_JOBS), [{"jobman_id": each, "uuid": str(each), **failure} for each in ids]
        )
    archive = tmp_path / "old.jsonl.gz" if way == "archive" else None
    assert prune(records, before, unfinished=unfinished, archive=archive) == len(ids) - len(expected)
    with store.reading() as connection:
        assert sorted(connection.execute(select(JOBS.c.id)).scalars()) == expected
        for table in (ATTEMPTS, FAILED_JOBS):
            assert sorted(connection.execute(select(table.c.jobman_id)).scalars()) == expected
