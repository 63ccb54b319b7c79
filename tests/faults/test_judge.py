"""Who may judge leases, and from when on: rule 5."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from jobman_cli.runtime import judge as judges


class Clock:
    """The judge's clock, in the test's hand."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.now = 1000.0

    def clock_gettime(self, _which: int) -> float:
        return self.now

    monotonic = staticmethod(time.monotonic)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lease judge (lease 30 s) whose answers and verdicts the test sees."""
    clock, given = Clock(), []
    monkeypatch.setattr(judges, "time", clock)
    monkeypatch.setattr(judges, "rescue_silent", lambda _parts, _boot, oldest: given.append(oldest))
    bench = SimpleNamespace(clock=clock, given=given, takes=0.0, error=None)

    def read(_work: Any) -> float:
        if bench.error:
            raise bench.error
        answered = clock.now
        clock.now += bench.takes
        return answered

    parts = SimpleNamespace(settings=SimpleNamespace(lease=30.0), database=SimpleNamespace(read=read))
    bench.judge = judges.LeaseJudge(parts)

    def look(seconds: float, every: float = 1.0) -> None:
        for _ in range(int(seconds / every)):
            bench.judge.run_once()
            clock.now += every

    bench.look = look
    return bench


def test_a_judge_waits_a_whole_lease(judge: Any) -> None:
    judge.look(30)
    assert judge.given == []
    judge.look(2)
    assert len(judge.given) == 2
    assert judge.given[0] == pytest.approx(1000.0)  # a lease before the answer


def test_a_judge_with_a_slow_sweep(judge: Any) -> None:
    """A sweep of a third of the lease is no gap."""
    judge.look(50, every=10.01)
    assert judge.given


def test_an_outage_begins_the_wait_anew(judge: Any) -> None:
    judge.look(31)
    judge.given.clear()
    judge.error = OSError("away")
    with pytest.raises(OSError, match="away"):
        judge.judge.run_once()
    judge.error = None
    judge.look(29)
    assert judge.given == []


def test_an_answer_that_came_late_is_an_outage(judge: Any) -> None:
    judge.look(35)
    judge.given.clear()
    judge.takes = 16.0
    judge.look(1)
    judge.takes = 0.0
    assert judge.given == []
    judge.look(28)
    assert judge.given == []


def test_a_judge_that_was_frozen_itself(judge: Any) -> None:
    judge.look(35)
    judge.given.clear()
    judge.clock.now += 20
    judge.look(20)
    assert judge.given == []
