"""The fixture for the command line in this process."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_app import App


@pytest.fixture
def app(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """An application in the current directory; its module is forgotten afterwards."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("jobman", "huey", "alembic", "sqlalchemy")}
    kept = (root.handlers[:], root.level, logging.raiseExceptions)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield App(tmp_path, capsys)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    root.handlers[:], root.level, logging.raiseExceptions = kept
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
