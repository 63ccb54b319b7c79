"""Pages of jobs, and walks over all that match, on every database: nothing left out, nothing twice."""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rig import add_jobs, change, row_of

from jobman_cli.operations import failed, look, paging, selection
from jobman_cli.operations.parts import Records
from jobman_cli.settings import Settings
from jobman_cli.store.database import Database
from jobman_cli.store.queries import JobFilter, Silence
from jobman_cli.store.queries_failed import FailedFilter
from jobman_cli.store.queries_metrics import count_by_state
from jobman_cli.store.tables import FAILED_JOBS


@pytest.fixture
def records(store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Records:
    """Sixty jobs of all kinds, looked at seven ids at a time."""
    monkeypatch.setattr(selection, "FEWEST", 7)
    monkeypatch.setattr(selection.Stride.__init__, "__defaults__", (7, 7, 0.03))
    dice = random.Random(5)
    for _ in range(20):
        add_jobs(
            store,
            3,
            type=dice.choice(["noop", "hello"]),
            queue=dice.choice(["default", "mail"]),
            tags=dice.choice([(), ("a",), ("a", "b")]),
        )
    first = min(all_ids(store))
    change(store, first + 1, status="failed", error_message="A Needle in the hay")
    change(store, first + 40, status="failed", error_message="100% needle")
    for job_id in range(first + 20, first + 30):
        change(store, job_id, status="completed")
    url = store.url.render_as_string(hide_password=False)
    return Records(Settings(root=tmp_path, database=url), store)


def all_ids(store: Database) -> list[int]:
    return store.read(look_ids)


def add_failures(store: Database, number: int) -> list[int]:
    """Failed jobs with their rows; those with odd ids say so."""
    ids = add_jobs(store, number)
    with store.transaction() as connection:
        for each in ids:
            values = {
                "uuid": str(uuid.uuid4()),
                "connection": "database",
                "queue": "mail",
                "payload": "{}",
                "exception": "ValueError: odd" if each % 2 else "ValueError: even",
                "failed_at": datetime.now(UTC),
                "jobman_id": each,
            }
            connection.execute(FAILED_JOBS.insert().values(**values))
    return ids


def look_ids(connection: Any, dialect: Any) -> list[int]:
    from sqlalchemy import select

    from jobman_cli.store.tables import JOBS

    return list(connection.execute(select(JOBS.c.id)).scalars())


HELLO, B, BOTH = Silence(("hello",)), Silence(tags=("b", "never")), Silence(("hello",), ("b",))


def silenced(row: Any) -> bool:
    return row.type == "hello" or "b" in (row.tags or ())


FILTERS = {
    "all": (JobFilter(), lambda row: True),
    "a state": (JobFilter(statuses=("failed",)), lambda row: row.status == "failed"),
    "states": (
        JobFilter(statuses=("failed", "completed")),
        lambda row: row.status in ("failed", "completed"),
    ),
    "a type": (JobFilter(type="hello"), lambda row: row.type == "hello"),
    "a queue": (JobFilter(queue="mail"), lambda row: row.queue == "mail"),
    "a tag": (JobFilter(tag="b"), lambda row: "b" in (row.tags or ())),
    "an error": (JobFilter(error="NEEDLE"), lambda row: "needle" in (row.error_message or "").lower()),
    "a sign": (JobFilter(error="100%"), lambda row: "100%" in (row.error_message or "")),
    "several": (
        JobFilter(statuses=("queued",), type="noop", queue="mail"),
        lambda row: (row.status, row.type, row.queue) == ("queued", "noop", "mail"),
    ),
    "none": (JobFilter(queue="nowhere"), lambda row: False),
    "without a type": (
        JobFilter(without=HELLO),
        lambda row: row.status != "completed" or row.type != "hello",
    ),
    "without tags": (
        JobFilter(without=B),
        lambda row: row.status != "completed" or "b" not in (row.tags or ()),
    ),
    "without, of a state": (
        JobFilter(statuses=("completed",), without=BOTH),
        lambda row: row.status == "completed" and not silenced(row),
    ),
    "without, of a queue": (
        JobFilter(queue="mail", without=BOTH),
        lambda row: row.queue == "mail" and (row.status != "completed" or not silenced(row)),
    ),
    "only": (JobFilter(only=BOTH), lambda row: silenced(row)),
    "only, of a state": (
        JobFilter(statuses=("queued",), only=BOTH),
        lambda row: row.status == "queued" and silenced(row),
    ),
    "only of nothing": (JobFilter(only=Silence()), lambda row: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_all_that_match_once_each(records: Records, name: str) -> None:
    wanted, matches = FILTERS[name]
    database = records.database
    expected = [job_id for job_id in sorted(all_ids(database)) if matches(row_of(database, job_id))]
    newest_first = expected[::-1]
    assert [job.id for job in look.jobs(records, wanted, 100)] == newest_first
    assert [job.id for job in look.jobs(records, wanted, 4)] == newest_first[:4]
    assert [each for ids in selection.each_job(records, wanted) for each in ids] == expected
    middle = sorted(all_ids(database))[30]
    below = replace(wanted, before=middle)
    assert [job.id for job in look.jobs(records, below, 100)] == [
        each for each in newest_first if each < middle
    ]
    assert [each for ids in selection.each_job(records, below) for each in ids] == [
        each for each in expected if each < middle
    ]
    found, cursor = [], None
    while True:
        page = look.page(records, replace(wanted, before=cursor), 3)
        found += [job.id for job in page.rows]
        cursor = page.before
        if cursor is None:
            break
    assert found == newest_first


def test_a_page_ends_when_its_time_is_up(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_TIME", 0.0)
    wanted = JobFilter(queue="nowhere")
    page = look.page(records, wanted, 3)
    assert page.rows == [] and page.before == max(all_ids(records.database)) - 6
    monkeypatch.setattr(paging, "PAGE_TIME", 60.0)
    assert look.page(records, wanted, 3).before is None


@pytest.mark.parametrize("name", FILTERS)
def test_pages_lead_back_to_where_they_came_from(
    records: Records, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE_TIME", 60.0)
    wanted, _ = FILTERS[name]
    down, cursor = [look.page(records, wanted, 3)], None
    while (cursor := down[-1].before) is not None:
        down.append(look.page(records, replace(wanted, before=cursor), 3))
    ids = [[job.id for job in page.rows] for page in down]
    assert down[0].after is None
    for at in range(len(down) - 1, 0, -1):
        above = look.page(records, wanted, 3, after=down[at].after)
        assert [job.id for job in above.rows] == ids[at - 1]
        assert above.after is None or len(above.rows) == 3


def test_a_page_upward_ends_when_its_time_is_up(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_TIME", 0.0)
    first = min(all_ids(records.database))
    page = look.page(records, JobFilter(queue="nowhere"), 3, after=first - 1)
    assert (page.rows, page.before, page.after, page.looked) == ([], first, first + 6, 7)


def test_a_brief_page_has_all_but_what_may_be_long(records: Records) -> None:
    some = min(all_ids(records.database))
    change(records.database, some, logs="x" * 10, exception="trace", error_message="short", attribs={"a": 1})
    wanted = JobFilter(floor=some, before=some + 1)
    brief, full = (look.page(records, wanted, brief=each).rows[0] for each in (True, False))
    assert (full.logs, full.exception, full.attribs) == ("x" * 10, "trace", {"a": 1})
    assert (brief.logs, brief.exception, brief.attribs) == (None, None, {})
    left_out = {"logs", "exception", "attribs"}
    assert brief.model_dump(exclude=left_out) == full.model_dump(exclude=left_out)


def test_one_id(records: Records) -> None:
    some = min(all_ids(records.database)) + 5
    wanted = JobFilter(floor=some, before=some + 1)
    assert [job.id for job in look.page(records, wanted).rows] == [some]
    assert look.page(records, replace(wanted, queue="nowhere")).rows == []


def test_pages_of_failed_jobs(records: Records) -> None:
    ids = add_failures(records.database, 20)
    wanted = FailedFilter(error="Odd", queue="mail")
    expected = [each for each in reversed(ids) if each % 2]
    first = failed.page(records, wanted, 3)
    assert [row.jobman_id for row in first.rows] == expected[:3] and first.after is None
    second = failed.page(records, replace(wanted, before=first.before), 3)
    assert [row.jobman_id for row in second.rows] == expected[3:6]
    back = failed.page(records, wanted, 3, after=second.after)
    assert [row.jobman_id for row in back.rows] == expected[:3]
    assert len(failed.page(records, FailedFilter(), 50).rows) == 20


def test_states_are_counted_up_to_a_bound(records: Records) -> None:
    counts = records.database.read(count_by_state, ("completed", "failed", "running", "queued"), 15)
    assert counts == {"completed": 10, "failed": 2, "running": 0, "queued": 15}


def test_by_time(records: Records) -> None:
    database = records.database
    ids = sorted(all_ids(database))
    long_ago = row_of(database, ids[0]).created_at - timedelta(days=3)
    for job_id in ids[10:20]:
        change(database, job_id, created_at=long_ago)
    wanted = JobFilter(until=long_ago + timedelta(hours=1))
    assert [job.id for job in look.jobs(records, wanted, 100)] == ids[10:20][::-1]
    assert len(look.jobs(records, JobFilter(since=long_ago + timedelta(hours=1)), 100)) == 50


def test_a_stride_follows_what_the_work_takes() -> None:
    stride = selection.Stride(size=1000, most=100_000, aim=0.01)
    with stride.timed():
        pass
    assert stride.size == 4000
    with stride.timed():
        time.sleep(0.1)
    assert 100 <= stride.size <= 450
    size = stride.size
    with stride.timed(3):  # too few to tell
        time.sleep(0.02)
    assert stride.size == size
    assert [len(some) for some in selection.Stride(size=4, most=4).batches(range(10))] == [4, 4, 2]
