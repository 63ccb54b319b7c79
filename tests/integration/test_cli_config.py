"""`jobman config`: every value with its origin and without its secrets; the schema for editors."""

from __future__ import annotations

import pytest
from cli_app import App

CONFIGURATION = """
modules: [jobs_of_a_test]
queue: redis://user:hush@cache:6379/0?password=hush
jobs: {hello: {tries: 5, timeout: null}}
schedule:
  - {name: sync, every: 60, job: hello, attribs: {api_token: hush, url: "https://ada:hush@example.org"}}
"""


def shown(app: App, *arguments: str) -> dict[str, tuple[object, str]]:
    found = app.ok(*arguments, "config", "show", "--json").json
    assert list(found) == ["path", "root", "settings"]
    return {each["setting"]: (each["value"], each["origin"]) for each in found["settings"]}


def test_each_value_has_its_origin(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app.configure(CONFIGURATION)
    monkeypatch.setenv("JOBMAN_LEASE", "60")
    monkeypatch.setenv("JOBMAN_JOBS__HELLO__PRIORITY", "3")
    found = shown(app, "--database", "sqlite:///other.db", "--queue-url", "database")
    assert found["modules"] == (["jobs_of_a_test"], "jobman.yaml:2")
    assert found["lease"] == (60.0, "environment JOBMAN_LEASE")
    assert found["heartbeat"] == (5.0, "default")
    assert found["jobs.hello.tries"] == (5, "jobman.yaml:4")
    assert found["jobs.hello.timeout"] == (None, "jobman.yaml:4")
    assert found["jobs.hello.priority"] == (3, "environment JOBMAN_JOBS__HELLO__PRIORITY")
    assert found["database"] == (f"sqlite:///{app.path}/other.db", "--database")
    assert found["queue"] == ("database", "--queue-url")
    assert found["supervisors.default.max_processes"] == (4, "default")
    assert found["environments"] == ({}, "default")


def test_a_supervisor_in_part(app: App) -> None:
    app.configure("supervisors:\n  default:\n    max_processes: 9\n")
    found = shown(app)
    assert found["supervisors.default.max_processes"] == (9, "jobman.yaml:3")
    assert found["supervisors.default.balance"] == ("auto", "default")


def test_no_secret_is_shown(app: App) -> None:
    app.configure(CONFIGURATION)
    for arguments in (("config", "show"), ("config", "show", "--json")):
        result = app.ok(*arguments)
        assert "hush" not in result.out + result.err
        assert "***" in result.out and "cache:6379" in result.out and "example.org" in result.out


def test_a_table_for_people(app: App) -> None:
    lines = app.ok("config", "show").out.splitlines()
    assert lines[0].split() == ["setting", "value", "origin"]
    assert any(line.split() == ["recording", "turn", "default"] for line in lines)


def test_broken_files_are_refused(app: App) -> None:
    app.configure("lease: soon\n")
    app.refused(78, "config", "show")


def test_the_schema_needs_no_configuration(app: App) -> None:
    app.configure("lease: soon\n")
    schema = app.ok("config", "schema").json
    assert schema["properties"]["lease"]["default"] == 30.0
    assert schema["additionalProperties"] is False
