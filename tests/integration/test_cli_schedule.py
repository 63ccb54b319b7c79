"""`jobman schedule`: what is listed, fired by hand, held."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from cli_app import App

SCHEDULE = """
modules: [jobs_of_a_test]
schedule:
  - {name: nightly, cron: "30 2 * * *", timezone: Asia/Taipei, operation: prune, days: 30, catch_up: none}
  - {name: greet, every: 300, job: hello, attribs: {name: Ada}, queue: mail, priority: 3}
  - {name: hush, every: 60, job: secret, attribs: {password: sesame}, paused: true}
"""


@pytest.fixture
def scheduled(app: App) -> App:
    app.configure(SCHEDULE)
    return app


def test_the_list(scheduled: App) -> None:
    nightly, greet, hush = scheduled.ok("schedule", "list", "--json").json
    assert list(nightly) == [
        *(
            "name",
            "job",
            "operation",
            "options",
            "times",
            "in_force",
            "timezone",
            "catch_up",
            "paused",
            "next",
        ),
        *("last", "fault"),
    ]
    assert (nightly["operation"], nightly["options"], nightly["catch_up"]) == ("prune", {"days": 30}, "none")
    assert len(nightly["next"]) == 5
    for each in nightly["next"]:
        assert each["utc"].endswith("T18:30:00.000000Z")
        assert each["local"].endswith("T02:30:00+08:00")
        assert datetime.fromisoformat(each["utc"]) == datetime.fromisoformat(each["local"])
    steps = [datetime.fromisoformat(each["utc"]) for each in greet["next"]]
    assert {later - earlier for earlier, later in pairwise(steps)} == {timedelta(minutes=5)}
    assert (greet["paused"], greet["last"], greet["fault"]) == (False, None, None)
    assert hush["paused"]
    assert hush["options"] == {"password": "***"}


def test_for_people(scheduled: App) -> None:
    scheduled.ok("schedule", "run", "greet")
    out = scheduled.ok("schedule", "list").out
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["name", "runs", "times", "state", "last"]
    assert "02:30:00 +0800 Asia/Taipei  (18:30:00 UTC)" in out
    assert "queued job 1" in out
    assert "paused" in out
    assert "sesame" not in out


def test_run_a_job(scheduled: App) -> None:
    assert scheduled.ok("schedule", "run", "greet").out == "job 1 (hello): queued\n"
    row = scheduled.ok("show", "1", "--json").json
    assert (row["attribs"]["name"], row["queue"], row["priority"]) == ("Ada", "mail", 3)
    assert row["tags"] == ["schedule:greet"]
    last = scheduled.ok("schedule", "list", "--json").json[1]["last"]
    assert (last["outcome"], last["job_id"], last["job_status"]) == ("dispatched", 1, "queued")


def test_run_an_operation(scheduled: App) -> None:
    assert scheduled.ok("schedule", "run", "nightly").out == "prune: completed: 0 job(s) deleted\n"
    last = scheduled.ok("schedule", "list", "--json").json[0]["last"]
    assert (last["outcome"], last["message"]) == ("completed", "0 job(s) deleted")
    assert last["finished_at"] >= last["started_at"]


def test_pause_and_continue(scheduled: App) -> None:
    assert scheduled.ok("schedule", "continue", "greet").out == "greet was not paused\n"
    assert scheduled.ok("schedule", "pause", "greet").out == "greet is paused\n"
    assert scheduled.ok("schedule", "pause", "greet").out == "greet is paused already\n"
    assert [each["paused"] for each in scheduled.ok("schedule", "list", "--json").json] == [False, True, True]
    assert scheduled.ok("schedule", "continue", "greet").out == "greet goes on\n"
    assert "take `paused: true` off" in scheduled.ok("schedule", "continue", "hush").err


def test_other_times_are_in_force(scheduled: App) -> None:
    assert {each["in_force"] for each in scheduled.ok("schedule", "list", "--json").json} == {None}
    scheduled.ok("run-worker", "--stop-when-empty")
    assert [each["in_force"] for each in scheduled.ok("schedule", "list", "--json").json][1] == "every 300"
    assert "in force" not in scheduled.ok("schedule", "list").err
    scheduled.configure(SCHEDULE.replace("every: 300", "every: 600"))
    listed = scheduled.ok("schedule", "list")
    assert "greet: the times in force are 'every 300'" in listed.err
    [line] = [line.split() for line in listed.out.splitlines() if line.startswith("greet ")]
    assert line[4] == "differs"
    [found] = [each for each in scheduled.ok("doctor", "--json").json if each["check"] == "schedule"]
    assert (
        found["verdict"] == "warn"
        and "greet is 'every 600' here, and 'every 300' is in force" in found["line"]
    )
    assert "jobman terminate" in found["remedy"]
    scheduled.ok("run-worker", "--stop-when-empty")
    assert "in force" not in scheduled.ok("schedule", "list").err


@pytest.mark.parametrize("verb", ["run", "pause", "continue"])
def test_an_unknown_name(scheduled: App, verb: str) -> None:
    assert "did you mean 'greet'" in scheduled.refused(2, "schedule", verb, "gret")


def test_without_entries(app: App) -> None:
    assert app.ok("schedule", "list", "--json").json == []
    assert "nothing is scheduled" in app.ok("schedule", "list").err


WRONG = """
modules: [jobs_of_a_test]
schedule:
  - {name: a, every: 60, job: helo}
  - {name: b, every: 60, job: hello, attribs: {nme: Ada}}
  - {name: c, every: 60, operation: prune}
  - {name: d, every: 60, job: hello}
"""


def test_entries_that_cannot_be_fired(app: App) -> None:
    app.configure(WRONG)
    listed = app("schedule", "list", "--json")
    assert listed.code == 1
    assert [each["fault"] is None for each in listed.json] == [False, False, False, True]
    for said in ("a cannot be fired", "did you mean 'hello'", "nme", "needs the option `days`"):
        assert said in listed.err
    [doctor] = [each for each in app("doctor", "--json").json if each["check"] == "schedule"]
    assert doctor["verdict"] == "fail" and "a cannot be fired" in doctor["line"] and doctor["remedy"]
    checked = app("config", "check", "--json")
    assert (checked.code, checked.json["valid"], list(checked.json["schedule"])) == (
        78,
        False,
        ["a", "b", "c"],
    )
    said = app.refused(78, "run-worker", "--once")
    assert all(f"schedule: {name}: " in said for name in "abc")
    assert "jobman.yaml:3" in said
    assert app("schedule", "run", "b").code == 2
    assert app.ok("schedule", "run", "d").out.startswith("job 1")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            '{name: x, cron: "61 * * * *", operation: prune}',
            "cron: cron cannot read the minute of '61 * * * *'",
        ),
        ('{name: x, cron: "0 0 30 2 *", operation: prune}', "day-of-month"),
        (
            "{name: x, every: 60, operation: prune, catch_up: some}",
            "catch_up: expected latest or all or none",
        ),
        ("{name: x, every: 60, operation: prune, paused: soon}", "paused: expected true or false"),
        ("{name: x, every: 60, operation: prune, timezone: Mars/Base}", "is not a time zone"),
    ],
)
def test_faults_of_the_file_have_their_line(app: App, entry: str, said: str) -> None:
    app.configure(f"modules: [jobs_of_a_test]\nschedule:\n- {entry}\n")
    error = app.refused(78, "schedule", "list")
    assert said in error
    assert "jobman.yaml:3: schedule[0]." in error
