"""`jobman dashboard` as people start it: where, for whom, below which path; and where it refuses to start."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from processes import JobmanProcess, wait_until
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from jobman_cli import Jobman
from jobman_cli.dashboard import create_app, view

TOKEN, READ, BASIC = "t" * 24, "r" * 24, "ada:correct-horse"
#: Which variable has which credential.
GIVEN = {
    "JOBMAN_DASHBOARD__TOKEN": TOKEN,
    "JOBMAN_DASHBOARD__READ_TOKEN": READ,
    "JOBMAN_DASHBOARD__BASIC": BASIC,
}

Start = Callable[..., JobmanProcess]


@pytest.fixture
def start(start_jobman: Start, tmp_path: Path) -> Start:
    """`jobman dashboard` in an empty project, on a free port unless it is told another."""

    def start(*options: str | int, **env: str) -> JobmanProcess:
        port = () if "--port" in options else ("--port", 0)
        return start_jobman("dashboard", *port, *options, cwd=tmp_path, env=env)

    return start


def address_of(process: JobmanProcess) -> str:
    """As it says itself, without the last slash."""

    def said() -> str:
        assert process.returncode is None, process.stderr
        return process.stderr.partition("dashboard is at ")[2].strip()

    return wait_until(said, 30, "the address").rstrip("/")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])  # that is what is refused
def test_elsewhere_it_refuses_to_start_without_a_credential(start: Start, host: str) -> None:
    process = start("--host", host)
    assert process.wait() == 78
    assert f"{host} can be reached from elsewhere, and no credential is set" in process.stderr
    assert "JOBMAN_DASHBOARD__TOKEN" in process.stderr and "Traceback" not in process.stderr
    assert "dashboard is at" not in process.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_this_host_it_asks_nobody(start: Start, host: str) -> None:
    process = start("--host", host)
    address = address_of(process)
    assert address.startswith(f"http://{host}:")
    assert httpx2.get(f"{address}/").status_code == 200
    assert httpx2.get(f"{address}/", headers={"host": "evil.example"}).status_code == 400
    process.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize("variable", GIVEN)
def test_a_credential_of_the_environment_lets_it_start_elsewhere(start: Start, variable: str) -> None:
    process = start("--host", "0.0.0.0", **{variable: GIVEN[variable]})
    port = address_of(process).rpartition(":")[2]
    address = f"http://127.0.0.1:{port}"
    stranger = httpx2.get(f"{address}/api/jobs")
    assert stranger.status_code == 401 and stranger.headers["www-authenticate"]
    options: dict[str, Any] = (
        {"auth": tuple(BASIC.split(":"))}
        if variable.endswith("BASIC")
        else {"headers": {"authorization": f"Bearer {GIVEN[variable]}"}}
    )
    assert httpx2.get(f"{address}/api/jobs", **options).status_code == 200
    acted = httpx2.post(f"{address}/api/queues/default/pause", json={}, **options)
    assert acted.status_code == (403 if variable.endswith("READ_TOKEN") else 200)
    assert httpx2.get(f"{address}/healthz").status_code == 200, "for load balancers"
    assert GIVEN[variable] not in process.stderr + process.stdout


def test_below_a_path_every_address_begins_with_it(start: Start) -> None:
    address = address_of(start("--prefix", "/ops/"))
    assert address.endswith("/ops")
    root = address.removesuffix("/ops")
    page = httpx2.get(f"{address}/jobs").text
    assert 'href="/ops/failed"' in page and 'href="/ops/static/jobman.css"' in page
    assert 'href="/failed"' not in page
    assert httpx2.get(f"{address}/static/jobman.css").status_code == 200
    assert httpx2.get(f"{address}/healthz").text == "ok\n"
    assert httpx2.get(f"{root}/jobs").status_code == 404
    answer = httpx2.post(f"{address}/actions/pause-queue", data={"queue": "mail", "back": "/queues"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ops/queues")
    assert "Path=/ops/" in answer.headers["set-cookie"]
    assert httpx2.get(f"{address}/api/openapi.json").json()["servers"] == [{"url": "/ops"}]


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("ops", "'ops' does not begin with a slash"),
        ("//evil.example", "'//evil.example' is no path"),
        ("/ops//", "'/ops//' is no path"),
        ("/a b", "'/a b' is no path"),
    ],
)
def test_what_is_no_path_is_refused(start: Start, prefix: str, words: str) -> None:
    process = start("--prefix", prefix)
    assert process.wait() == 2 and f"--prefix: {words}" in process.stderr


def test_read_only_takes_every_button_away(start: Start) -> None:
    address = address_of(start("--read-only"))
    page = httpx2.get(f"{address}/tags").text
    assert "read-only" in page and "/actions/" not in page
    assert httpx2.post(f"{address}/actions/monitor", data={"tag": "a"}).status_code == 403


def test_a_port_that_is_taken_is_said(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = start("--port", listener.getsockname()[1])
        assert process.wait() == 1
    assert "cannot be listened on" in process.stderr and "--port" in process.stderr


def test_it_opens_the_browser(start: Start, tmp_path: Path) -> None:
    browser, seen = tmp_path / "browser.py", tmp_path / "seen"
    browser.write_text(f"import sys\nopen({str(seen)!r}, 'w').write(sys.argv[1])\n")
    process = start("--open", BROWSER=f"{sys.executable} {browser} %s")
    wait_until(lambda: seen.exists() and seen.read_text(), 30, "the browser")
    assert seen.read_text().rstrip("/") == address_of(process)


@pytest.fixture
def jobman(tmp_path: Path) -> Iterator[Jobman]:
    (tmp_path / "jobman.yaml").write_text("database: sqlite:///jobman.db\n")
    jobman = Jobman.from_config(tmp_path / "jobman.yaml")
    yield jobman
    jobman.close()


def test_it_is_mounted_in_another_application(jobman: Jobman) -> None:
    mine = Route("/", lambda request: PlainTextResponse("mine"))
    app = Starlette(routes=[mine, Mount("/ops/jobs", create_app(jobman, hosts=["www.example.com"]))])
    client = TestClient(app, base_url="http://www.example.com")
    assert client.get("/").text == "mine"
    page = client.get("/ops/jobs/queues").text
    assert 'href="/ops/jobs/failed"' in page
    assert client.get("/ops/jobs/api/jobs").json() == []
    assert client.get("/ops/jobs/static/jobman.js").status_code == 200
    assert client.get("/ops/jobs/", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"host": "evil.example"}).text == "mine"


@pytest.mark.parametrize("built", [True, False])
def test_a_page_says_how_to_get_the_assets_that_are_missing(
    jobman: Jobman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: bool
) -> None:
    made_from = tmp_path / "made-from"
    monkeypatch.setattr(view, "ASSETS", made_from)
    if built:
        made_from.touch()
    page = TestClient(create_app(jobman), base_url="http://localhost").get("/metrics").text
    assert ("<code>make frontend</code>" in page) is not built
    assert ("/static/vendor/" in page) is built
