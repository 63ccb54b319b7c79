"""Who may come in, from where, with how much; and where a redirect leads."""

from __future__ import annotations

import ast
import base64
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house_of_a_test import House
from itsdangerous import TimestampSigner
from starlette.testclient import TestClient
from test_api import ENTRIES, hello

from jobman_cli.dashboard import access, desk, entrance
from jobman_cli.dashboard.access import COOKIE, LASTS
from jobman_cli.dashboard.pages import queues
from jobman_cli.operations import metrics

TOKEN, READ, BASIC = "t" * 24, "r" * 24, "ada:correct horse".replace(" ", "-")
CREDENTIALS = {"token": TOKEN, "read_token": READ, "basic": BASIC}
LEAK = "kept-from-strangers"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
#: What anybody may see and send.
PUBLIC = {("GET", "/healthz"), ("GET", "/login"), ("POST", "/login")}
#: Where the sweep of those who may only look has no say: what is theirs, and the stream, which never ends.
OPEN_TO_ALL = ("/login", "/logout", "/preferences", "/healthz", "/live")


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    house = House(sqlite_template, tmp_path, [hello], dashboard=CREDENTIALS, schedule=ENTRIES)
    house.fill(LEAK)
    yield house
    house.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "PENALTY", 0)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def basic(text: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def filled(path: str) -> str:
    """An address with names that exist; `/live` never ends, and has tests of its own."""
    values = {"id": "15", "name": "hello", "uuid": LEAK, "plugin": "x"}
    return re.sub(r"{(\w+)(:\w+)?}", lambda match: values[match[1]], path)


def sweep(house: House) -> Iterator[tuple[str, str, frozenset[str]]]:
    for path, methods in [*house.addresses, ("/static/jobman.css", frozenset({"GET"}))]:
        for method in METHODS:
            yield method, path, methods


def state(house: House) -> str:
    """All rows but the audit's."""
    from sqlalchemy import select

    from jobman_cli.store.tables import TABLES

    with house.store.reading() as connection:
        tables = [table for table in TABLES if table.name != "jobman_audit"]
        return repr([connection.execute(select(table)).all() for table in tables])


# Without a credential


@pytest.mark.parametrize("accept", ["text/html", "application/json", None])
@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), bearer(""), basic("ada:wrong"), {"authorization": "Basic ?"}]
)
def test_strangers_see_and_do_nothing(house: House, headers: Any, accept: str | None, quick: None) -> None:
    before, client, seen = state(house), house.client(), 0
    given = headers | ({"accept": accept} if accept else {})
    for method, path, _ in sweep(house):
        if path.startswith("/static") or (method, path) in PUBLIC or (method, path) == ("HEAD", "/login"):
            continue
        if path in ("/healthz", "/login"):
            continue
        answer = client.request(method, filled(path), headers=given)
        page = accept == "text/html" and not path.startswith("/api")
        assert answer.status_code == (303 if page else 401), (method, path)
        assert LEAK not in answer.text + str(answer.headers)
        if page:
            assert answer.headers["location"].startswith("/login?to=%2F") and not answer.text
        else:
            assert answer.headers["www-authenticate"]
        seen += 1
    assert seen > 300 and state(house) == before
    assert len(house.audit()) == 1  # what the test wrote there


def test_what_is_public_tells_nothing(house: House, quick: None) -> None:
    client = house.client()
    for path in ("/login", "/healthz", "/static/jobman.css"):
        for method in METHODS:
            answer = client.request(method, path)
            assert answer.status_code in (200, 401, 403, 405), (method, path)
            assert LEAK not in answer.text
    for path in ("/loginx", "/login/x", "/healthzz", "/static", "/staticx", "//login", "/login/../audit"):
        assert client.get(path).status_code in (401, 404), path
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"):
        assert client.get(path).status_code in (401, 404), path  # the client may resolve the dots


# With the credential that may only look


