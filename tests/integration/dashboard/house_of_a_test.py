"""An application with its dashboard, and rows in every table that say what a test wants them to."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Integer
from starlette.routing import Route
from starlette.testclient import TestClient

from jobman_cli.app import Jobman
from jobman_cli.core.jobtype import JobType
from jobman_cli.dashboard import create_app
from jobman_cli.engine.database_queue import DatabaseQueue
from jobman_cli.hooks import PluginInfo
from jobman_cli.hooks.registry import Registry
from jobman_cli.operations.journal import audits
from jobman_cli.settings import Settings
from jobman_cli.settings.model import DASHBOARD_DEFAULTS
from jobman_cli.store.database import Database
from jobman_cli.store.schema import upgrade
from jobman_cli.store.tables import JOBS, TABLES, Audit, UTCDateTime

#: Words that the program itself reads; whatever else is text is anybody's.
OWN = {
    ("jobman_workers", "state"): "running",
    ("jobman_supervisors", "kind"): "supervisor",
    ("jobman_supervisors", "state"): "running",
    ("jobman_alerts", "state"): "open",
    ("jobman_schedules", "outcome"): "completed",
}


#: Filled once: what the dashboard itself writes goes on from there.
ONCE = ("jobman_audit",)


class House:
    """One application and its dashboard.

    Args:
        template: An empty database of SQLite, to be copied; or the URL of one of any kind.
        dashboard: Settings under `dashboard:`.
        settings: Other settings.
    """

    def __init__(
        self,
        template: Path | str,
        path: Path,
        types: Sequence[JobType] = (),
        plugins: Sequence[PluginInfo] = (),
        hooks: Mapping[str, Any] | None = None,
        dashboard: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(template, str):
            url = template
            empty = Database(url)
            upgrade(empty)
            empty.close()
        else:
            shutil.copy(template, path / "jobman.db")
            url = f"sqlite:///{path / 'jobman.db'}"
        options = {**DASHBOARD_DEFAULTS, **(dashboard or {})}
        self.jobman = Jobman(Settings(root=path, database=url, dashboard=options, **settings))
        self.store = Database(url)
        registry = Registry({each.name: each for each in types}, plugins, hooks or {})
        vars(self.jobman).update(registry=registry, database=self.store, engine=DatabaseQueue("jobman"))
        self.app = create_app(self.jobman)

    def client(self, **options: Any) -> TestClient:
        """A browser or a program."""
        return TestClient(self.app, base_url="http://localhost", follow_redirects=False, **options)

    @property
    def addresses(self) -> list[tuple[str, frozenset[str]]]:
        """Every address that there is, as Starlette writes it, with its methods."""
        routes = [route for route in self.app.routes if isinstance(route, Route)]
        return [(route.path, frozenset(route.methods or ())) for route in routes]

    def audit(self) -> list[Audit]:
        """What was done, the newest first."""
        return audits(self.jobman.records)

    def fill(self, text: str, id: int = 1) -> None:
        """One row in every table with that text wherever a row can have some; a job in each state."""
        with self.store.transaction() as connection:
            for table in TABLES:
                if table is not JOBS and (id == 1 or table.name not in ONCE):
                    connection.execute(table.insert().values(row_of(table, text, id)))
            states = ("pending", "queued", "scheduled", "running", "completed", "failed", "cancelled")
            for number, state in enumerate(states):
                row = {**row_of(JOBS, text, 10 * id + number), "status": state, "tags": [text[:100]]}
                row |= {"progress": {"done": 1, "total": 2}, "timeout": 1.5, "unique_key": f"{number} {id}"}
                connection.execute(JOBS.insert().values(row))

    def close(self) -> None:
        """Close connections."""
        self.jobman.close()
        self.store.close()


def row_of(table: Any, text: str, id: int) -> dict[str, Any]:
    """A row with the text in every column that takes it."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name == "beat":
            row[column.name] = 10.0**12
        elif column.name in ("queues",):
            row[column.name] = [text]
        elif column.name == "pools":
            row[column.name] = {text: 1}
        elif column.name.endswith("_histogram"):
            row[column.name] = {}
        elif table.name == "jobman_metrics" and column.name in ("at", "seconds"):
            # A minute that is over, so that a chart has it whenever the test runs.
            over = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
            row[column.name] = over if column.name == "at" else 60
        elif isinstance(column.type, UTCDateTime):
            row[column.name] = datetime.now(UTC)
        elif isinstance(column.type, JSON):
            row[column.name] = {text: [text, {text: text}]}
        elif isinstance(column.type, Integer) or column.type.python_type in (int, float):
            row[column.name] = 10 * id + 5 if column.name == "jobman_id" else id
        else:
            length = getattr(column.type, "length", None)
            known = OWN.get((table.name, column.name))
            own = f"{text}{id}" if id > 1 and (column.unique or column.primary_key) else text
            row[column.name] = known or (own if length is None else own[:length])
    return row
