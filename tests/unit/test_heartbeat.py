"""The heartbeat of a supervisor whose database is away."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from jobman_cli.errors import StoreUnavailable
from jobman_cli.runtime.consumer.supervisor import Supervisor


class Flapping:
    """A database that is away as often as told."""

    def __init__(self, away: int) -> None:
        self.away, self.asked = away, 0

    def run(self, *_: Any) -> set[str]:
        self.asked += 1
        if self.asked <= self.away:
            raise StoreUnavailable("away")
        return set()


def test_a_missed_heartbeat_is_made_up_for_soon(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is back for a moment is told that the workers live; the log says it once."""
    database = Flapping(3)
    supervisor: Any = SimpleNamespace(
        _database=database,
        _plan=SimpleNamespace(supervisor="s"),
        _parts=SimpleNamespace(settings=SimpleNamespace(heartbeat=9.0)),
        _memory=dict,
        _end_lost_workers=lambda _lost: None,
        _next_beat=0.0,
        _unheard=False,
        worker_threads=[],
    )
    gaps = []
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            now = time.monotonic()
            supervisor._next_beat = min(supervisor._next_beat, now)
            Supervisor._beat(supervisor)
            gaps.append(supervisor._next_beat - time.monotonic())
    assert database.asked == 4
    assert all(gap <= 0.25 for gap in gaps[:3]), "sooner than a database that came back goes again"
    assert gaps[3] == pytest.approx(9.0, abs=0.5)
    assert caplog.text.count("no heartbeat") == 1
