"""`metrics`, `snapshot`, `monitor` and `alerts`: what they print, for people and for programs."""

from __future__ import annotations

import re
import sys
from dataclasses import fields

import pytest
from cli_app import App
from processes import ROOT

from jobman_cli.app import Jobman
from jobman_cli.cli.metrics import short
from jobman_cli.operations.alerts import raise_alert
from jobman_cli.operations.metrics import Measure, QueueState
from jobman_cli.operations.objects.measures import ALERT_KEYS

JSON = (ROOT / "docs/reference/json.md").read_text()
FIGURES = [field.name for field in fields(Measure)]


def documented(heading: str) -> list[str]:
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", JSON, re.M)
    assert table
    return re.findall(r"^\| `(\w+)` \|", table[1], re.M)


def test_the_reference_names_the_keys() -> None:
    assert documented("figure") == FIGURES
    assert documented("of a queue") == [field.name for field in fields(QueueState)]
    assert documented("alert") == list(ALERT_KEYS)


def test_nothing_yet(app: App) -> None:
    assert "nothing ended in the last" in app.ok("metrics").err
    assert "nothing of that ended" in app.ok("metrics", "hello").err
    found = app.ok("metrics", "--json").json
    assert (found["types"], found["queues"]) == ([], [])
    assert app.ok("metrics", "hello", "--json").json["runtime_p95"] is None
    assert "there is no trouble" in app.ok("alerts").err
    assert app.ok("alerts", "--json").json == []


def test_what_ran_is_shown(app: App) -> None:
    for _ in range(3):
        app.ok("try", "hello", "--sync")
    app("try", "hello", "--sync", "--boom", 1)
    app.ok("dispatch", "elsewhere")
    found = app.ok("metrics", "--json").json
    (hello,) = found["types"]
    assert list(hello) == ["type", *FIGURES]
    assert (hello["type"], hello["completed"], hello["failed_attempts"]) == ("hello", 3, 1)
    assert 0 < hello["runtime_p95"] <= hello["runtime_max"]
    default, other = found["queues"]
    assert (default["queue"], default["completed"], default["size"]) == ("default", 3, 0)
    assert (other["queue"], other["size"], other["workers"], other["wait"]) == ("other", 1, 0, None)
    assert re.search(r"^hello +3 +1 ", app.ok("metrics").out, re.M)
    one = app.ok("metrics", "hello", "--json").json
    assert (one["type"], one["queue"], one["completed"]) == ("hello", None, 3)
    (span,) = one["series"] if len(one["series"]) == 1 else [one["series"][-1]]
    assert list(span) == ["at", "seconds", *FIGURES]
    shown = app.ok("metrics", "--queue", "default", "--since", "2h").out
    assert re.search(r"^failed +1 attempts, 0 jobs$", shown, re.M)
    assert "█" in shown
    assert app.ok("metrics", "--queue", "other", "--json").json["completed"] == 0


def test_on_a_narrow_terminal(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app.ok("try", "hello", "--sync")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True, raising=False)
    for line in app.ok("metrics").out.splitlines():
        assert len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 40


@pytest.mark.parametrize("since", ["59", "soon", "0"])
def test_bad_windows(app: App, since: str) -> None:
    app.refused(2, "metrics", "--since", since)


def test_the_longest_window(app: App) -> None:
    app.ok("try", "hello", "--sync")
    assert app.ok("metrics", "hello", "--since", "99999999d", "--json").json["completed"] == 1


def test_snapshot(app: App) -> None:
    app.ok("try", "hello", "--sync")
    found = app.ok("snapshot", "--json").json
    assert (found["thinned"], found["hours"], found["days"]) == (0, 0, 0)
    assert found["minutes"] == 1
    assert "thinned 0 row(s); there are 1 by the minute, 0 by the hour" in app.ok("snapshot").out


def test_monitor(app: App) -> None:
    app.refused(2, "monitor")
    app.refused(2, "monitor", "x" * 191)
    app.ok("dispatch", "hello", "--tag", "ada", "--tag", "loud")
    assert re.search(r"^ada +1 +0 +0$", app.ok("monitor", "ada", "bob").out, re.M)
    assert app.ok("monitor", "--json").json == [
        {"tag": "ada", "jobs": {"queued": 1}},
        {"tag": "bob", "jobs": {}},
    ]
    assert app.ok("monitor", "--stop", "bob").err == ""
    assert "not all" in app.ok("monitor", "--stop", "bob").err
    assert [row["tag"] for row in app.ok("monitor", "--list", "--json").json] == ["ada"]
    app.ok("monitor", "--stop", "ada")
    assert "no tag is monitored" in app.ok("monitor", "--list").err


def test_alerts(app: App) -> None:
    app.ok("dispatch", "hello")
    jobman = Jobman.from_config()
    raise_alert(jobman.parts, "long-wait", "long-wait:default", "it is slow\x1b[2J", {"queue": "default"})
    jobman.close()
    (alert,) = app.ok("alerts", "--json").json
    assert list(alert) == list(ALERT_KEYS)
    assert (alert["kind"], alert["last_told_at"]) == ("long-wait", None)
    shown = app.ok("alerts").out
    assert "it is slow" in shown and "\x1b" not in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0 s"), (0.00002, "20 µs"), (0.0123, "12.3 ms"), (1.234, "1.23 s"), (3700, "1 h")],
)
def test_lengths_of_time(seconds: float | None, text: str) -> None:
    assert short(seconds) == text
