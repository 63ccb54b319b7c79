"""The tables' versions: the migrations make what the models say, once, whoever asks first."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from processes import ROOT, jobman_environment
from provision import give_up
from rig import add_jobs
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from jobman_cli.errors import SchemaError
from jobman_cli.store import schema
from jobman_cli.store.database import Database
from jobman_cli.store.schema import HEAD, REVISIONS, VERSION_TABLE, check_schema, require_schema, upgrade
from jobman_cli.store.tables import TABLES

OURS = {table.name for table in TABLES}
#: On MySQL's family, in the place of a partial unique index, which `test_unique.py` asks of every database.
INSTEAD = ("unfinished_key", "ux_jobmans_unique")


@pytest.fixture
def empty(database_url: str) -> Database:
    return Database(database_url, pooled=False)


def in_processes(number: int, script: str, *args: str) -> list[str]:
    """Run `script` in so many Python processes at once; what each printed."""

    def run(_number: int) -> str:
        command = [sys.executable, "-c", script, *args]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=jobman_environment(), check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def test_the_migrations_make_what_the_models_say(empty: Database) -> None:
    """Beside tables of an application's own, which are left alone."""
    with empty.transaction() as connection:
        connection.execute(text("CREATE TABLE of_the_application (id INTEGER)"))
    assert upgrade(empty).current is None
    with empty.transaction() as connection:

        def ours(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
            if empty.dialect.name == "mysql" and name in INSTEAD:
                return False
            return kind != "table" or name in OURS

        options = {"compare_type": True, "include_object": ours, "version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, SQLModel.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*OURS, VERSION_TABLE, "of_the_application"}


def test_an_upgrade_keeps_nobody_waiting_afterwards(database_url: str) -> None:
    """Also when the process lives on, and its pool keeps connections."""
    first = Database(database_url)
    upgrade(first)
    began = time.monotonic()
    upgrade(Database(database_url, pooled=False))
    assert time.monotonic() - began < 20
    first.close()


def test_a_second_upgrade_changes_nothing(empty: Database) -> None:
    assert not check_schema(empty).fits
    upgrade(empty)
    state = upgrade(empty)
    assert (state.current, state.fits, state.newer) == (HEAD, True, False)
    require_schema(empty)


def test_revisions_are_those_of_the_folder() -> None:
    directory = ScriptDirectory(str(ROOT / "jobman_cli/store/migrations"))
    found = [script.revision for script in directory.walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS
    assert directory.get_heads() == [HEAD]


def test_tables_of_a_later_jobman_are_refused(empty: Database) -> None:
    upgrade(empty)
    with empty.transaction() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    assert check_schema(empty).newer
    for use in (require_schema, upgrade):
        with pytest.raises(SchemaError, match="9999") as caught:
            use(empty)
        assert "Upgrade jobman-cli" in caught.value.hint


def test_only_sqlite_is_made_on_first_use(empty: Database) -> None:
    if empty.dialect.name == "sqlite":
        require_schema(empty)
        assert check_schema(empty).fits
        return
    with pytest.raises(SchemaError) as caught:
        require_schema(empty)
    assert "jobman db upgrade" in caught.value.hint
    assert check_schema(empty).current is None


def test_an_old_version_is_not_upgraded_in_passing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade(empty)
    monkeypatch.setattr(schema, "REVISIONS", (*REVISIONS, "0099"))
    monkeypatch.setattr(schema.SchemaState.__init__, "__defaults__", ("0099",))
    with pytest.raises(SchemaError, match="needs 0099"):
        require_schema(empty)


def test_down_and_up_again(empty: Database) -> None:
    upgrade(empty)
    with empty.transaction() as connection:
        directory = ScriptDirectory(str(ROOT / "jobman_cli/store/migrations"))
        scripts = [directory.get_revision(revision).module for revision in REVISIONS]
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            for script in reversed(scripts):
                script.downgrade()
            assert not OURS & set(inspect(connection).get_table_names())
            for script in scripts:
                script.upgrade()


FIRST_USE = """
import sys
from jobman_cli.store.database import Database
from jobman_cli.store.schema import check_schema, require_schema, upgrade
database = Database(sys.argv[1], pooled=False)
(require_schema if sys.argv[2] == "use" else upgrade)(database)
print(check_schema(database).fits)
"""


def test_six_processes_use_a_new_file_at_once(sqlite_url: str) -> None:
    assert in_processes(6, FIRST_USE, sqlite_url, "use") == ["True\n"] * 6


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_four_processes_upgrade_at_once(database_url: str) -> None:
    assert in_processes(4, FIRST_USE, database_url, "upgrade") == ["True\n"] * 4


CLAIM = """
import sys
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import claim_line
from jobman_cli.store.lifecycle.finish import Finish, complete
from jobman_cli.core.outcome import COMPLETED
from jobman_cli.store.lifecycle.workers import WorkerIdentity, register
import time
from datetime import UTC, datetime
from uuid import uuid4
database = Database(sys.argv[1])
worker, link, mine = str(uuid4()), database.link(), []
identity = WorkerIdentity(worker, "s", "h", 1, "b", "n", 1, ("default",))
link.run(register, identity)
while claims := link.run(claim_line, worker, "default", 3, None):
    now = time.time()
    assert link.run(complete, worker, [Finish(c, COMPLETED, now, now) for c in claims]) == []
    mine += [c.id for c in claims]
print(*mine)
"""


def test_four_processes_work_on_one_file(sqlite_url: str) -> None:
    """Rule 22: BEGIN IMMEDIATE: no process ever sees "database is locked", and each job has one winner."""
    database = Database(sqlite_url)
    require_schema(database)
    ids = add_jobs(database, 1000)
    said = in_processes(4, CLAIM, sqlite_url)
    assert sorted(int(word) for line in said for word in line.split()) == ids
    database.close()


def test_the_wheel_holds_the_migrations(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    shutil.copytree(
        ROOT / "jobman_cli", tmp_path / "jobman_cli", ignore=shutil.ignore_patterns("node_modules")
    )
    for name in ("pyproject.toml", "hatch_build.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "README.md").touch()
    if shutil.which("npm") is None:
        give_up("npm is not here, so no wheel can be built")
    (wheel,) = WheelBuilder(str(tmp_path)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = "jobman_cli/store/migrations"
    versions = {f"{folder}/versions/{path.name}" for path in (ROOT / folder / "versions").glob("0*.py")}
    assert versions
    assert {f"{folder}/env.py", *versions} <= names
