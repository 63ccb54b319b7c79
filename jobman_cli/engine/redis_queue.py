"""The engine ``redis``: each queue is a sorted set of padded ids, scored by rank.

Pushing twice is idempotent, membership is one lookup, and the whole line can be rebuilt from the rows.
Two clients: pushes give up within a second, because dispatch must not wait for Redis; pops block.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from huey.storage import RedisStorage
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from jobman_cli.core.clock import rank
from jobman_cli.engine.health import LineSample, RedisFacts, ask_redis, sample_lines
from jobman_cli.engine.instance import JobmanHuey
from jobman_cli.engine.message import member, parse_member
from jobman_cli.engine.pools import make_pool, shown
from jobman_cli.engine.protocol import Pause, Ticket
from jobman_cli.engine.rebuilding import RedisRebuilding
from jobman_cli.errors import QueueUnavailable
from jobman_cli.store.lifecycle.claim import Claim, claim_ids
from jobman_cli.store.lifecycle.insert import InLine
from jobman_cli.store.link import Link

logger = logging.getLogger("jobman.queue")

#: Seconds. A refused or silent server costs a dispatch less than one second in all.
PUSH_CONNECT, PUSH_ANSWER = 0.3, 0.4
#: Seconds a pop may block, and until a silent server counts as away.
BLOCK, POP_ANSWER = 1.0, 3.0
#: Ids in one command.
BATCH = 1000
#: Seconds between two words about rubbish.
QUIET = 60.0


class RedisQueueStorage(RedisStorage):
    """Huey's storage on sorted sets; its own queue is the line ``default``.

    Args:
        name: The prefix of every key.
        url: As in ``queue:`` of the configuration.
        read_timeout: Seconds a blocking ``dequeue`` waits.
    """

    priority = True

    def __init__(
        self, name: str = "jobman", url: str = "redis://localhost:6379/0", read_timeout: float = BLOCK
    ) -> None:
        pool = make_pool(url, socket_connect_timeout=PUSH_CONNECT * 3, socket_timeout=POP_ANSWER)
        super().__init__(name, connection_pool=pool, read_timeout=read_timeout, clean_name=False)
        self.queue_key = self.line_key("default")
        self.schedule_key, self.result_key = f"{name}:schedule", f"{name}:results"
        self.counter_key, self.notify_prefix = f"{name}:counters", f"{name}:notify:"

    def line_key(self, queue: str) -> str:
        """The key of a queue's sorted set."""
        return f"{self.name}:queue:{queue}"

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Add a message at the end of its priority."""
        self.conn.zadd(self.queue_key, {data: rank(int(time.time() * 1000), int(priority or 0))})

    def dequeue(self) -> bytes | None:
        """Take the first message."""
        if self.blocking:
            try:
                found = self.conn.bzpopmin(self.queue_key, timeout=self.read_timeout)
            except RedisTimeout:
                return None
            return found[1] if found else None
        found = self.conn.zpopmin(self.queue_key)
        return found[0][0] if found else None

    def queue_size(self) -> int:
        """Messages in the line."""
        return int(self.conn.zcard(self.queue_key))

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """The first messages, left where they are."""
        return list(self.conn.zrange(self.queue_key, 0, limit - 1 if limit else -1))

    def close(self) -> bool:
        """Close the connections."""
        self.pool.disconnect()
        return True


class RedisQueue:
    """Lines in Redis.

    Args:
        name: The prefix of every key, ``name:`` of the configuration.
        url: ``queue:`` of the configuration.
    """

    name = "redis"
    has_lines = True

    def __init__(self, name: str, url: str) -> None:
        self.huey: Any = JobmanHuey(name, storage_class=RedisQueueStorage, url=url)
        self.storage: RedisQueueStorage = self.huey.storage
        self._where = shown(url)
        self._push_pool = make_pool(
            url, socket_connect_timeout=PUSH_CONNECT, socket_timeout=PUSH_ANSWER, retry=Retry(NoBackoff(), 0)
        )
        self._client: Any = Redis(connection_pool=self._push_pool)

    def push(self, rows: Sequence[InLine]) -> None:
        """Add ids to their lines, a thousand a command."""
        with self._translated():
            if len(rows) == 1:
                row = rows[0]
                self._client.zadd(self.storage.line_key(row.queue), {member(row.id): row.rank})
                return
            batches = list(_batches(rows))
            pipeline = self._client if len(batches) == 1 else self._client.pipeline(transaction=False)
            for queue, some in batches:
                pipeline.zadd(self.storage.line_key(queue), {member(row.id): row.rank for row in some})
            if pipeline is not self._client:
                pipeline.execute()

    def remove(self, queue: str, ids: Sequence[int]) -> int:
        """ZREM, a thousand a command."""
        removed = 0
        with self._translated():
            for at in range(0, len(ids), BATCH):
                some = [member(job_id) for job_id in ids[at : at + BATCH]]
                removed += int(self._client.zrem(self.storage.line_key(queue), *some))
        return removed

    def missing(self, rows: Sequence[InLine]) -> list[InLine]:
        """ZMSCORE, a thousand a command."""
        absent: list[InLine] = []
        with self._translated():
            for queue, some in _batches(rows):
                scores = self._client.zmscore(self.storage.line_key(queue), [member(row.id) for row in some])
                absent += [row for row, score in zip(some, scores, strict=True) if score is None]
        return absent

    def head(self, queue: str) -> tuple[int, int] | None:
        """The first member that is an id."""
        with self._translated():
            for found, score in self._client.zrange(self.storage.line_key(queue), 0, 9, withscores=True):
                if (job_id := parse_member(found)) is not None:
                    return int(score), job_id
        return None

    def begin_rebuild(self) -> RedisRebuilding | None:
        """Compare the marker ``epoch`` with the server's run id; if they differ, own the rebuild."""
        with self._translated():
            run = str(self._client.info("server")["run_id"]).encode()
            rebuilding = RedisRebuilding(self._client, self.storage.name, run, self._translated)
            return None if rebuilding.is_whole() or not rebuilding.begin() else rebuilding

    def size(self, queue: str) -> int | None:
        """ZCARD."""
        with self._translated():
            return int(self._client.zcard(self.storage.line_key(queue)))

    def receiver(self, queues: Sequence[str], link: Link, pause: Pause) -> SetReceiver:
        """A receiver with the popping client."""
        return SetReceiver(self.storage, queues, link, self._translated)

    def check(self) -> None:
        """PING."""
        with self._translated():
            self._client.ping()

    def facts(self) -> RedisFacts:
        """INFO, and the marker."""
        with self._translated():
            return ask_redis(self._client, f"{self.storage.name}:epoch")

    def sample(self) -> list[LineSample]:
        """SCAN, ZRANGE, ZCARD."""
        with self._translated():
            return sample_lines(self._client, self.storage.line_key(""))

    def close(self) -> None:
        """Close both clients' connections."""
        self._push_pool.disconnect()
        self.storage.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise QueueUnavailable(f"Redis at {self._where} cannot be used: {reason}") from error


