"""What masters and supervisors can be told: one of them, those of a host, or everything."""

from __future__ import annotations

from collections.abc import Mapping

from jobman_cli.dashboard.actions import Done, Fields, Question, action, question
from jobman_cli.dashboard.desk import Desk
from jobman_cli.errors import UsageError
from jobman_cli.operations.supervision import addressees, overview, tell
from jobman_cli.store.tables import Supervisor

#: Seconds to wait for answers: supervisors look once a second.
ANSWER = 3.0
#: Characters of a host's name, and of a uuid.
LONGEST = 255
#: What each command comes to.
SAID: Mapping[str, str] = {"pause": "paused", "continue": "continued", "terminate": "ending"}


@action("pause-supervisors")
def pause(desk: Desk, fields: Fields) -> Done:
    """Start no more jobs; running ones go on."""
    return _tell(desk, fields, "pause")


@action("continue-supervisors")
def continue_(desk: Desk, fields: Fields) -> Done:
    """Start jobs again."""
    return _tell(desk, fields, "continue")


@action("terminate-supervisors")
def terminate(desk: Desk, fields: Fields) -> Done:
    """Let them end; running jobs may finish."""
    return _tell(desk, fields, "terminate")


@question("pause-supervisors")
def ask_pause(desk: Desk, fields: Fields) -> Question:
    """Who would be paused."""
    return _ask(desk, fields, "pause", "Pause", "Running jobs go on to their end.")


@question("terminate-supervisors")
def ask_terminate(desk: Desk, fields: Fields) -> Question:
    """Who would end."""
    return _ask(
        desk, fields, "terminate", "Terminate", "Running jobs may finish; the others stay in their queues."
    )


def _ask(desk: Desk, fields: Fields, command: str, verb: str, rest: str) -> Question:
    told, silent = _meant(desk, fields, command)
    number = len(told) + len(silent)
    what = _named([*told, *silent])
    return Question(f"{verb} {what}? {rest}", verb, number, fields=_address(fields))


def _tell(desk: Desk, fields: Fields, command: str) -> Done:
    told, silent = _meant(desk, fields, command)
    if not told and not silent:
        raise UsageError(
            "nobody is there to be told", hint="It has ended meanwhile: look at Supervisors again."
        )
    answers = tell(desk.records, told, command, timeout=ANSWER, deaf=silent)
    message = f"{_named(answers.answered)}: {SAID[command]}." if answers.answered else ""
    if answers.silent:
        message += f" No answer yet from {_named(answers.silent)}: it is done as soon as they look."
    return Done(message.strip(), len(told) + len(silent))


def _meant(desk: Desk, fields: Fields, command: str) -> tuple[list[Supervisor], list[Supervisor]]:
    address = _address(fields)
    return addressees(
        overview(desk.records), command, uuid=address.get("supervisor"), host=address.get("host")
    )


def _address(fields: Fields) -> dict[str, str]:
    """One supervisor, one host, or (empty) everything.

    Raises:
        UsageError: when that is not clear.
    """
    given = {key: fields[key] for key in ("supervisor", "host") if fields.get(key)}
    if len(given) > 1 or any(len(value) > LONGEST for value in given.values()):
        raise UsageError("who is meant is not clear", hint="Name one supervisor, or one host, or neither.")
    return given


def _named(rows: list[Supervisor]) -> str:
    """One by its name, several by their number."""
    if len(rows) == 1:
        return f"{rows[0].kind} {rows[0].name} on {rows[0].host}"
    hosts = len({row.host for row in rows})
    return f"{len(rows)} masters and supervisors on {hosts} {'host' if hosts == 1 else 'hosts'}"
