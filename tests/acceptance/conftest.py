"""Projects on the embedded default, and on PostgreSQL with Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleet import Fleet
from processes import JobmanProcess
from project import Project


@pytest.fixture(params=["sqlite-database", "postgresql-redis"])
def project(
    request: pytest.FixtureRequest, tmp_path: Path, start_jobman: Callable[..., JobmanProcess]
) -> Iterator[Project]:
    """A project that is ready to use."""
    if request.param == "sqlite-database":
        database, queue = request.getfixturevalue("sqlite_url"), "database"
    else:
        database, queue = request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url")
    project = Project(tmp_path, database, queue, start_jobman)
    yield project
    project.close()


@pytest.fixture
def fleet(project: Project, start_jobman: Callable[..., JobmanProcess]) -> Fleet:
    """Masters and supervisors of that project."""
    return Fleet(project, start_jobman)
