"""What each setting may be: the one place to add a setting to, besides ``model`` and the reference page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from jobman_cli.core.alerts import AlertKind
from jobman_cli.core.clock import MAX_PRIORITY, MIN_PRIORITY
from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.settings.checks import (
    BAD,
    Choice,
    Converted,
    Flag,
    Json,
    JsonObject,
    Kind,
    ListOf,
    MapOf,
    Number,
    Record,
    Secret,
    Text,
    or_null,
)
from jobman_cli.settings.document import Node
from jobman_cli.settings.model import (
    ALERT_DEFAULTS,
    DASHBOARD_DEFAULTS,
    NO_LIMIT,
    SUPERVISOR_DEFAULTS,
    JobOverride,
)
from jobman_cli.settings.problems import Problems, quoted
from jobman_cli.settings.urls import database_url, queue_url

#: Bounds of a job type's own options, as in ``core.jobtype``; the year bounds what only people set.
_MAX_SECONDS = 10**9
_YEAR = 31_536_000.0
_INT32 = 2**31 - 1

JOB_TYPE = Text(r"[A-Za-z0-9_.:-]{1,100}", "a job type: 1 to 100 letters, digits, or _ . : -")
QUEUE = Text(r"[A-Za-z0-9_.:-]{1,64}", "a queue's name: 1 to 64 letters, digits, or _ . : -")
NAME = Text(r"[A-Za-z0-9_.-]{1,64}", "1 to 64 letters, digits, or _ . -")
ENVIRONMENT = Text(r"[A-Za-z0-9_.*?-]{1,64}", "1 to 64 letters, digits, or _ . - (* and ? match any)")
PLUGIN = Text(r"[A-Za-z0-9_.-]{1,100}", "a plugin's name, such as hello")
MODULE = Text(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*", "a Python module, such as myapp.jobs")
TAG = Text(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,1000}", "a tag: 1 to 1000 printable characters")
PATTERN = Text(r"[\s\S]{1,100}", "a pattern of 1 to 100 characters, such as *password*")
CRON = Text(r"\s*(?:[0-9A-Za-z*/,#?-]+\s+){4}[0-9A-Za-z*/,#?-]+\s*", 'five cron fields, such as "0 3 * * *"')

_PRIORITY = Number(MIN_PRIORITY, MAX_PRIORITY, whole=True)
_QUEUES = ListOf(QUEUE, "[default]", least=1, unique=str)


def _job_override(values: dict[str, Any], *_: Any) -> JobOverride:
    return JobOverride(**values)


_JOB = Record(
    {
        "queue": QUEUE,
        "tries": Number(1, _INT32, whole=True),
        "timeout": Number(0, _MAX_SECONDS, above=True, null_is=NO_LIMIT),
        "backoff": ListOf(Number(0, _MAX_SECONDS), "[1, 5, 10]", single=True),
        "priority": _PRIORITY,
        "silenced": Flag(),
    },
    _job_override,
    "option of a job type",
)

_SUPERVISOR: dict[str, Kind] = {
    "queues": _QUEUES,
    "balance": Choice(("simple", "auto", "off"), false_is="off"),
    "scaling": Choice(("time", "size")),
    "min_processes": Number(1, 10_000, whole=True),
    "max_processes": Number(0, 10_000, whole=True),
    "max_shift": Number(1, 10_000, whole=True),
    "cooldown": Number(0, 86_400, above=True),
    "worker_type": Choice(("process", "thread", "async")),
    "concurrency": Number(1, 1000, whole=True),
    "memory": Number(0, 10_000_000, whole=True),
    "max_jobs": Number(0, _INT32, whole=True),
    "max_time": Number(0, _YEAR),
    "nice": Number(-20, 19, whole=True),
}


def _supervisor(values: dict[str, Any], node: Node, setting: str, problems: Problems) -> Any:
    whole = {**SUPERVISOR_DEFAULTS, **values}
    if whole["max_processes"] and whole["min_processes"] > whole["max_processes"]:
        where = next(
            (node.value[k].where for k in ("min_processes", "max_processes") if k in values), node.where
        )
        problems.add(
            where,
            setting,
            f"min_processes ({whole['min_processes']}) is more than max_processes ({whole['max_processes']})",
        )
    return whole


#: Of `defaults` and `environments`: only what is written, to be laid over each other later.
_PARTIAL_SUPERVISORS = MapOf(NAME, Record(_SUPERVISOR, what="option of a supervisor"))


def _alerts(values: dict[str, Any], *_: Any) -> dict[str, Any]:
    whole = {**ALERT_DEFAULTS, **values}
    return {**whole, "wait": {**ALERT_DEFAULTS["wait"], **whole["wait"]}}


_ALERTS = Record(
    {
        "wait": MapOf(QUEUE, Number(0, _YEAR)),
        "off": ListOf(Choice(tuple(kind.value for kind in AlertKind)), "[job-failed]", unique=str),
    },
    _alerts,
    "option of alerts",
)


def _dashboard(values: dict[str, Any], *_: Any) -> dict[str, Any]:
    return {**DASHBOARD_DEFAULTS, **values}


_TOKEN = Secret(r"[!-~]{12,200}", "a token: 12 to 200 letters, digits or signs without spaces")
_HOST = Text(r"[A-Za-z0-9_.:-]{1,253}", "a host's name or address, without a port")
_DASHBOARD = Record(
    {
        "host": _HOST,
        "port": Number(0, 65_535, whole=True),
        "prefix": Text(r"(?:/[A-Za-z0-9_.~-]+)*", "a path such as /ops/jobs, without a slash at its end"),
        "hosts": ListOf(_HOST, "[jobs.example.com]", unique=str),
        "read_only": Flag(),
        "token": _TOKEN,
        "read_token": _TOKEN,
        "basic": Secret(r"[^:\s]{1,100}:\S{8,200}", "user:password, the password of at least 8 signs"),
    },
    _dashboard,
    "option of the dashboard",
)


def _timezone(text: str) -> str:
    from jobman_cli.core.cron import find_zone

    try:
        find_zone(text)
    except ValueError:
        raise ValueError(f"{quoted(text)} is not a time zone; write one such as Asia/Taipei") from None
    return text


class _Cron:
    """Five cron fields that name a time which comes."""

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return the text as it is."""
        from jobman_cli.core.cron import check_cron

        text = CRON.check(node, setting, problems)
        if text is BAD:
            return BAD
        try:
            return check_cron(text)
        except ValueError as error:
            problems.add(node.where, setting, str(error))
            return BAD

    def schema(self) -> dict[str, Any]:
        """Return a string with the pattern of five fields."""
        return CRON.schema()


