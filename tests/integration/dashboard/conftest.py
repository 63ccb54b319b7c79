"""The dashboard in this process, in front of the jobs of a rig that runs on SQLite."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import Rig
from site_of_a_test import Site

from jobman_cli.store.database import Database


@pytest.fixture
def rig(sqlite_template: Path, tmp_path: Path) -> Iterator[Rig]:
    """One application on an empty SQLite database that is its own line."""
    path = tmp_path / "jobman.db"
    shutil.copy(sqlite_template, path)
    store = Database(f"sqlite:///{path}")
    rig = Rig(store, "database", tmp_path, redact=("*password*",))
    yield rig
    rig.close()
    store.close()


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    """Its dashboard, open to everybody on this host."""
    with Site(rig) as site:
        yield site
