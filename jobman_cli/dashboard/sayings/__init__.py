"""What is said by code that knows no language, in actions, questions and errors; and how it is translated.

Operations and the command line speak English, and rows keep it. A page that shows such a text finds the
saying it was made of, and says the same in the visitor's language. A text that is no saying stays as it is;
tests go over the code that speaks and find each that is missing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from jobman_cli.dashboard.sayings.attribs import ATTRIBS
from jobman_cli.dashboard.sayings.deeds import DEEDS
from jobman_cli.dashboard.sayings.plugins import PLUGINS
from jobman_cli.dashboard.sayings.requests import REQUESTS
from jobman_cli.dashboard.sayings.troubles import TROUBLES
from jobman_cli.dashboard.sayings.validation import VALIDATION

#: Gettext.
Say = Callable[[str], str]

SAYINGS: tuple[str, ...] = (*DEEDS, *REQUESTS, *ATTRIBS, *VALIDATION, *TROUBLES, *PLUGINS)

#: Gettext's mark for words that are translated where they are shown.
N_ = str
#: What holds sayings together.
COLON, SEMICOLON = N_(": "), N_("; ")
AFTER, CHOICES = N_("%(name)s: %(rest)s"), N_("%(some)s or %(last)s")
#: Characters beyond which a text is left as it is: whoever writes so much does not speak in sayings.
LONGEST = 4000
#: How many texts may stand in one with semicolons between them, names before one with colons, and sayings
#: one in the other.
MANY, NAMES, DEEP = 24, 2, 4
#: Places in a saying that hold another saying, and those that hold a word that is translated by itself.
NESTED, WORD = ("what", "rest"), ("state", "kind", "takes", "unit")
#: Places that hold no semicolon with a blank, and those that hold a number, or a time.
SINGLE, NUMBER = ("some", "choices", "error"), ("number",)

_EXACT = frozenset(SAYINGS)
_PLACE = re.compile(r"%\((\w+)\)s")
_NUMBER = re.compile(r"[-+.,:\dTZe]+")


def translated(message: str, say: Say, deep: int = DEEP) -> str:
    """The same in another language, as far as it is made of sayings.

    Args:
        say: Gettext.
        deep: How many sayings may stand in one another.

    >>> translated("Job 7 runs again.", {"Job %(id)s runs again.": "工作 %(id)s 再次執行。"}.get)
    '工作 7 再次執行。'
    """
    if len(message) > LONGEST or not deep:
        return message
    if (whole := _said(message, say, deep)) is not None:
        return whole
    parts = message.split(SEMICOLON)
    if 1 < len(parts) <= MANY:
        found = [_said(part, say, deep) for part in parts]
        if any(each is not None for each in found):
            return say(SEMICOLON).join(
                part if each is None else each for part, each in zip(parts, found, strict=True)
            )
    return message


def _said(message: str, say: Say, deep: int, names: int = NAMES) -> str | None:
    """One saying in another language, also after names with colons; None when it is none."""
    if message in _EXACT:
        return say(message)
    for saying in _with_places():
        found = saying.places(message)
        if found and all(_fits(name, value, say) for name, value in found.items()):
            return say(saying.text) % {name: _part(name, each, say, deep) for name, each in found.items()}
    name, colon, rest = message.partition(COLON)
    after = _said(rest, say, deep, names - 1) if colon and names and SEMICOLON not in name else None
    return None if after is None else say(AFTER) % {"name": name, "rest": after}


def _fits(name: str, value: str, say: Say) -> bool:
    """False for what cannot stand in a place: then the text is another saying."""
    if name in SINGLE:
        return SEMICOLON not in value
    if name in NUMBER:
        return _NUMBER.fullmatch(value) is not None
    return name not in WORD or say(value) != value


def _part(name: str, value: str, say: Say, deep: int) -> str:
    """What stands in a place, in the other language."""
    if name in NESTED:
        return translated(value, say, deep - 1)
    if name == "choices":
        some, _, last = value.rpartition(" or ")
        return say(CHOICES) % {"some": some, "last": last} if some else value
    return say(value) if name in WORD else value


@dataclass(frozen=True, slots=True)
class WithPlaces:
    """A saying in which something is to be filled.

    Attributes:
        names: Its places.
        words: What stands before, between and after them.
    """

    text: str
    names: Sequence[str]
    words: Sequence[str]

    def places(self, message: str) -> dict[str, str] | None:
        """What stands in each place of a text that was made of it, as little as can be; None for any other.

        No regular expression: with so many places, a text that nearly fits would keep one busy for hours.
        """
        begin, *between, end = self.words
        if not (message.startswith(begin) and message.endswith(end)):
            return None
        at, last, found = len(begin), len(message) - len(end), []
        for word in between:
            to = message.find(word, at + 1, last)
            if to < 0:
                return None
            found.append(message[at:to])
            at = to + len(word)
        return dict(zip(self.names, [*found, message[at:last]], strict=True)) if at < last else None


@cache
def _with_places() -> list[WithPlaces]:
    """Those with the most words of their own first."""
    split = [(each, _PLACE.split(each)) for each in SAYINGS if _PLACE.search(each)]
    made = [WithPlaces(each, parts[1::2], parts[::2]) for each, parts in split]
    return sorted(made, key=lambda each: sum(map(len, each.words)), reverse=True)
