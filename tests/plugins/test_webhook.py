"""jobman-webhook against real servers: what arrives, what is signed, what is tried again."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from first_party import PLUGINS, install

sys.path.insert(0, str(PLUGINS / "jobman-webhook"))

from jobman_webhook import delivery

from jobman_cli.hooks import load_registry

ALERT = {
    "kind": "long-wait",
    "key": "long-wait:default",
    "state": "begun",
    "message": "the first job of queue 'default' has waited 61 s; the limit is <60 s> & no more",
    "queue": "default",
    "value": 61.5,
    "threshold": 60,
    "count": 1,
    "raised_at": datetime(2030, 1, 31, 12, tzinfo=UTC),
    "application": "shop",
    "details": {"size": 3},
}


class Receiver:
    """An HTTP server on a free port that answers as it is told and keeps what came."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.delay = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append((dict(self.headers), body))
                time.sleep(receiver.delay)
                code = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(code)
                if code == 307:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(delivery, "WAITS", (0.01, 0.02, 0.04))
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Send an alert the way Jobman does: through the registry, from an installed plugin."""
    folder = install("webhook", tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(folder), *sys.path])

    def send(alert: dict[str, Any] = ALERT, **options: Any) -> None:
        registry = load_registry(["webhook"], [], {}, options={"webhook": options})
        assert not registry.broken
        registry.alert(alert)
        delivery.SENDER.wait()

    return send


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "https://ops.example/hook", "timeout": 2.5}, None),
        ({"url": "https://ops.example/hook", "secret": "s3"}, "there is no option secret"),
        ({}, "url (or url_env)"),
        ({"url": "ops.example"}, "url (or url_env)"),
        ({"url": "https://ops.example/hook", "format": "teams"}, "neither json nor slack"),
        ({"url_env": "NOWHERE"}, "the variable NOWHERE is not set"),
        ({"url": "https://ops.example/hook", "timeout": "soon"}, "'soon' is no number of seconds"),
        ({"url": "https://ops.example/hook", "timeout": 0}, "0 is no number of seconds"),
    ],
    ids=str,
)
def test_the_doctor_sees_wrong_options(hook, options: dict[str, Any], said: str | None) -> None:
    registry = load_registry(["webhook"], [], {}, options={"webhook": options})
    [(name, check)] = registry.doctor_checks().items()
    found = check()
    assert name == "webhook: options"
    assert found is None if said is None else said in str(found)


def test_json_arrives_signed(hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "tömäto")
    hook(url=receiver.url, secret_env="HOOK_SECRET")
    ((headers, body),) = receiver.came
    assert json.loads(body) == {**ALERT, "raised_at": "2030-01-31T12:00:00+00:00"}
    stamp = headers["X-Jobman-Timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    expected = hmac.new("tömäto".encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-Jobman-Signature"] == f"sha256={expected}"
    assert headers["Content-Type"].startswith("application/json")


def test_slack(hook, receiver: Receiver) -> None:
    hook(url=receiver.url, format="slack")
    hook({**ALERT, "state": "over", "message": "over: x"}, url=receiver.url, format="slack")
    first, second = (json.loads(body) for _, body in receiver.came)
    assert first == {
        "text": ":rotating_light: *shop* the first job of queue 'default' has waited 61 s; "
        "the limit is &lt;60 s&gt; &amp; no more"
    }
    assert second == {"text": ":white_check_mark: *shop* over: x"}
    assert "X-Jobman-Signature" not in receiver.came[0][0]


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_what_may_pass_is_tried_again(hook, receiver: Receiver, code: int) -> None:
    receiver.answers = [code, code]
    hook(url=receiver.url)
    assert len(receiver.came) == 3
    assert len({headers["X-Jobman-Delivery"] for headers, _ in receiver.came}) == 1


def test_it_is_given_up_in_the_end(hook, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answers = [500] * 99
    hook(url=receiver.url)
    assert len(receiver.came) == 4
    assert "not delivered: the answer was 500" in caplog.text


@pytest.mark.parametrize("code", [400, 401, 404, 410, 307])
def test_what_is_wrong_is_not_repeated(hook, receiver: Receiver, caplog, code: int) -> None:
    receiver.answers = [code]
    hook(url=receiver.url)
    assert len(receiver.came) == 1
    assert f"the answer was {code}" in caplog.text


def test_nobody_listens(hook, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.close()
    hook(url=receiver.url)
    assert "not delivered: URLError" in caplog.text


def test_a_silent_server_keeps_nobody(
    hook, receiver: Receiver, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "WAITS", (0.01,))
    monkeypatch.setattr(delivery.SENDER, "wait", lambda: None)
    receiver.delay = 1.0
    began = time.monotonic()
    hook(url=receiver.url, timeout=0.1)
    assert time.monotonic() - began < 0.5, "maintenance does not wait"
    delivery.SENDER._waiting.join()
    assert len(receiver.came) == 2
    assert "not delivered" in caplog.text


def test_a_flood_is_cut(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.delay = 0.3
    sender = delivery.Sender()
    for _ in range(delivery.MOST + 5):
        sender.hand_over(delivery.make_request(ALERT, {"url": receiver.url}))
    assert caplog.text.count("one was dropped") in (4, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "must give an address"),
        ({"url": "file:///etc/passwd"}, "must give an address"),
        ({"url": "http://x", "urls": 1}, "no option urls"),
        ({"url": "http://x", "format": "xml"}, "neither json nor slack"),
        ({"url": "http://x", "secret_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set"),
        ({"url_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set"),
    ],
)
def test_wrong_options_are_said(hook, caplog: pytest.LogCaptureFixture, options, said: str) -> None:
    hook(**options)
    assert said in caplog.text


def test_an_address_from_a_variable(hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", receiver.url)
    hook(url_env="HOOK_URL")
    assert len(receiver.came) == 1


def test_a_forked_child_has_a_thread_of_its_own(hook, receiver: Receiver) -> None:
    hook(url=receiver.url)
    sender = delivery.SENDER
    thread, sender._pid = sender._thread, os.getpid() - 1  # as after a fork
    hook(url=receiver.url)
    assert len(receiver.came) == 2
    assert sender._thread is not thread