@pytest.mark.parametrize("how", ["header", "cookie"])
def test_who_may_look_cannot_act(house: House, how: str, quick: None) -> None:
    client = house.client()
    if how == "header":
        client.headers.update(bearer(READ))
    else:
        assert client.post("/login", data={"credential": READ}).status_code == 303
    before, refused = state(house), 0
    for method, path, methods in sweep(house):
        if path in OPEN_TO_ALL or path.startswith("/static"):
            continue
        answer = client.request(method, filled(path))
        if method in ("GET", "HEAD", "OPTIONS"):
            assert answer.status_code in (200, 303, 400, 404, 405), (method, path)
        else:
            assert answer.status_code == 403, (method, path)
            refused += "POST" in methods
    assert refused > 15 and state(house) == before
    for path, _ in house.addresses:
        if path == "/live" or path.startswith("/api"):
            continue
        answer = client.get(filled(path))
        main = answer.text.partition("<main")[2].partition("</main>")[0]
        assert not re.search(r'<form[^>]*method="post"', main) or path.startswith(("/confirm", "/login")), (
            path
        )


def test_a_dashboard_that_is_read_only_is_so_for_all(sqlite_template: Path, tmp_path: Path) -> None:
    options = {**CREDENTIALS, "read_only": True}
    house = House(sqlite_template, tmp_path, [hello], dashboard=options)
    for headers in (bearer(TOKEN), basic(BASIC)):
        assert house.client().post("/api/jobs", json={"type": "hello"}, headers=headers).status_code == 403
        assert house.client().get("/api/jobs", headers=headers).status_code == 200
    house.close()


def test_who_has_a_credential_comes_in(house: House) -> None:
    for headers, name in ((bearer(TOKEN), "token"), (basic(BASIC), "ada")):
        answer = house.client().post("/api/jobs", json={"type": "hello"}, headers=headers)
        assert answer.status_code == 201 and house.audit()[0].actor == name
    for headers in (
        bearer(BASIC),
        basic(TOKEN),
        basic(f"{BASIC}x"),
        bearer(TOKEN[:-1]),
        {"authorization": f"Bearer {TOKEN}é".encode("latin-1")},
    ):
        assert house.client().get("/api/jobs", headers=headers).status_code == 401


# Cookies


def cookie_of(house: House, credential: str = TOKEN) -> str:
    answer = house.client().post("/login", data={"credential": credential, "to": "/audit"})
    assert answer.status_code == 303
    return str(answer.cookies[COOKIE])


def with_cookie(house: House, value: str) -> int:
    headers = {"cookie": f"{COOKIE}={value}"}
    return int(house.client().get("/api/jobs", headers=headers).status_code)


def test_a_cookie_is_kept_to_this_site(house: House) -> None:
    answer = house.client().post("/login", data={"credential": TOKEN})
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said and "samesite=strict" in said and f"max-age={LASTS}" in said
    assert "secure" not in said
    secure = TestClient(house.app, base_url="https://localhost", follow_redirects=False)
    assert "; secure" in secure.post("/login", data={"credential": TOKEN}).headers["set-cookie"].lower()
    assert TOKEN not in said


def test_cookies_that_were_tampered_with(house: House) -> None:
    good = cookie_of(house)
    assert with_cookie(house, good) == 200
    parts = good.split(".")
    more = base64.urlsafe_b64encode(json.dumps(["token", True]).encode()).decode().rstrip("=")
    forged = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good[:-4],
        "",
        "x",
        "..",
        ".".join([more, *cookie_of(house, READ).split(".")[1:]]),
        ".".join([parts[0], "ZZZZZZ", parts[2]]),
        TimestampSigner("guess").sign(parts[0]).decode(),
        house.app.state.desk.signer.dumps(["token", True], salt="said"),
        house.app.state.desk.signer.dumps("token", salt="visitor"),
        house.app.state.desk.signer.dumps({"a": 1, "b": 2, "c": 3}, salt="visitor"),
        "%00",
        "a" * 5000,
    ]
    assert [with_cookie(house, each) for each in forged] == [401] * len(forged)


