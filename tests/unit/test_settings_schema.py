"""The schema for editors: it allows whatever `load_settings` takes, and refuses what it plainly does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from processes import ROOT

from jobman_cli.errors import ConfigurationError
from jobman_cli.settings import SUPERVISOR_DEFAULTS, load_settings, settings_schema

SCHEMA = settings_schema()
VALIDATOR = Draft7Validator(SCHEMA)

GOOD = [
    "{}",
    "database: postgresql://app@db/app\nqueue: redis://cache:6379/0",
    "plugins:\nmodules: [a.b]\nredact: ['*pin*', \"a\\nb\"]",
    "jobs: {hello: {tries: 3, timeout: null, backoff: 5}, mail.send: {backoff: [1, 2.5]}, bare: }",
    "supervisors: {default: {queues: [a, b], balance: off, memory: 0}, x: }",
    "supervisors: {default: {balance: false}}",
    "environments: {production: {default: {max_processes: 8}}}\ndefaults: {default: {nice: 5}}",
    "schedule: [{name: a, cron: '0 3 * * *', operation: prune, days: 180, queue: 7}]",
    "schedule: [{name: a, every: 60, cron: null, job: hello, attribs: {name: Ada}, queue: q}]",
    "lease: 60\nheartbeat: 5.5\nrecording: each",
    "modules: [größe.jobs]",
    "alerts: {wait: {default: 0, mail: 7.5}, off: [job-failed]}\nplugin_options: {webhook: {url: x}, bare: }",
    "silenced: [a.b]\nsilenced_tags: ['größe 7']\njobs: {hello: {silenced: true}}",
]
BAD = [
    "databse: sqlite:///x.db",
    "- a list",
    "lease: soon",
    "lease: 0",
    "heartbeat: true",
    "rescue_limit: 1.5",
    "recording: sometimes",
    "plugins: hello",
    "plugins: ['a b']",
    "plugins: [hello, hello]",
    "jobs: {hello: {trys: 3}}",
    "jobs: {'a b': {}}",
    "jobs: {hello: {silenced: maybe}}",
    "silenced: hello",
    "silenced_tags: ['']",
    'silenced_tags: ["a\\0"]',
    "supervisors: {default: {queues: []}}",
    "supervisors: {default: {balance: maybe}}",
    "alerts: {wait: 60}",
    "alerts: {off: [everything]}",
    "plugin_options: {webhook: x}",
    "schedule: [{cron: '0 3 * * *', operation: prune}]",
    "schedule: [{name: a, operation: prune}]",
    "schedule: [{name: a, every: 60, cron: '0 3 * * *', operation: prune}]",
    "schedule: [{name: a, every: 60, job: hello, days: 180}]",
    "schedule: [{name: a, every: 60, job: hello, attribs: [1]}]",
    "schedule: [{name: a, every: 60, operation: prune, job: hello}]",
]


def loads(text: str, tmp_path: Path) -> bool:
    file = tmp_path / "jobman.yaml"
    file.write_text(text)
    try:
        load_settings(file, environ={}, cwd=tmp_path)
    except ConfigurationError:
        return False
    return True


def allows(text: str) -> bool:
    return VALIDATOR.is_valid(plain(text))


def plain(text: str) -> Any:
    from jobman_cli.settings.document import parse_yaml
    from jobman_cli.settings.problems import Problems, Where

    def value(node: Any) -> Any:
        if isinstance(node.value, dict):
            return {key: value(each) for key, each in node.value.items()}
        return [value(each) for each in node.value] if isinstance(node.value, list) else node.value

    return value(parse_yaml(text, lambda line: Where("file", line), Problems()))


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA, allow_nan=False)


def test_the_shipped_file_fits() -> None:
    assert not list(VALIDATOR.iter_errors(yaml.safe_load((ROOT / "config/jobman.yaml").read_text())))


@pytest.mark.parametrize("text", GOOD)
def test_good_files_fit(text: str, tmp_path: Path) -> None:
    assert loads(text, tmp_path)
    assert not [error.message for error in VALIDATOR.iter_errors(plain(text))]


@pytest.mark.parametrize("text", BAD)
def test_bad_files_do_not(text: str, tmp_path: Path) -> None:
    assert not loads(text, tmp_path)
    assert not allows(text)


def test_it_names_every_setting_of_the_reference() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    top = re.search(r"^## Top level\n(.*?)^## ", page, re.M | re.S)
    assert top
    assert set(SCHEMA["properties"]) == set(re.findall(r"^\| `(\w+)` \|", top[1], re.M))


def test_its_defaults_are_the_settings(tmp_path: Path) -> None:
    found = load_settings(None, environ={}, cwd=tmp_path)
    for name, schema in SCHEMA["properties"].items():
        if "default" in schema and name != "database":
            value = getattr(found, name)
            assert schema["default"] == (list(value) if isinstance(value, tuple) else value)
    of_a_supervisor = SCHEMA["properties"]["supervisors"]["additionalProperties"]["properties"]
    assert set(of_a_supervisor) == set(SUPERVISOR_DEFAULTS)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        [0.5, 60, 10**9, 10**12, "a", "a b", "off", "auto", "0 3 * * *", "UTC", "prune", "ö.b", ""]
    ),
)
KEYS = sorted(
    {*SCHEMA["properties"], *SUPERVISOR_DEFAULTS, "hello", "tries", "timeout", "backoff", "priority", "a b"}
    | {"cron", "every", "operation", "job", "attribs", "days", "timezone"}
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])), VALUES, max_size=4))
def test_whatever_loads_is_allowed(directory: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert allows(text) or not loads(text, directory), text
