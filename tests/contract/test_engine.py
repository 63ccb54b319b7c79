"""What an engine and its receivers promise, for both engines; and what only one of them must bear."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from processes import wait_until
from rig import LostLink, add_jobs, add_worker, change, row_of
from servers import HOST, RedisServer, free_port

from jobman_cli.core.clock import MAX_PRIORITY, MIN_PRIORITY, rank
from jobman_cli.engine.database_queue import FULL_LOOK, DatabaseQueue, LineReceiver
from jobman_cli.engine.instance import IdSerializer
from jobman_cli.engine.message import member, parse_member
from jobman_cli.engine.redis_queue import RedisQueue
from jobman_cli.errors import ConfigurationError, QueueUnavailable
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.lifecycle.release import release
from jobman_cli.store.queries import find_jobs

#: What "within a second" is measured with; the machine may be busy.
SECOND = 1.0


def never(_seconds: float) -> bool:
    time.sleep(0.001)
    return False


def rows_of(store: Database, ids: list[int]) -> list[InLine]:
    rows = {row.id: row for row in store.read(find_jobs, ids)}
    return [InLine(job_id, rows[job_id].queue, rows[job_id].rank) for job_id in ids]


class Line:
    """An engine, a worker, and the worker's receiver."""

    def __init__(self, store: Database, engine: Any, *queues: str) -> None:
        self.store, self.engine, self.worker = store, engine, add_worker(store)
        self.link = LostLink(store)
        self.receiver = engine.receiver(queues or ("default",), self.link, never)

    def push(self, number: int = 1, **fields: Any) -> list[int]:
        ids = add_jobs(self.store, number, **fields)
        self.engine.push(rows_of(self.store, ids))
        return ids

    def take(self, limit: int, wait: float = 0) -> list[int]:
        ticket = self.receiver.receive(limit, wait)
        if ticket is None:
            return []
        claims = self.link.run(lambda c, _d: self.receiver.claim(c, self.worker, ticket))
        return [claim.id for claim in claims]


@pytest.fixture(params=["database", "redis"])
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "database":
        yield DatabaseQueue("jobman")
        return
    engine = RedisQueue("jobman", request.getfixturevalue("redis_url"))
    yield engine
    engine.close()


@pytest.fixture
def redis(redis_url: str) -> Iterator[RedisQueue]:
    engine = RedisQueue("jobman", redis_url)
    yield engine
    engine.close()


@pytest.fixture
def make_line(store: Database) -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(engine: Any, *queues: str) -> Line:
        made.append(Line(store, engine, *queues))
        return made[-1]

    yield make
    for line in made:
        line.link.drop()