_ENTRY: dict[str, Kind] = {
    "name": Text(r"[A-Za-z0-9_.:-]{1,90}", "1 to 90 letters, digits, or _ . : -"),
    "cron": _Cron(),
    "every": Number(1, _YEAR),
    "timezone": Converted(
        _timezone, "a time zone, such as Asia/Taipei", ("UTC", "Asia/Taipei", "Europe/Berlin")
    ),
    "catch_up": Choice(("latest", "all", "none")),
    "paused": Flag(),
    "operation": Text(r"[a-z][a-z0-9_-]{0,63}", "an operation, such as prune"),
    "job": JOB_TYPE,
    "attribs": Json(),
    "queue": QUEUE,
    "priority": _PRIORITY,
}
_OF_JOB = ("attribs", "queue", "priority")
_OF_ANY = tuple(key for key in _ENTRY if key not in _OF_JOB)


class _Entry:
    """One line of the schedule. Beside an operation, keys that are not the schedule's are its options."""

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return a dict: name, cron or every, timezone, and operation and options, or job and its own."""
        keys = node.value if isinstance(node.value, dict) else {}
        options = {}
        if "operation" in keys:
            # A key that looks like a slip of the schedule's own keys stays, to be refused.
            options = {k: v for k, v in keys.items() if k not in _OF_ANY and not did_you_mean(k, _OF_ANY)}
            node = Node({k: v for k, v in keys.items() if k not in options}, node.where)
        entry = Record(_ENTRY, what="key of a schedule").check(node, setting, problems)
        if entry is BAD:
            return BAD
        _check_entry(entry, node, setting, problems)
        if "operation" in keys:
            entry["options"] = Json().check(Node(options, node.where), setting, problems)
        return {"timezone": "UTC", **entry} if "name" in entry else BAD

    def schema(self) -> dict[str, Any]:
        """Return an object whose other keys are free only beside an operation."""
        known = {key: or_null(kind.schema()) for key, kind in _ENTRY.items()}
        of_job = {key: known[key] for key in _OF_JOB}
        of_job["attribs"] = {"type": ["object", "null"]}
        return {
            "type": "object",
            "properties": {key: known[key] for key in _OF_ANY},
            "allOf": [
                _given("name"),
                {"oneOf": [_given("cron"), _given("every")]},
                {"oneOf": [_given("operation"), _given("job")]},
            ],
            "if": {"not": {"required": ["operation"]}},
            "then": {"properties": of_job, "propertyNames": {"enum": list(_ENTRY)}},
        }


def _given(key: str) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


def _check_entry(entry: dict[str, Any], node: Node, setting: str, problems: Problems) -> None:
    """Check what the keys of one entry say about each other."""
    given = {key for key, each in node.value.items() if each.value is not None}
    if "name" not in given:
        problems.add(node.where, setting, "a `name` is missing")
    for one, other in (("cron", "every"), ("operation", "job")):
        if (one in given) == (other in given):
            problems.add(node.where, setting, f"give either `{one}` or `{other}`")
    if not isinstance(entry.get("attribs", {}), dict):
        problems.add(node.value["attribs"].where, f"{setting}.attribs", "expected a mapping")


_DATABASES = (
    "sqlite:///var/jobman.db",
    "postgresql://user:password@host/name",
    "mysql://user:password@host/name",
)
_QUEUE_URLS = ("database", "redis://localhost:6379/0", "redis+sentinel://host1:26379,host2:26379/service/0")


def settings_shape(root: Path) -> Record:
    """Return what the whole file may be, for a project at ``root``."""
    return Record(
        {
            "name": NAME,
            "database": Converted(partial(database_url, root=root), "a database's URL", _DATABASES),
            "queue": Converted(queue_url, "`database` or a Redis URL", _QUEUE_URLS),
            "plugins": ListOf(PLUGIN, "[hello]", unique=str),
            "modules": ListOf(MODULE, "[myapp.jobs]", unique=str),
            "jobs": MapOf(JOB_TYPE, _JOB),
            "silenced": ListOf(JOB_TYPE, "[hello]", unique=str),
            "silenced_tags": ListOf(TAG, "[heartbeat]", unique=str),
            "max_attribs_bytes": Number(2, 2**30, whole=True),
            "recording": Choice(("turn", "each")),
            "shutdown_timeout": Number(0, _YEAR),
            "heartbeat": Number(0.1, 86_400),
            "lease": Number(1, 86_400),
            "grace": Number(0, 86_400),
            "sweep": Number(0.1, 86_400),
            "rescue_limit": Number(0, _INT32, whole=True),
            "redact": ListOf(PATTERN, '["*password*"]'),
            "supervisors": MapOf(NAME, Record(_SUPERVISOR, _supervisor, "option of a supervisor")),
            "environments": MapOf(ENVIRONMENT, _PARTIAL_SUPERVISORS),
            "defaults": _PARTIAL_SUPERVISORS,
            "alerts": _ALERTS,
            "dashboard": _DASHBOARD,
            "plugin_options": MapOf(PLUGIN, JsonObject()),
            "schedule": ListOf(_Entry(), "[{name: …, every: 60, operation: …}]", unique=lambda e: e["name"]),
        }
    )
