"""The jobs that a worker holds: each is in one place, whoever asks and when."""

from __future__ import annotations

import threading
import time
from typing import Any

from jobman_cli.core.outcome import COMPLETED
from jobman_cli.runtime.hand import Hand
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import Finish


def make(job_id: int) -> Claim:
    return Claim(job_id, "t", "default", {}, 1, None, 1, 1, 0, job_id)


def ended(job_id: int) -> Finish:
    now = time.time()
    return Finish(make(job_id), COMPLETED, now, now)


def test_jobs_start_in_the_order_they_came():
    hand = Hand()
    hand.put([make(1), make(2)])
    hand.put([make(3)])
    assert [hand.take().id for _ in range(3)] == [1, 2, 3]
    assert hand.take() is None


def test_it_is_true_while_something_is_owed():
    hand = Hand()
    assert not hand
    hand.put([make(1)])
    assert hand
    hand.take()
    assert not hand
    hand.finish(make(1), ended(1))
    assert hand
    hand.take_finished()
    assert not hand


def test_what_is_taken_out_unstarted_cannot_start():
    """Rule 8: first out of the hand, then released; it stays aside until that has happened."""
    hand = Hand()
    hand.put([make(1), make(2), make(3)])
    hand.take()
    out = hand.take_unstarted()
    assert [claim.id for claim in out] == [2, 3]
    assert hand.take() is None
    assert hand.aside() == {2, 3}
    assert hand.take_unstarted() == []
    hand.forget(out[:1])
    assert hand.aside() == {3}
    hand.forget(out)
    assert hand.aside() == set()


def test_running_is_known_until_it_has_finished():
    hand = Hand()
    claim, context = make(1), Any
    hand.start(claim, context, time.monotonic())
    assert hand.running[1][:2] == (claim, context)
    hand.finish(claim, None)
    assert hand.running == {}
    assert hand.take_finished() == []


def test_what_could_not_be_recorded_goes_back_before_what_came_later():
    hand = Hand()
    for number in (1, 2):
        hand.finish(make(number), ended(number))
    taken = hand.take_finished()
    hand.finish(make(3), ended(3))
    hand.put_back(taken)
    assert [finish.claim.id for finish in hand.take_finished()] == [1, 2, 3]
    assert hand.take_finished() == []


def test_each_job_is_started_or_taken_out_and_never_both():
    """Rule 8: the worker starts jobs while the watch takes them out."""
    hand, started, taken = Hand(), [], []
    ids = range(5000)
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            taken.extend(claim.id for claim in hand.take_unstarted())

    thread = threading.Thread(target=watch)
    thread.start()
    for at in range(0, 5000, 50):
        hand.put(make(job_id) for job_id in ids[at : at + 50])
        while (claim := hand.take()) is not None:
            started.append(claim.id)
    done.set()
    thread.join()
    taken.extend(claim.id for claim in hand.take_unstarted())
    assert sorted(started + taken) == list(ids)