class TestEveryEngine:
    def test_by_priority_then_time_then_id(self, make_line: Any, engine: Any) -> None:
        line = make_line(engine)
        plain = line.push(2)
        low = line.push(1, priority=MIN_PRIORITY)
        high = line.push(1, priority=MAX_PRIORITY)
        urgent = line.push(3, priority=1)
        same = row_of(line.store, urgent[0]).rank
        for job_id in urgent:
            change(line.store, job_id, rank=same)
        engine.push(rows_of(line.store, urgent[::-1]))
        expected = [*high, *urgent, *plain, *low]
        assert [job_id for _ in range(7) for job_id in line.take(1)] == expected

    def test_a_limit_of_jobs(self, make_line: Any, engine: Any) -> None:
        line = make_line(engine)
        ids = line.push(5)
        assert [line.take(2) for _ in range(4)] == [ids[:2], ids[2:4], ids[4:], []]

    def test_pushing_twice_is_pushing_once(self, make_line: Any, engine: Any) -> None:
        line = make_line(engine)
        ids = line.push(2)
        engine.push(rows_of(line.store, ids))
        engine.push(rows_of(line.store, ids[:1]))
        assert line.take(10) == ids
        assert line.take(10) == []

    def test_nothing_is_no_trouble(self, make_line: Any, engine: Any) -> None:
        line = make_line(engine)
        engine.push([])
        assert engine.missing([]) == []
        assert engine.remove("default", []) == 0
        assert line.take(5) == []
        engine.check()

    def test_several_queues_in_their_order(self, make_line: Any, engine: Any) -> None:
        """Rule 25: queue by queue, in order, until n is reached."""
        line = make_line(engine, "first", "second", "third")
        third, second = line.push(1, queue="third", priority=999), line.push(2, queue="second", priority=5)
        first = line.push(2, queue="first", priority=-5)
        line.push(1, queue="not-mine")
        assert line.take(3) == [*first, second[0]]
        assert line.take(9) == [second[1], *third]
        assert line.take(9) == []

    def test_it_waits_for_a_first_job_and_no_longer(self, make_line: Any, engine: Any) -> None:
        line = make_line(engine)
        line.take(1)  # the line is known to be empty
        began = time.monotonic()
        assert line.take(1, wait=0) == []
        assert time.monotonic() - began < 0.5
        came: list[float] = []

        def push() -> None:
            time.sleep(0.1)
            line.push()
            came.append(time.monotonic())

        pusher = threading.Thread(target=push)
        pusher.start()
        found = wait_until(lambda: line.take(5, wait=1.0), 10, interval=0)
        taken = time.monotonic()
        pusher.join()
        assert len(found) == 1
        assert taken - came[0] < SECOND

    def test_a_stop_ends_the_wait(self, store: Database, engine: Any) -> None:
        if engine.name == "redis":
            return  # a blocking pop ends within its second
        link = LostLink(store)
        receiver = engine.receiver(("default",), link, lambda _seconds: True)
        ticket = receiver.receive(1, 1.0)
        worker = add_worker(store)
        assert link.run(lambda c, _d: receiver.claim(c, worker, ticket)) == []
        began = time.monotonic()
        receiver.receive(1, 30.0)
        receiver.receive(1, 30.0)
        assert time.monotonic() - began < SECOND
        link.drop()

    def test_a_released_job_gets_its_old_place(self, make_line: Any, engine: Any) -> None:
        """Rule 14: the place in the line is the row's, so a job that comes back is not the last."""
        line = make_line(engine)
        first, second, third = line.push(3)
        ticket = line.receiver.receive(1, 0)
        claims = line.link.run(lambda c, _d: line.receiver.claim(c, line.worker, ticket))
        assert [claim.id for claim in claims] == [first]
        assert line.take(1) == [second]
        engine.push(line.store.run(release, line.worker, claims))
        line.receiver._next_full = 0.0  # the database engine looks from the start once a second
        assert line.take(2) == [first, third]

    def test_a_thousand_and_more(self, make_line: Any, engine: Any) -> None:
        line = make_line(engine)
        ids = line.push(2500)
        assert engine.missing(rows_of(line.store, ids[:3])) == []
        assert engine.size("default") in (2500, None)
        assert engine.remove("default", ids[:2400]) in (2400, 0)
        if engine.name == "redis":
            assert line.take(200) == ids[2400:]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
