"""The search box: one line of text with qualifiers, to be read and written. Nothing here knows a database.

``status:failed,cancelled type:mail "connection refused"`` asks for jobs of that type in either state, whose
last error holds that text. A value with blanks stands in quotes; in quotes, ``\\"`` is a quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from jobman_cli.core.states import FINAL, Status
from jobman_cli.core.values import MAX_ID, read_moment, read_queues, read_text
from jobman_cli.errors import UsageError

#: Characters that a search may have.
LONGEST = 1000

#: Each qualifier with what it takes, and an example.
QUALIFIERS: Mapping[str, tuple[str, str]] = {
    "status": (f"states: {', '.join(Status)}", "status:failed,cancelled"),
    "type": ("a job type's name", "type:send-mail"),
    "queue": ("a queue's name", "queue:default"),
    "tag": ("a tag", 'tag:"shop 12"'),
    "id": ("a job's id", "id:1234"),
    "error": ("text in the last error; so do words without a qualifier", 'error:"connection refused"'),
    "before": ("a job's id: only jobs below it", "before:1234"),
    "since": ("a date, a time, or how long ago: made at or after", "since:2h"),
    "until": ("a date, a time, or how long ago: made before", "until:2030-01-31"),
}
#: What can be asked of failed jobs.
OF_FAILED = ("type", "queue", "error", "since", "until")

_TOKEN = re.compile(r'(?:([a-z]+):)?(?:"((?:[^"\\]|\\.)*)"(?=\s|$)|([^\s"]\S*))?')
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = re.compile(r'[^\s":\\]+')


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for; None (or empty) leaves a question open.

    Attributes:
        statuses: Any of these, in the order of the alphabet.
        error: Text in the last error.
        before: Only ids below this one.
        since, until: As written; ``operations.filters`` makes times of them.
    """

    statuses: tuple[str, ...] = ()
    type: str | None = None
    queue: str | None = None
    tag: str | None = None
    id: int | None = None
    error: str | None = None
    before: int | None = None
    since: str | None = None
    until: str | None = None

    @property
    def asks(self) -> bool:
        """True when it asks for anything."""
        return self != Search()

    @property
    def finished(self) -> tuple[str, ...]:
        """The final states among those that it asks for; all of them when it asks for none."""
        return tuple(sorted(set(self.statuses or Status) & set(FINAL)))

    def but(self, **changes: Any) -> str:
        """The text of the same search with some answers changed."""
        return write_search(replace(self, **changes))


def read_search(text: str, known: Sequence[str] = tuple(QUALIFIERS)) -> Search:
    """What a text asks for.

    Args:
        known: The qualifiers that can be asked for here.

    Raises:
        UsageError: naming the qualifier and what it takes.
    """
    if len(text) > LONGEST:
        raise UsageError("the search is too long", hint=f"Use at most {LONGEST} characters.")
    found: dict[str, Any] = {}
    words: list[str] = []
    for name, value in _tokens(text):
        if name is None:
            words.append(value)
        elif name not in known:
            names = ", ".join(f"{each}:" for each in known)
            raise UsageError(f"{name}: cannot be asked for here", hint=f"Use {names} or text in the error.")
        elif name == "status":
            found["statuses"] = tuple(sorted({*found.get("statuses", ()), *_states(value)}))
        elif name in found:
            raise _wrong(name, f"{name}: is asked for twice")
        else:
            found[name] = _read(name, value)
    if words:
        if "error" in found:
            raise _wrong("error", f"error: and the words {' '.join(words)!r} ask for the same")
        found["error"] = _read("error", " ".join(words))
    return Search(**found)


def write_search(search: Search) -> str:
    """The text that asks for it; ``read_search`` reads it again."""
    parts = [f"status:{','.join(search.statuses)}"] if search.statuses else []
    for each in fields(search):
        value = getattr(search, each.name)
        if each.name != "statuses" and value is not None:
            parts.append(f"{each.name}:{_quoted(str(value))}")
    return " ".join(parts)


def read_id(text: str, name: str) -> int:
    """An id.

    Raises:
        UsageError: when no row can have it.
    """
    digits = text.lstrip("0")
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= MAX_ID:
        return int(digits)
    raise UsageError(f"{name}: {text[:40]!r} is no id", hint="Use a whole number from 1.")


def _tokens(text: str) -> Iterator[tuple[str | None, str]]:
    """Qualifier (None for a word) and value of each part."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None or text.startswith('"', match.end()):
            raise UsageError('a quote " is not closed', hint='Close it; in quotes, \\" is a quote.')
        at = match.end()
        name, quoted, bare = match.groups()
        value = bare if quoted is None else _ESCAPED.sub(r"\1", quoted)
        if name is None or name in QUALIFIERS:
            yield name, value or ""
        elif value and (close := get_close_matches(name, QUALIFIERS, 1, 0.7)):
            raise _wrong(close[0], f"{name}: is no qualifier; {close[0]}: is one")
        else:
            yield None, match[0]


def _read(name: str, value: str) -> Any:
    if not value:
        raise _wrong(name, f"{name}: has no value")
    if name in ("id", "before"):
        return read_id(value, name)
    if name == "queue":
        read_queues([value], "queue:")
    elif name in ("since", "until"):
        read_moment(value, f"{name}:")
    else:
        read_text(value, f"{name}:")
    return value


def _states(value: str) -> list[str]:
    states = [each for each in value.split(",") if each]
    if not states or not set(states) <= set(Status):
        raise _wrong("status", f"status: {value[:40]!r} is no state" if states else "status: has no value")
    return states


def _wrong(name: str, message: str) -> UsageError:
    takes, example = QUALIFIERS[name]
    return UsageError(message, hint=f"{name}: takes {takes}, such as {example}")


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
