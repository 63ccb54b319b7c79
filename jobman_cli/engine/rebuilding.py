"""Who rebuilds the lines in Redis, and when they are whole.

The marker ``epoch`` holds the run id of the server that has the whole lines. A server that was flushed,
restarted empty or from an old dump, or replaced by a lagging replica has no marker, or another's. Who
sets ``building`` first owns the rebuild for as long as he renews it; only he may write ``epoch``, in one
step with taking ``building`` away, so a rebuild that was overtaken never calls lines whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

#: Milliseconds for which a rebuild is owned without being renewed.
OWNED = 15_000

_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_FINISH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
"""


class RedisRebuilding:
    """One rebuild.

    Args:
        client: The client for short commands.
        name: The prefix of every key.
        run: The server's run id.
        translated: Makes the client's errors ours.
    """

    def __init__(self, client: Any, name: str, run: bytes, translated: Callable[[], Any]) -> None:
        self._client, self._run, self._translated = client, run, translated
        self._epoch, self._building = f"{name}:epoch", f"{name}:building"
        self._owner = str(uuid4()).encode()

    def is_whole(self) -> bool:
        """True when the lines are this server run's own."""
        return bool(self._client.get(self._epoch) == self._run)

    def begin(self) -> bool:
        """Own the rebuild; False when somebody else does."""
        return bool(self._client.set(self._building, self._owner, nx=True, px=OWNED))

    def renew(self) -> bool:
        """Own it for some seconds more."""
        with self._translated():
            return bool(self._client.eval(_RENEW, 1, self._building, self._owner, OWNED))

    def finish(self) -> bool:
        """Swap ``building`` for ``epoch``, if it is still ours."""
        with self._translated():
            return bool(self._client.eval(_FINISH, 2, self._building, self._epoch, self._owner, self._run))