class SetReceiver:
    """Pops ids: one command a turn while there is work, a blocking one when there is none."""

    def __init__(
        self, storage: RedisQueueStorage, queues: Sequence[str], link: Link, translated: Callable[[], Any]
    ) -> None:
        self._client, self._link, self._translated = storage.conn, link, translated
        self._storage = storage
        self.serve(queues)
        self._rubbish, self._next_word = 0, 0.0

    def receive(self, limit: int, wait: float) -> Ticket | None:
        """ZPOPMIN over the keys in their order; BZPOPMIN first when nothing is there.

        A handful of rubbish is not an empty line: there may be jobs behind it.
        """
        while True:
            with self._translated():
                members = self._pop(limit)
                if not members and wait:
                    members = self._wait(limit, min(wait, BLOCK))
            ids = [job_id for job_id in map(parse_member, members) if job_id is not None]
            if len(ids) < len(members):
                self._say_rubbish(len(members) - len(ids))
            if ids or not members:
                return Ticket(ids) if ids else None

    def serve(self, queues: Sequence[str]) -> None:
        """Pop from these queues from now on."""
        self._keys = [self._storage.line_key(queue) for queue in queues]

    def look_again(self) -> None:
        """Every ``receive`` looks."""

    def claim(self, connection: Any, worker: str, ticket: Ticket) -> list[Claim]:
        """The ids' rows."""
        return claim_ids(connection, self._link.database.dialect, worker, ticket.ids)

    def _pop(self, limit: int) -> list[Any]:
        members: list[Any] = []
        for key in self._keys:
            try:
                members += [found[0] for found in self._client.zpopmin(key, limit - len(members))]
            except ResponseError as error:
                self._drop_wrong_type(key, error)
            except RedisError:
                if not members:
                    raise
                break  # what was popped before is claimed first; the next call meets the error again
            if len(members) >= limit:
                break
        return members

    def _wait(self, limit: int, wait: float) -> list[Any]:
        try:
            found = self._client.bzpopmin(self._keys, timeout=wait)
        except ResponseError as error:
            for key in self._keys:
                self._drop_wrong_type(key, error)
            return []
        if not found:
            return []
        return [found[1], *(self._pop(limit - 1) if limit > 1 else ())]

    def _drop_wrong_type(self, key: str, error: ResponseError) -> None:
        """A key that is no sorted set is rubbish as well; the rows rebuild the line."""
        if "WRONGTYPE" not in str(error):
            raise error
        if self._client.type(key) not in (b"zset", b"none"):
            self._client.delete(key)
            self._say_rubbish(1)

    def _say_rubbish(self, number: int) -> None:
        self._rubbish += number
        if time.monotonic() >= self._next_word:
            logger.warning("dropped %d messages that are no job ids", self._rubbish)
            self._rubbish, self._next_word = 0, time.monotonic() + QUIET


def _batches(rows: Sequence[InLine]) -> Iterator[tuple[str, list[InLine]]]:
    """The rows of each queue, a thousand at a time."""
    by_queue: dict[str, list[InLine]] = defaultdict(list)
    for row in rows:
        by_queue[row.queue].append(row)
    for queue, some in by_queue.items():
        for at in range(0, len(some), BATCH):
            yield queue, some[at : at + BATCH]
