"""What the dashboard's pages ask for, on every database: it costs as little as they show."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, add_jobs, change
from sqlalchemy import event, text

from jobman_cli.core.states import Status
from jobman_cli.operations.look import count_states
from jobman_cli.operations.metrics import Measure, Metrics, metrics, queue_states, states
from jobman_cli.operations.supervision import lines_now
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.metrics import Count, CountKey, Spread, add_counts
from jobman_cli.store.queries import database_now, lines


@pytest.fixture
def plain(store: Any, tmp_path: Path) -> Any:
    rig = Rig(store, "database", tmp_path)
    yield rig
    rig.close()


def count(number: int) -> Count:
    """Attempts of different lengths."""
    found = Count(number, 1, number % 2, Spread.of(0.001), Spread.of(2))
    for each in range(number):
        found.runtime.add(Spread.of(0.01 * (each + number)))
        found.wait.add(Spread.of(each / 7))
    return found


def figures(measure: Measure) -> list[Any]:
    """All but the rate, which falls between two looks."""
    return [
        value if isinstance(value, int) else pytest.approx(value)
        for value in (getattr(measure, name) for name in Measure.__slots__ if name != "per_minute")
    ]


@pytest.mark.parametrize(
    "asked", [{}, {"type": "mail"}, {"queue": "slow"}, {"type": "mail", "queue": "slow"}]
)
def test_parts_that_the_database_adds_up_say_what_minutes_say(plain: Rig, asked: dict[str, str]) -> None:
    now = plain.store.read(database_now).replace(second=0, microsecond=0)
    if (now + timedelta(seconds=60)).hour != now.hour:
        now -= timedelta(seconds=60)  # what is asked for must not begin between the two looks
    counts: dict[CountKey, Count] = {}
    for minutes in (0, 1, 2, 14, 15, 16, 59, 60, 61, 300):
        at = int((now - timedelta(minutes=minutes)).timestamp())
        for type, queue in (("mail", "slow"), ("mail", "default"), ("map", "slow")):
            counts[at, type, queue] = count(minutes % 7 + len(type))
    plain.store.run(add_counts, counts)
    for width in (60, 900, 3600):
        fine: Metrics = metrics(plain.parts, 6 * 3600, **asked)
        coarse: Metrics = metrics(plain.parts, 6 * 3600, **asked, width=width)
        if coarse.since != fine.since:  # a minute has gone by
            fine = metrics(plain.parts, 6 * 3600, **asked)
        assert coarse.measure().completed > 0
        assert figures(coarse.measure()) == figures(fine.measure())
        for name in ("types", "queues"):
            theirs, ours = getattr(coarse, name)(), getattr(fine, name)()
            assert list(theirs) == list(ours)
            assert [figures(each) for each in theirs.values()] == [figures(each) for each in ours.values()]
        parts = coarse.bins(width)
        assert [at for at, _ in parts] == [at for at, _ in fine.bins(width)]
        assert [figures(each) for _, each in parts] == [figures(each) for _, each in fine.bins(width)]
        rates = [each.per_minute for _, each in fine.bins(width)]  # of whole minutes: no time goes by in them
        assert [each.per_minute for _, each in parts] == pytest.approx(rates)
        assert len(coarse.spans) <= len(fine.spans)
    assert metrics(plain.parts, 3600, type="nothing", width=60).spans == []


def test_a_part_of_many_minutes_loses_none(plain: Rig) -> None:
    """MySQL's family cuts a text that it puts together, and says so in a warning only."""
    now = int(plain.store.read(database_now).timestamp()) // 60 * 60
    wide = Count(200, 0, 0)
    for each in range(200):
        wide.runtime.add(Spread.of(1e-5 * 2 ** (each / 5)))
        wide.wait.add(Spread.of(1e-5 * 2 ** (each / 5)))
    plain.store.run(add_counts, {(now - 60 * each, "mail", "default"): wide for each in range(1000)})
    found = metrics(plain.parts, 86_400, width=86_400)
    assert sum(sum(span.count.runtime.histogram.values()) for span in found.spans) == 200_000
    assert found.measure().completed == 200_000


def test_counting_stops_where_it_is_told(plain: Rig) -> None:
    waiting = add_jobs(plain.store, 5)
    for job in waiting[:2]:
        change(plain.store, job, status="pending")
    assert {name: tuple(line) for name, line in lines_now(plain.parts, 2).items()} == {"default": (2, 2)}
    assert {name: tuple(line) for name, line in lines_now(plain.parts, 9).items()} == {"default": (3, 2)}
    assert [state.size for state in queue_states(plain.parts, 4)] == [4]
    assert [state.size for state in queue_states(plain.parts)] == [5]
    assert (states(plain.parts, 2)["queued"], states(plain.parts)["queued"]) == (2, 3)
    assert count_states(plain.parts, tuple(Status), 2) == dict.fromkeys(Status, 0) | {
        "queued": 2,
        "pending": 2,
    }


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_first_of_each_line_is_found_by_the_lines_index(store: Database) -> None:
    """SQLite's planner would go by state, and sort all that wait: a tenth of a second for a million rows."""
    add_jobs(store, 3)
    asked: list[tuple[str, Any]] = []

    @event.listens_for(store.engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT queue"):
            asked.append((statement, parameters))

    assert store.read(lines) == ["default"]
    assert len(asked) == 2, "one for each queue, and one that finds no further"
    with store.reading() as connection:
        for statement, parameters in asked:
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            plan = " ".join(str(step[-1]) for step in steps)
            assert "COVERING INDEX ix_jobmans_line" in plan
            assert "TEMP B-TREE" not in plan
        assert connection.execute(text("SELECT count(*) FROM jobmans")).scalar() == 3