class TestRedis:
    def test_members_and_scores(self, make_line: Any, redis: RedisQueue, redis_server: RedisServer) -> None:
        line = make_line(redis)
        (job_id,) = line.push(priority=3)
        with redis_server.client() as client:
            found = client.zrange("jobman:queue:default", 0, -1, withscores=True)
        assert found == [(b"%019d" % job_id, float(row_of(line.store, job_id).rank))]

    def test_missing_remove_size(self, make_line: Any, redis: RedisQueue) -> None:
        line = make_line(redis)
        ids = line.push(3) + line.push(1, queue="other")
        rows = rows_of(line.store, ids)
        assert redis.missing(rows) == []
        assert redis.remove("default", [ids[1], 424242]) == 1
        assert redis.missing(rows) == [rows[1]]
        assert [redis.size(queue) for queue in ("default", "other", "none")] == [2, 1, 0]

    def test_rubbish_is_dropped_and_named_once(
        self,
        make_line: Any,
        redis: RedisQueue,
        redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        line = make_line(redis)
        (job_id,) = line.push()
        rubbish = [
            b"",
            b"x",
            b"\x80\x04pickle",
            b"0" * 19,
            b"9" * 19,
            b"-%018d" % 5,
            b"1",
            b"\xb2" * 19,
            b" 1",
        ]
        with redis_server.client() as client, caplog.at_level(logging.WARNING):
            client.zadd("jobman:queue:default", dict.fromkeys(rubbish, -1e16))
            client.zadd("jobman:queue:default", {member(888): -1e16})
            found = [got for _ in range(9) for got in line.take(2)]
            assert redis.size("default") == 0
        assert found == [job_id]
        assert len([r for r in caplog.records if "no job ids" in r.message]) == 1

    def test_a_key_of_another_type_is_replaced(
        self, make_line: Any, redis: RedisQueue, redis_server: RedisServer
    ) -> None:
        line = make_line(redis, "broken", "default")
        with redis_server.client() as client:
            client.set("jobman:queue:broken", "not a set")
            assert line.take(1, wait=0.01) == []
            ids = line.push(1, queue="default")
            client.set("jobman:queue:broken", "again")
            assert [job for _ in range(2) for job in line.take(5, wait=0.01)] == ids
            assert line.push(1, queue="broken")
            assert len(line.take(1)) == 1

    def test_a_push_to_a_key_of_another_type(
        self, make_line: Any, redis: RedisQueue, redis_server: RedisServer
    ) -> None:
        line = make_line(redis)
        with redis_server.client() as client:
            client.set("jobman:queue:default", "not a set")
        with pytest.raises(QueueUnavailable):
            line.push()
        with pytest.raises(QueueUnavailable):
            line.push(3)

    def test_a_blocking_wait_is_no_longer_than_asked(self, make_line: Any, redis: RedisQueue) -> None:
        line = make_line(redis)
        began = time.monotonic()
        assert line.take(1, wait=0.2) == []
        assert 0.15 < time.monotonic() - began < 0.2 + SECOND

    @pytest.mark.parametrize("number", [1, 5])
    def test_a_refused_port(self, store: Database, number: int) -> None:
        """A push to nobody is over within a second, and says which server it was, not the password."""
        engine = RedisQueue("jobman", f"redis://:hush@{HOST}:{free_port()}/0")
        for call in (
            lambda: engine.push([InLine(n, "default", n) for n in range(1, number + 1)]),
            lambda: engine.remove("default", [1]),
            lambda: engine.missing([InLine(1, "default", 1)]),
            lambda: engine.size("default"),
            engine.check,
        ):
            began = time.monotonic()
            with pytest.raises(QueueUnavailable, match="cannot be used") as caught:
                call()
            assert time.monotonic() - began < SECOND
            assert "hush" not in str(caught.value)
        with pytest.raises(QueueUnavailable):
            engine.receiver(("default",), LostLink(store), never).receive(1, 0)
        engine.close()

    def test_a_frozen_server(self, store: Database, redis: RedisQueue, redis_server: RedisServer) -> None:
        """A server that takes connections and says nothing holds a push for less than a second."""
        redis.check()
        redis_server.freeze()
        try:
            for number in (1, 3):  # the pool's connection, then a new one
                began = time.monotonic()
                with pytest.raises(QueueUnavailable):
                    redis.push([InLine(n, "default", n) for n in range(1, number + 1)])
                assert time.monotonic() - began < SECOND
        finally:
            redis_server.thaw()
        wait_until(lambda: redis.check() is None, 5)
        redis.push([InLine(7, "default", 7)])
        assert redis.missing([InLine(7, "default", 7)]) == []

    def test_a_new_server_is_found_again(
        self, make_line: Any, redis: RedisQueue, redis_server: RedisServer
    ) -> None:
        line = make_line(redis)
        line.push()
        redis_server.restart()
        with pytest.raises(QueueUnavailable):
            for _ in range(3):
                line.push()
                redis_server.kill()
        redis_server.start()
        ids = line.push()
        assert wait_until(lambda: line.take(1), 5) == ids

    def test_an_id_that_is_pushed_again_between_two_pops(self, make_line: Any, redis: RedisQueue) -> None:
        """One turn pops it twice: by the pop that waited, and by the one that takes what came with it."""
        line = make_line(redis)
        (job_id,) = add_jobs(line.store, 1)
        rows, client = rows_of(line.store, [job_id]), line.receiver._client

        class Waiting:
            def bzpopmin(self, *arguments: Any, **named: Any) -> Any:
                redis.push(rows)
                found = client.bzpopmin(*arguments, **named)
                redis.push(rows)  # a push that was thought to have failed
                return found

            def __getattr__(self, name: str) -> Any:
                return getattr(client, name)

        line.receiver._client = Waiting()
        assert line.take(5, wait=1.0) == [job_id]
        assert redis.size("default") == 0


class TestLineReceiver:
    def test_it_looks_again_from_the_start(self, make_line: Any) -> None:
        """Rule 23: it scans from the last rank it took, and within a second finds what stands before it."""
        line = make_line(DatabaseQueue("jobman"))
        assert isinstance(line.receiver, LineReceiver)
        ids = line.push(400)
        taken = line.take(2)
        assert taken == ids[:2]
        (urgent,) = line.push(1, priority=10)
        began, seen = time.monotonic(), list(taken)
        while urgent not in seen:
            found = line.take(1)
            assert found, "the line ran dry before the urgent job was found"
            seen += found
            time.sleep(0.01)
        assert time.monotonic() - began < FULL_LOOK + 0.5
        assert len(seen) > 3, "it did not look from the start each time"

    def test_too_little_is_reason_enough(self, make_line: Any) -> None:
        """Rule 23: when the scan from the last rank finds too little, it looks from the start at once."""
        line = make_line(DatabaseQueue("jobman"))
        line.push(2)
        assert len(line.take(1)) == 1
        (urgent,) = line.push(1, priority=10)
        assert urgent in line.take(5)

    def test_equal_ranks_are_not_passed_over(self, make_line: Any) -> None:
        line = make_line(DatabaseQueue("jobman"))
        ids = line.push(6)
        for job_id in ids:
            change(line.store, job_id, rank=rank(1_700_000_000_000, 0))
        assert [line.take(2) for _ in range(3)] == [ids[:2], ids[2:4], ids[4:]]

    @pytest.mark.parametrize("store", ["sqlite"], indirect=True)
    def test_sqlite_asks_its_change_counter(self, make_line: Any) -> None:
        """Rule 25: an idle look at SQLite is PRAGMA data_version, and no transaction."""
        line = make_line(DatabaseQueue("jobman"))
        assert line.take(1, wait=0.05) == []
        line.take(1, wait=0.02)
        before = line.link.sent
        assert line.take(1, wait=0.1) == []
        assert line.take(1, wait=0.1) == []
        assert line.link.sent - before <= 2  # a look once in a while, whatever the counter says
        ids = add_jobs(line.store)
        assert line.take(1, wait=1.0) == ids

    @pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
    def test_servers_are_asked_ever_more_seldom(self, store: Database) -> None:
        """Rule 25: 50 ms, rising to 250 ms; a job brings it back."""
        pauses: list[float] = []
        link, worker = LostLink(store), add_worker(store)

        def pause(seconds: float) -> bool:
            pauses.append(seconds)
            return False

        receiver = DatabaseQueue("jobman").receiver(("default",), link, pause)

        def look() -> int:
            ticket = receiver.receive(1, 1.0)
            return len(link.run(lambda c, _d: receiver.claim(c, worker, ticket)))

        for _ in range(8):
            assert look() == 0
        assert pauses[0] == 0.05
        assert pauses == sorted(pauses)
        assert pauses[-1] == 0.25
        add_jobs(store)
        assert look() == 1
        assert look() == look() == 0
        assert pauses[-1] == 0.05
        link.drop()


class TestMessages:
    """A message is nineteen digits and nothing else: nothing in Redis can become code."""

    def test_there_and_back(self) -> None:
        for job_id in (1, 42, 2**63 - 1, *(random.Random(1).randrange(1, 2**63) for _ in range(50))):
            assert parse_member(member(job_id)) == job_id
            assert len(member(job_id)) == 19

    def test_padded_members_sort_like_their_ids(self) -> None:
        ids = [5, 40, 300, 2**40, 2**63 - 1]
        assert sorted(map(member, ids[::-1])) == [member(job_id) for job_id in ids]

    @pytest.mark.parametrize("data", [None, 5, "0" * 19, b"", b"\x80\x04N.", b"0" * 19, b"9" * 19, b"1" * 20])
    def test_rubbish_is_no_id(self, data: object) -> None:
        assert parse_member(data) is None

    def test_hueys_serializer_unpickles_nothing(self) -> None:
        message = IdSerializer().deserialize(b"\x80\x04\x95rubbish")
        assert message.id == "0"
        assert message.args in (None, ())

    def test_a_url_that_cannot_be_read(self) -> None:
        for url in ("redis://host:port/0", "redis+sentinel://", "memcached://x"):
            with pytest.raises(ConfigurationError):
                RedisQueue("jobman", url)