def test_a_cookie_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    good, now = cookie_of(house), TimestampSigner.get_timestamp
    for later, status in ((LASTS - 60, 200), (LASTS + 60, 401)):
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self, by=later: now(self) + by)
        assert with_cookie(house, good) == status


def test_another_token_makes_cookies_void(house: House, sqlite_template: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    options = {**CREDENTIALS, "token": "u" * 24}
    other = House(sqlite_template, tmp_path / "other", dashboard=options)
    assert with_cookie(other, cookie_of(house)) == 401
    other.close()


def test_a_credential_is_compared_in_constant_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = desk.hmac.compare_digest
    monkeypatch.setattr(desk.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    house.client().get("/api/jobs", headers=bearer(READ))
    assert compared == [(TOKEN.encode(), READ.encode()), (READ.encode(), READ.encode())]
    tree = ast.parse(inspect.getsource(desk.Desk.visitor_of).replace("\n    ", "\n").strip())
    assert not [
        node for node in ast.walk(tree) if isinstance(node, ast.Compare) and "given" in ast.unparse(node)
    ]


def test_a_wrong_credential_takes_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(entrance.asyncio, "sleep", sleep)
    answer = house.client().post("/login", data={"credential": "wrong"})
    assert answer.status_code == 401 and slept == [entrance.PENALTY] and "set-cookie" not in answer.headers


# Other sites


@pytest.fixture
def open_house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    """Without a credential: whoever reaches it may act."""
    (tmp_path / "open").mkdir()
    house = House(sqlite_template, tmp_path / "open", [hello], schedule=ENTRIES)
    house.fill("text")
    yield house
    house.close()


CROSS = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost:81"},
    {"origin": "http://[evil"},
    {"origin": ""},
]


@pytest.mark.parametrize("headers", CROSS)
def test_nothing_is_done_for_another_site(open_house: House, headers: dict[str, str]) -> None:
    before = state(open_house)
    for path, methods in open_house.addresses:
        if "POST" in methods:
            answer = open_house.client().post(filled(path), headers=headers, data={"id": "15"})
            assert answer.status_code == 403, path
    assert state(open_house) == before and len(open_house.audit()) == 1


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "same-origin"}, {"origin": "http://localhost"}, {"origin": "HTTP://LOCALHOST"}],
)
def test_its_own_pages_and_programs_may(open_house: House, headers: dict[str, str]) -> None:
    answer = open_house.client().post("/api/jobs", json={"type": "hello"}, headers=headers)
    assert answer.status_code == 201


def test_another_site_cannot_load_what_is_here(open_house: House) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    for mode, status in (("no-cors", 403), ("cors", 403), ("navigate", 200)):
        answer = open_house.client().get("/api/jobs", headers={**foreign, "sec-fetch-mode": mode})
        assert answer.status_code == status, mode
    assert open_house.client().get("/api/jobs").headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.",
        "user@localhost",
        "localhost@evil.example",
        "[::1].evil.example",
        "[::1",
        "0.0.0.0",
        "2130706433",
        "",
        ":80",
        "évil",
    ],
)
def test_other_names_are_refused(open_house: House, host: str) -> None:
    for path in ("/audit", "/api/jobs", "/login", "/static/jobman.css", "/actions/retry"):
        for method in ("GET", "POST"):
            answer = open_house.client().request(method, path, headers={"host": host.encode()})
            assert answer.status_code == 400 and "unknown host" in answer.text, (path, method)
            assert "evil" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "[::1]:8787", "[::1]"])
def test_its_own_names_are_known(open_house: House, host: str) -> None:
    assert open_house.client().get("/api/jobs", headers={"host": host}).status_code == 200


# Where a redirect leads

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "evil.example",
    "@evil.example",
    "/jobs\r\nSet-Cookie: a=b",
    "/jobs\nLocation: //evil.example",
    "/jobs\x00",
    "/\u2028/evil.example",
    "",
    " //evil.example",
]


