"""From an alert to an answer: the request, its signature, and the thread that sends it until it is taken."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

logger = logging.getLogger("jobman.webhook")

#: Seconds before the second try, the third …
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
#: Alerts that wait at the most; more are dropped.
MOST = 100
OPTIONS = ("url", "url_env", "secret_env", "format", "timeout")
#: Of the answers below 500, those that are worth another try.
AGAIN = (408, 429)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert on its way. It is signed when it is sent, so that its timestamp is fresh."""

    url: str
    body: bytes
    secret: str | None
    timeout: float
    name: str

    def request(self, now: float) -> Request:
        """The POST at a time."""
        stamp = str(int(now))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "jobman-webhook",
            "X-Jobman-Delivery": self.name,
            "X-Jobman-Timestamp": stamp,
        }
        if self.secret:
            headers["X-Jobman-Signature"] = sign(self.secret, stamp, self.body)
        return Request(self.url, self.body, headers, method="POST")  # noqa: S310 - make_request checks it


def make_request(alert: Mapping[str, Any], options: Mapping[str, Any]) -> Delivery:
    """What is to be sent.

    Raises:
        ValueError: when the options are wrong.
    """
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise ValueError(f"plugin_options.webhook: there is no option {', '.join(unknown)}")
    url = str(options.get("url") or _variable(options, "url_env") or "")
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            "plugin_options.webhook: url (or url_env) must give an address http://… or https://…"
        )
    kind = options.get("format", "json")
    if kind not in ("json", "slack"):
        raise ValueError(f"plugin_options.webhook.format: {kind!r} is neither json nor slack")
    timeout = options.get("timeout", 5)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        raise ValueError(f"plugin_options.webhook.timeout: {timeout!r} is no number of seconds above 0")
    document = dict(alert) if kind == "json" else {"text": slack_text(alert)}
    body = json.dumps(document, ensure_ascii=False, default=_plain).encode()
    secret = _variable(options, "secret_env")
    return Delivery(url, body, secret, float(timeout), str(uuid.uuid4()))


def find_fault(options: Mapping[str, Any]) -> str | None:
    """Why no alert can be sent with these options; None when they are right. Nothing is sent."""
    try:
        make_request({"state": "event", "message": ""}, options)
    except ValueError as error:
        return str(error)
    return None


def sign(secret: str, stamp: str, body: bytes) -> str:
    """The value of ``X-Jobman-Signature``."""
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def slack_text(alert: Mapping[str, Any]) -> str:
    """One line in Slack's markup, in which three characters must be escaped."""
    sign_of = {"over": ":white_check_mark:", "event": ":warning:"}.get(alert["state"], ":rotating_light:")
    message = str(alert["message"]).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{sign_of} *{alert.get('application', 'jobman')}* {message}"


class Sender:
    """A thread that sends what it is given, in order; started when first needed, where it is needed."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pid, self._thread = os.getpid(), None
        self._waiting: queue.Queue[Delivery] = queue.Queue(MOST)
        self._lock = threading.Lock()

    def hand_over(self, delivery: Delivery) -> None:
        """Take it and return at once; it is dropped when too many wait already."""
        if self._pid != os.getpid():
            self._start()  # a child of a fork has none of its parent's threads
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait(delivery)
        except queue.Full:
            logger.warning("webhook: %d alerts wait already; one was dropped", MOST)

    def wait(self) -> None:
        """Return when all that was handed over has been sent or given up."""
        self._waiting.join()

    def _run(self) -> None:
        while True:
            delivery = self._waiting.get()
            try:
                deliver(delivery)
            except Exception:
                logger.exception("webhook: an alert could not be sent")
            finally:
                self._waiting.task_done()


def deliver(delivery: Delivery) -> bool:
    """Send it until it is taken, refused for good, or the tries are used up.

    Returns:
        True when it was taken.
    """
    for wait in (*WAITS, None):
        reason, again = _send(delivery)
        if reason is None:
            return True
        if wait is None or not again:
            break
        logger.info("webhook: %s; tried again in %g s", reason, wait)
        time.sleep(wait)
    logger.warning("webhook: an alert was not delivered: %s", reason)
    return False


class _Stay(HTTPRedirectHandler):
    """A signed request is for its address alone."""

    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        """Follow nothing."""
        return


def _send(delivery: Delivery) -> tuple[str | None, bool]:
    """One try: what was wrong (None: nothing), and whether another may help."""
    try:
        with build_opener(_Stay).open(delivery.request(time.time()), timeout=delivery.timeout) as answer:
            answer.read(1024)
    except HTTPError as error:
        error.close()
        return f"the answer was {error.code}", error.code >= 500 or error.code in AGAIN
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}", True
    return None, False


def _variable(options: Mapping[str, Any], name: str) -> str | None:
    if (variable := options.get(name)) is None:
        return None
    if not (value := os.environ.get(str(variable))):
        raise ValueError(f"plugin_options.webhook.{name}: the variable {variable} is not set")
    return value


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


SENDER = Sender()
