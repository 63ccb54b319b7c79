"""What the suites run against, and how a server is had, or named as missing.

Not in a `conftest.py`: several folders have one, and only modules of unique names can be imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn, TypeVar

import pytest
from servers import Server, ServerUnavailable

DATABASES = ("sqlite", "postgresql", "mariadb")
ENGINES = ("database", "redis")
S = TypeVar("S", bound=Server)


def servers_are_required() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("JOBMAN_TEST_REQUIRE_SERVERS") == "1"


def give_up(reason: str) -> NoReturn:
    """Skip for want of a server, to be named in the summary; fail where servers are required."""
    (pytest.fail if servers_are_required() else pytest.skip)(reason)


def provide(kind: type[S], *args: object) -> Iterator[S]:
    """A started server of that kind, closed afterwards."""
    try:
        server = kind(*args).start()
    except ServerUnavailable as error:
        give_up(f"{kind.title}: {error}")
    yield server
    server.close()