@pytest.mark.parametrize("to", ELSEWHERE)
def test_a_redirect_stays_here(house: House, open_house: House, to: str) -> None:
    answers = [
        house.client().post("/login", data={"credential": TOKEN, "to": to}),
        open_house.client().post("/actions/cancel", data={"id": "11", "back": to}),
        open_house.client().post("/actions/cancel", data={"id": to, "back": to}),
        open_house.client().post("/preferences", data={"language": to, "theme": to, "back": to}),
        open_house.client().post("/preferences", data={"theme": "dark", "back": to}),
    ]
    for answer in answers:
        assert answer.status_code == 303
        assert answer.headers["location"] == "/", answer.headers
        for name, value in answer.headers.multi_items():
            assert value.isprintable(), (name, value)
        assert "a" not in answer.cookies
    page = open_house.client().get("/confirm/retry-all", params={"back": to, "q": ""})
    assert page.status_code == 200
    targets = re.findall(r'(?:href|action)="([^"]*)"', page.text)
    assert targets and all(re.match(r"(/(?![/\\])|#)", each) for each in targets), targets


def test_a_redirect_within_stays_what_it_is(open_house: House) -> None:
    back = "/jobs?q=status:failed&before=3"
    answer = open_house.client().post("/actions/cancel", data={"id": "11", "back": back})
    assert answer.headers["location"] == back
    mounted = open_house.client(root_path="/ops")
    answer = mounted.post("/ops/actions/cancel", data={"id": "11", "back": back})
    assert answer.headers["location"] == f"/ops{back}" and "Path=/ops/" in answer.headers["set-cookie"]


def test_the_way_to_the_login_page_is_quoted(house: House) -> None:
    for path in ("/jobs?q=%0d%0aX:1", "/%0d%0aSet-Cookie:%20a=b", "/jobs?a=b&c=//evil"):
        answer = house.client().get(path, headers={"accept": "text/html"})
        assert answer.status_code == 303
        assert re.fullmatch(r"/login\?to=[\w%.~-]+", answer.headers["location"]), answer.headers
        assert "set-cookie" not in answer.headers


# How much

MOST = access.BODY + 4 * 1_048_576


@pytest.mark.parametrize("path", ["/actions/cancel", "/login", "/preferences", "/types/hello", "/api/jobs"])
def test_bodies_that_are_too_large(open_house: House, path: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(MOST // 65_536 + 2):
            yield b"a" * 65_536

    headers = {"content-type": "application/json"} if path.startswith("/api") else {}
    for content in (b"a" * (MOST + 1), pieces()):
        answer = open_house.client().post(path, content=content, headers=headers)
        assert answer.status_code == 413, path
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 5000, "", "1_0", "٣"])
def test_lengths_that_are_none(open_house: House, length: str) -> None:
    answer = open_house.client().post("/actions/cancel", headers={"content-length": length.encode()})
    assert answer.status_code == 413


def test_forms_with_too_many_fields(open_house: House) -> None:
    many = "&".join(f"f{number}=x" for number in range(entrance.FIELDS + 1))
    for path in ("/actions/cancel", "/login", "/types/hello"):
        answer = open_house.client().post(path, content=many)
        assert answer.status_code == 400 and str(entrance.FIELDS) in answer.text
    some = "id=11&" + "&".join(f"{'n' * 999}{number}={'v' * 999}" for number in range(entrance.FIELDS - 1))
    assert open_house.client().post("/actions/cancel", content=some).status_code == 303
    kept = open_house.audit()[0].details
    assert len(kept) <= 50 and max(len(str(each)) for each in [*kept, *kept.values()]) <= 500


def test_what_databases_refuse_is_not_written(open_house: House) -> None:
    client = open_house.client()
    answer = client.post(
        "/actions/cancel", content="id=%00&%00=%00&a=%ff%fe&b=\ud83d\ude00".encode("utf-8", "replace")
    )
    assert answer.status_code == 303
    assert "\x00" not in json.dumps(open_house.audit()[0].details).replace("\\u0000", "\x00")


