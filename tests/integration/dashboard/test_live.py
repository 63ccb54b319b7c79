"""`/live`: who is told what, by one poller, for as long as they listen."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from processes import JobmanProcess, wait_until
from rig import Rig

from jobman_cli.dashboard import create_app, live
from jobman_cli.dashboard.serve import GRACE
from jobman_cli.errors import StoreUnavailable
from jobman_cli.operations.parts import Records


class Stream:
    """One open page: what it has been told, and when it ended."""

    def __init__(self, address: str, *topics: str) -> None:
        self.told: list[str] = []
        self.comments = 0
        self.status = 0
        self.ended = threading.Event()
        self._leave = threading.Event()
        self._query = "&".join(f"topic={topic}" for topic in topics)
        self._thread = threading.Thread(target=self._read, args=(address,), daemon=True)
        self._thread.start()
        wait_until(lambda: self.comments or self.ended.is_set(), 10, "the stream's beginning")

    def _read(self, address: str) -> None:
        try:
            with (
                contextlib.suppress(httpx2.HTTPError),
                httpx2.stream("GET", f"{address}/live?{self._query}", timeout=1.5) as answer,
            ):
                self.status, self.headers = answer.status_code, answer.headers
                for line in answer.iter_lines():
                    if self._leave.is_set():
                        return
                    self.comments += line.startswith(":")
                    self.told += [line.removeprefix("data: ")] if line.startswith("data: ") else []
        finally:
            self.ended.set()

    def leave(self) -> None:
        """Close the connection, at the next line or when there is none for a while."""
        self._leave.set()


class Served:
    """A dashboard on a port of its own, in a thread of this process."""

    def __init__(self, app: Any) -> None:
        self.app, self.live = app, app.state.live
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()
        wait_until(lambda: self._server.started, 10)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def served(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    from jobman_cli.app import Jobman

    monkeypatch.setattr(live, "EVERY", 0.1)
    monkeypatch.setattr(live, "ALIVE", 0.5)
    served = Served(create_app(Jobman(rig.parts.settings)))
    yield served
    served.close()


@pytest.fixture
def pulses(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """The topics of each look at the database."""
    looks: list[frozenset[str]] = []
    real = live.pulse

    def counted(records: Records, topics: frozenset[str]) -> dict[str, object]:
        looks.append(topics)
        return real(records, topics)

    monkeypatch.setattr(live, "pulse", counted)
    return looks


def settled(pulses: list[Any]) -> None:
    """The poller has looked at least once since."""
    number = len(pulses)
    wait_until(lambda: len(pulses) >= number + 2, 10, "two looks at the database")


def test_each_listener_is_told_of_its_own_topics(served: Served, rig: Rig, pulses: list[Any]) -> None:
    job = rig.dispatch("hello")
    jobs, one, schedule = (Stream(served.address, topic) for topic in ("jobs", f"job:{job}", "schedule"))
    settled(pulses)
    assert jobs.headers["content-type"].startswith("text/event-stream")
    assert jobs.headers["cache-control"] == "no-store"
    assert (jobs.told, one.told) == ([], []), "nothing has changed yet"
    rig.worker().drain()
    wait_until(lambda: jobs.told and one.told, 10, "the news")
    assert set(jobs.told) == {"jobs"} and set(one.told) == {f"job:{job}"}
    assert schedule.told == []


def test_one_poller_serves_all_and_ends_with_the_last(served: Served, pulses: list[Any]) -> None:
    assert pulses == []
    streams = [Stream(served.address, topic) for topic in ("jobs", "queues", "queues")]
    settled(pulses)
    begun, number = time.monotonic(), len(pulses)
    wait_until(lambda: time.monotonic() - begun > 1.0, 10)
    assert len(pulses) - number <= 11, "one look every 0.1 s for all of them"
    assert pulses[-1] == {"jobs", "queues"}
    for stream in streams:
        stream.leave()
    wait_until(lambda: served.live._poller is None, 10, "the poller's end")
    number = len(pulses)
    again = Stream(served.address, "metrics")
    wait_until(lambda: len(pulses) > number, 10, "a new poller")
    assert pulses[-1] == {"metrics"}
    assert again.status == 200


def test_a_quiet_stream_shows_that_it_is_alive(served: Served) -> None:
    stream = Stream(served.address, "tags")
    wait_until(lambda: stream.comments >= 3, 10, "comments")
    assert stream.told == []


def test_so_many_and_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST", 2)
    streams = [Stream(served.address, "jobs") for _ in range(2)]
    refused = httpx2.get(f"{served.address}/live?topic=jobs")
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    streams[0].leave()
    wait_until(lambda: not served.live.is_full, 10, "room")
    assert Stream(served.address, "jobs").status == 200


@pytest.mark.parametrize("query", ["", "topic=", "topic=x", "topic=job:", "topic=job:0", "topic=job:9e9"])
@pytest.mark.parametrize("also", ["", "&topic=jobs"])
def test_what_nobody_tells_about(served: Served, query: str, also: str) -> None:
    answer = httpx2.get(f"{served.address}/live?{query}{also if query else ''}")
    assert answer.status_code == 400
    assert "Topics are" in answer.text


def test_a_job_that_there_is_not_is_quiet(served: Served, pulses: list[Any]) -> None:
    stream = Stream(served.address, f"job:{2**63 - 1}")
    settled(pulses)
    assert (stream.status, stream.told) == (200, [])


def test_while_the_database_is_away_nothing_is_told_and_then_what_changed(
    served: Served, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(served.address, "jobs")
    real, looks, away = live.pulse, [0], threading.Event()

    def lost(records: Records, topics: frozenset[str]) -> dict[str, object]:
        looks[0] += 1
        if away.is_set():
            raise StoreUnavailable("away")
        return real(records, topics)

    monkeypatch.setattr(live, "pulse", lost)
    wait_until(lambda: looks[0] >= 2, 10)
    away.set()
    rig.dispatch("hello")
    seen = looks[0]
    wait_until(lambda: looks[0] >= seen + 3, 10)
    assert not stream.ended.is_set() and stream.told == []
    away.clear()
    wait_until(lambda: stream.told == ["jobs"], 10, "the news")


def test_a_poller_that_breaks_ends_the_streams_so_that_pages_ask_anew(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(records: Records, topics: frozenset[str]) -> dict[str, object]:
        raise ZeroDivisionError

    stream = Stream(served.address, "jobs")
    with monkeypatch.context() as patched:
        patched.setattr(live, "pulse", broken)
        assert stream.ended.wait(10)
    assert Stream(served.address, "jobs").status == 200


def test_the_end_of_the_server_is_the_end_of_the_streams(
    rig: Rig, start_jobman: Callable[..., JobmanProcess], tmp_path: Path
) -> None:
    url = rig.store.url.render_as_string(hide_password=False)
    process = start_jobman("--database", url, "dashboard", "--port", 0, cwd=tmp_path)
    address = wait_until(lambda: process.stderr.partition("dashboard is at ")[2].strip(), 20, "the address")
    stream = Stream(address.rstrip("/"), "overview")
    assert stream.status == 200
    begun = time.monotonic()
    process.terminate()
    assert process.wait() == 0
    assert time.monotonic() - begun < GRACE, "it waited for the open stream"
    assert stream.ended.wait(5)
    assert process.stderr.count("\n") == 1, process.stderr
