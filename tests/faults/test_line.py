"""Rows and their lines: pushes after the commit, rebuilds, what `clear` takes out. Rules 11 and 12."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig import Rig
from sqlalchemy import select

from jobman_cli.engine.redis_queue import RedisQueue
from jobman_cli.errors import QueueUnavailable
from jobman_cli.operations.cancel import clear
from jobman_cli.operations.dispatch import dispatch, dispatch_many
from jobman_cli.operations.line import push_pending
from jobman_cli.operations.reconcile import push_overtaken, rebuild
from jobman_cli.store.database import Database
from jobman_cli.store.tables import JOBS


@pytest.fixture
def redis_rig(store: Database, redis_url: str, tmp_path: Path) -> Any:
    rig = Rig(store, redis_url, tmp_path)
    yield rig
    rig.close()


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_rebuild_that_was_overtaken_never_calls_lines_whole(redis_rig: Rig) -> None:
    engine: RedisQueue = redis_rig.engine
    first = engine.begin_rebuild()
    assert first is not None
    assert engine.begin_rebuild() is None  # somebody owns it
    engine._client.delete("jobman:building")  # it took too long
    second = engine.begin_rebuild()
    assert second is not None
    assert not first.renew()
    assert not first.finish()
    assert engine._client.get("jobman:epoch") is None
    assert second.finish()
    assert engine.begin_rebuild() is None


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_rebuild_pushes_every_queued_row(redis_rig: Rig) -> None:
    jobs = [redis_rig.dispatch("noop") for _ in range(5)]
    redis_rig.engine._client.flushdb()
    done = rebuild(redis_rig.parts)
    assert done is not None and (done.pushed, done.finished) == (5, True)
    assert redis_rig.engine.size("default") == len(jobs)
    assert rebuild(redis_rig.parts) is None


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_row_before_the_head_of_its_line_is_pushed(redis_rig: Rig) -> None:
    first, *_ = [redis_rig.dispatch("noop") for _ in range(3)]
    redis_rig.engine._client.zpopmin("jobman:queue:default", 1)
    assert push_overtaken(redis_rig.parts) == 0  # it may be on its way
    with redis_rig.store.transaction() as connection:
        earlier = redis_rig.store.dialect.later(-10.0)
        connection.execute(JOBS.update().where(JOBS.c.id == first).values(queued_at=earlier))
    assert push_overtaken(redis_rig.parts) == 1
    assert redis_rig.engine.size("default") == 3


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_clear_takes_out_only_what_it_cancelled(redis_rig: Rig) -> None:
    for _ in range(3):
        redis_rig.dispatch("noop")
    redis_rig.engine._client.zadd("jobman:queue:default", {b"%019d" % 10**12: 1})  # dispatched meanwhile
    clear(redis_rig.parts, "default")
    assert redis_rig.engine.size("default") == 1


class Ear:
    """Stands before an engine: notes what the rows say when they are pushed; or refuses."""

    def __init__(self, rig: Rig, refuse: bool = False) -> None:
        self.rig, self.engine, self.refuse = rig, rig.engine, refuse
        self.heard: list[str | None] = []

    def push(self, rows: Any) -> None:
        if self.refuse:
            raise QueueUnavailable("away")
        other = Database(self.rig.store.url.render_as_string(hide_password=False))
        for row in rows:
            with other.reading() as connection:
                query = select(JOBS.c.status).where(JOBS.c.id == row.id)
                self.heard.append(connection.execute(query).scalar())
        other.close()
        self.engine.push(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_an_id_is_pushed_when_its_row_is_committed(redis_rig: Rig) -> None:
    ear = Ear(redis_rig)
    parts = replace(redis_rig.parts, engine=ear)
    dispatch(parts, "noop")
    dispatch_many(parts, "noop", [{}, {}])
    assert ear.heard == ["queued"] * 3


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_pending_rows_stay_pending_until_they_are_pushed(redis_rig: Rig) -> None:
    away = replace(redis_rig.parts, engine=Ear(redis_rig, refuse=True))
    job = int(dispatch(away, "noop").id or 0)
    assert redis_rig.row(job).status == "pending"
    assert push_pending(away) == 0
    assert redis_rig.row(job).status == "pending"
    ear = Ear(redis_rig)
    assert push_pending(replace(redis_rig.parts, engine=ear)) == 1
    assert (ear.heard, redis_rig.row(job).status) == (["pending"], "queued")