@pytest.mark.parametrize("name", ["before", "after", "limit", "q", "since"])
@pytest.mark.parametrize("value", ["-1", "x", "9" * 400, "%00", "%ff", "a" * 9000, "٣", "1.5"])
def test_questions_that_make_no_sense(open_house: House, name: str, value: str) -> None:
    for path, methods in open_house.addresses:
        if "GET" in methods and path != "/live":
            answer = open_house.client().get(f"{filled(path)}?{name}={value}")
            assert answer.status_code in (200, 303, 400, 404), (path, answer.text)
            assert len(answer.content) < 500_000


# What is secret


def test_secrets_are_nowhere(sqlite_template: Path, tmp_path: Path) -> None:
    house = House(
        sqlite_template, tmp_path, [hello], dashboard=CREDENTIALS, schedule=ENTRIES, redact=("*pass*",)
    )
    client = house.client(headers=bearer(TOKEN))
    created = client.post("/api/jobs", json={"type": "hello", "attribs": {"password": "pssst"}})
    client.post("/types/hello", data={"attrib.password": "pssst", "attrib.name": ""})
    client.post("/actions/cancel", data={"id": "1", "password": "pssst"})
    assert created.status_code == 201 and len(house.audit()) == 3
    for path, methods in house.addresses:
        if "GET" not in methods or path == "/live":
            continue
        answer = client.get(filled(path).replace("15", "1"))
        for secret in (*CREDENTIALS.values(), "pssst", str(tmp_path)):
            assert secret not in answer.text + str(answer.headers), path
    assert "pssst" not in repr(house.audit())
    house.close()


def test_a_database_that_is_away_is_said_without_its_password(
    sqlite_template: Path, tmp_path: Path, unused_port: int
) -> None:
    house = House(sqlite_template, tmp_path, [hello])
    from jobman_cli.store.database import Database

    house.store.close()
    url = f"postgresql+psycopg://ada:hunter2@127.0.0.1:{unused_port}/jobs"
    vars(house.jobman).update(database=Database(url))
    house.jobman.__dict__.pop("records", None)
    for path, methods in house.addresses:
        if "GET" in methods and path != "/live":
            answer = house.client().get(filled(path))
            assert answer.status_code in (200, 303, 400, 404, 503), path
            assert "hunter2" not in answer.text
    health = house.client().get("/healthz")
    assert (health.status_code, health.text) == (503, "the database cannot be used\n"), "anybody may ask"
    assert house.client().get("/api/jobs").status_code == 503


@pytest.mark.parametrize("path", ["/queues", "/api/queues"])
def test_a_fault_of_ours_is_dressed_and_tells_nothing(
    house: House, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(metrics, "queue_states", break_down)
    monkeypatch.setattr(queues, "queue_states", break_down)
    answer = house.client(headers=bearer(TOKEN)).get(path)
    assert answer.status_code == 500
    assert "secret" not in answer.text and "Traceback" not in answer.text
    assert all(answer.headers[name] == value for name, value in access.HEADERS.items())
    assert "a secret of the house" in caplog.text


def test_every_answer_is_dressed(house: House) -> None:
    client = house.client(headers=bearer(TOKEN))
    paths = [filled(path) for path, methods in house.addresses if "GET" in methods and path != "/live"]
    for path in [
        *paths,
        "/nothing",
        "/api/nothing",
        "/static/jobman.css",
        "/static/nothing",
        "/jobs?q=status:x",
    ]:
        answer = client.get(path)
        for name, value in access.HEADERS.items():
            assert answer.headers[name] == value, (path, name)
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert ("no-store" in answer.headers.get("cache-control", "")) is not path.startswith("/static/"), (
            path
        )
        if answer.status_code == 303:
            continue
        kind = answer.headers["content-type"].partition(";")[0]
        api = path.startswith("/api")
        assert kind == "application/json" if api else kind in ("text/html", "text/plain", "text/css"), path
