"""The JSON API: described, true to its description, the same keys as `--json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from house_of_a_test import House
from processes import ROOT as REPOSITORY
from starlette.routing import Route

from jobman_cli.core.context import Context
from jobman_cli.core.jobtype import job
from jobman_cli.dashboard.api import shapes
from jobman_cli.dashboard.api.openapi import document
from jobman_cli.dashboard.api.table import ENDPOINTS, ROOT
from jobman_cli.hooks import PluginInfo

JSON = {"headers": {"content-type": "application/json"}}
HALF = '{"type": "hello", "attribs": {"name": "\\ud800"}}'
REFERENCE = (REPOSITORY / "docs/reference/json.md").read_text()
ENTRIES = (
    {"name": "tick", "cron": "0 3 * * *", "timezone": "UTC", "job": "hello"},
    {"name": "thin", "every": 3600.0, "timezone": "UTC", "operation": "snapshot"},
)


@job("hello", tags=["a"], backoff=[1, 5])
def hello(ctx: Context, name: str = "world", password: str = "") -> None:
    """Say hello.

    Args:
        name: Whom to greet.
    """


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    plugins = [PluginInfo("greeter", job_types=("hello",)), PluginInfo("x", state="missing")]
    house = House(sqlite_template, tmp_path, [hello], plugins, schedule=ENTRIES)
    yield house
    house.close()


def validate(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": document()["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def schema_of(method: str, path: str, status: int) -> dict[str, Any]:
    answers = document()["paths"][path][method]["responses"]
    return answers[str(status)]["content"]["application/json"]["schema"]


def test_every_address_is_described_and_no_other(house: House) -> None:
    there = {
        (method.lower(), route.path)
        for route in house.app.routes
        if isinstance(route, Route) and route.path.startswith(ROOT)
        for method in route.methods - {"HEAD"}
    }
    described = {(method, path) for path, methods in document()["paths"].items() for method in methods}
    assert there == described | {("get", "/api/openapi.json")}
    assert len(described) == len(ENDPOINTS) > 25


def test_the_description_names_where_it_is(house: House) -> None:
    found = house.client().get("/api/openapi.json").json()
    assert found["openapi"].startswith("3.1") and found["servers"] == [{"url": "/"}]
    mounted = house.client(root_path="/ops").get("/ops/api/openapi.json").json()
    assert mounted["servers"] == [{"url": "/ops"}]


@pytest.mark.parametrize("filled", [False, True])
def test_every_look_is_as_described(house: House, filled: bool) -> None:
    if filled:
        house.fill("some text")
    client, seen = house.client(), 0
    for path, methods in document()["paths"].items():
        if "get" not in methods:
            continue
        for query in ("", "?type=some text&since=30m") if path == "/api/metrics" else ("",):
            address = path.replace("{id}", "15").replace("{name}", "hello")
            answer = client.get(address + query)
            assert answer.headers["content-type"] == "application/json"
            assert answer.status_code == (200 if filled or "{id}" not in path else 404), answer.text
            validate(schema_of("get", path, answer.status_code), answer.json())
            if filled and path not in ("/api/plugins", "/api/types/{name}"):
                assert answer.json(), path
            seen += 1
    assert seen == 18


def test_a_wrong_answer_would_be_seen() -> None:
    schema = schema_of("get", "/api/status", 200)
    right = {"state": "paused", "hosts": [], "paused_queues": []}
    right |= dict.fromkeys(("masters", "supervisors", "paused", "silent", "workers"), 0)
    validate(schema, right)
    for wrong in ({**right, "more": 1}, {**right, "state": "asleep"}, {**right, "paused": "no"}, {}):
        with pytest.raises(jsonschema.ValidationError):
            validate(schema, wrong)


@pytest.mark.parametrize(
    ("heading", "model", "less"),
    [
        ("key", shapes.Job, ()),
        ("more", shapes.WholeJob, tuple(shapes.Job.model_fields)),
        ("failed", shapes.Failed, ()),
        ("alert", shapes.Alert, ()),
        ("of a queue", shapes.Queue, ()),
        ("audit", shapes.Audit, ()),
        ("worker", shapes.Worker, ()),
    ],
)
def test_the_keys_are_those_of_the_reference(heading: str, model: Any, less: tuple[str, ...]) -> None:
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", REFERENCE, re.M)
    assert table, heading
    documented = [re.match(r"\| `(\w+)`", line)[1] for line in table[1].splitlines()]
    assert documented == [name for name in model.model_fields if name not in less]


def test_the_description_is_in_the_reference() -> None:
    page = (REPOSITORY / "docs/reference/api.md").read_text()
    for path, methods in document()["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in page, (method, path)


def test_pages_follow_each_other(house: House) -> None:
    for number in range(1, 6):
        house.fill("text", number)
    for path, number in (("/api/jobs", 35), ("/api/failed", 5), ("/api/audit", 1)):
        for query in ("?limit=2", "?limit=2&since=2h&queue=text"):
            if path == "/api/audit" and "since" in query:
                continue
            address: str | None = path + query
            ids: list[int] = []
            while address:
                answer = house.client().get(address)
                assert answer.status_code == 200, answer.text
                ids += [row["id"] for row in answer.json()]
                link = answer.headers.get("link")
                address = None if link is None else re.fullmatch(r'<(.+)>; rel="next"', link)[1]
            assert ids == sorted(ids, reverse=True) and len(ids) == number, path


def test_jobs_are_asked_for_as_on_the_command_line(house: House) -> None:
    house.fill("text")

    def ids(query: str) -> list[int]:
        return [row["id"] for row in house.client().get(f"/api/jobs?{query}").json()]

    assert ids("status=failed&status=queued") == [15, 11]
    assert ids("before=12") == [11, 10]
    assert ids("tag=text&error=TEX&status=failed") == [15]
    assert ids("type=other") == ids("until=1h") == []
    assert len(ids("since=1h")) == 7


def test_a_job_is_dispatched_and_brought_to_its_end(house: House) -> None:
    client = house.client()
    options = {"queue": "q", "priority": 3, "delay": 9, "tags": ["x"]}
    given = {"type": "hello", "attribs": {"password": "pssst"}, **options}
    answer = client.post("/api/jobs", json=given)
    assert answer.status_code == 201
    validate(schema_of("post", "/api/jobs", 201), answer.json())
    row = answer.json()
    assert (row["status"], row["queue"], row["priority"], row["tags"]) == ("scheduled", "q", 3, ["x"])
    assert "pssst" not in answer.text + client.get("/api/jobs/1").text
    for deed, status in (
        ("cancel", 200),
        ("cancel", 409),
        ("retry", 409),
        ("requeue", 200),
        ("requeue", 409),
    ):
        answer = client.post(f"/api/jobs/1/{deed}")
        assert answer.status_code == status, answer.text
        validate(schema_of("post", f"/api/jobs/{{id}}/{deed}", status), answer.json())
    assert client.post("/api/jobs/7/cancel").status_code == 404
    assert client.post("/api/jobs/1/delete").status_code == 409
    assert client.post("/api/jobs/1/cancel").status_code == 200
    answer = client.post("/api/jobs/1/delete")
    validate(schema_of("post", "/api/jobs/{id}/delete", 200), answer.json())
    assert client.get("/api/jobs/1").status_code == 404
    done = [(each.action, each.outcome, each.number) for each in house.audit()]
    assert done[::-1] == [
        ("dispatch", "done", 1),
        ("cancel", "done", 1),
        ("cancel", "refused", 0),
        ("retry", "refused", 0),
        ("requeue", "done", 1),
        ("requeue", "refused", 0),
        ("cancel", "refused", 0),
        ("delete", "refused", 0),
        ("cancel", "done", 1),
        ("delete", "done", 1),
    ]
    dispatched = house.audit()[-1]
    assert dispatched.details == {"type": "hello", **options}
    assert dispatched.actor == "anybody" and "pssst" not in json.dumps(dispatched.details)


def test_failed_jobs_are_run_again(house: House) -> None:
    house.fill("text")
    client = house.client()
    assert client.post("/api/failed/retry", json={"type": "other"}).json()["queued"] == 0
    answer = client.post("/api/jobs/15/retry")
    assert answer.json() == {"queued": 1, "missing": 0, "elsewhere": 0, "conflicts": []}
    assert client.get("/api/jobs/15").json()["status"] == "queued" and client.get("/api/failed").json() == []
    house.fill("more", 2)
    answer = client.post("/api/failed/retry", json={"error": "MORE"})
    validate(schema_of("post", "/api/failed/retry", 200), answer.json())
    assert answer.json()["queued"] == 1 and house.audit()[0].number == 1


def test_queues_supervisors_and_the_schedule(house: House) -> None:
    house.fill("text")
    client = house.client()
    for path, body, value in (
        ("/api/queues/{name}/pause", {"seconds": 60}, {"queue": "q", "paused": True}),
        ("/api/queues/{name}/continue", None, {"queue": "q", "paused": False}),
        ("/api/supervisors/{uuid}/pause", None, {"command": "pause", "answered": False}),
        ("/api/schedule/{name}/run", None, {"job_id": 17, "outcome": "dispatched", "message": None}),
    ):
        name = "tick" if "schedule" in path else "q"
        address = path.replace("{name}", name).replace("{uuid}", "text")
        answer = client.post(address, json=body) if body else client.post(address)
        assert answer.status_code == 200 and answer.json() == value, answer.text
        validate(schema_of("post", path, 200), answer.json())
    assert client.post("/api/schedule/thin/run").json()["outcome"] == "completed"
    assert client.post("/api/schedule/other/run").status_code == 404
    assert client.post("/api/supervisors/other/terminate").status_code == 404
    assert [each.outcome for each in house.audit()] == ["refused"] * 2 + ["done"] * 5 + ["text"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/api/jobs?limit=501", {}, 400),
        ("GET", "/api/jobs?limit=0", {}, 400),
        ("GET", "/api/jobs?limit=1&limit=2", {}, 400),
        ("GET", "/api/jobs?colour=red", {}, 400),
        ("GET", "/api/jobs?status=asleep", {}, 400),
        ("GET", "/api/jobs?since=soon", {}, 400),
        ("GET", "/api/jobs?since=1h&until=2h", {}, 400),
        ("GET", "/api/jobs?type=%00", {}, 400),
        ("GET", f"/api/jobs?before={2**63}", {}, 400),
        ("GET", "/api/jobs/x", {}, 400),
        ("GET", "/api/jobs/1?id=2", {}, 400),
        ("GET", f"/api/jobs/{2**63}", {}, 400),
        ("GET", "/api/metrics?since=1s", {}, 400),
        ("GET", "/api/types/nothing", {}, 404),
        ("GET", "/api/nothing", {}, 404),
        ("PUT", "/api/jobs", {}, 405),
        ("POST", "/api/jobs", {}, 400),
        ("POST", "/api/jobs", {"content": "{", **JSON}, 400),
        ("POST", "/api/jobs", {"content": b"\xff", **JSON}, 400),
        (
            "POST",
            "/api/jobs",
            {"content": "[" * 90_000, **JSON},
            400,
        ),
        ("POST", "/api/jobs", {"data": {"type": "hello"}}, 400),
        ("POST", "/api/jobs", {"json": {"type": "nothing"}}, 400),
        ("POST", "/api/jobs", {"json": {"type": "hello", "attribs": {"nam": 1}}}, 400),
        ("POST", "/api/jobs", {"content": HALF, **JSON}, 400),
        ("POST", "/api/jobs", {"json": {"type": "hello", "priority": 1001}}, 400),
        ("POST", "/api/jobs", {"json": {"type": "hello", "priority": True}}, 400),
        ("POST", "/api/jobs", {"json": {"type": "hello", "tags": ["a\nb"]}}, 400),
        ("POST", "/api/jobs/1/cancel", {"json": {"why": 1}}, 400),
    ],
)
def test_what_cannot_be_is_refused(house: House, method: str, path: str, options: Any, status: int) -> None:
    answer = house.client().request(method, path, **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "hint"} and all(answer.json().values())
    assert house.client().get("/api/jobs").json() == []
