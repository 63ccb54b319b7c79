"""Kinds of values: what a node must be, and the final value it becomes.

A kind notes what is wrong and answers ``BAD``; its caller goes on, so that all faults are found in one
go. Python's and YAML's types are kept apart strictly: ``true`` is no number and ``3.0`` no whole one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from jobman_cli.settings.document import Node
from jobman_cli.settings.problems import Problems, quoted, shown

BAD: Final = object()


class Kind(Protocol):
    """What a setting may be."""

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return the final value, or note what is wrong and return ``BAD``."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema (draft 7) of what it may be; it may allow more, never less."""
        ...


def _wrong(node: Node, setting: str, problems: Problems, expected: str) -> Any:
    problems.add(node.where, setting, f"expected {expected}, found {shown(node.value)}")
    return BAD


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, or ``null``: a setting without a value is not set."""
    if not schema or "null" in schema.get("type", ()):
        return schema
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [*schema["anyOf"], {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches ``pattern``; ``what`` describes it to a reader."""

    pattern: str
    what: str

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return the text as it is."""
        if isinstance(node.value, str) and re.fullmatch(self.pattern, node.value):
            return node.value
        return _wrong(node, setting, problems, self.what)

    def schema(self) -> dict[str, Any]:
        """Return a string with its pattern; one with ``\\w`` means less to an editor than to Python."""
        known: dict[str, Any] = {"type": "string", "description": self.what}
        if r"\w" not in self.pattern:
            known["pattern"] = f"^(?:{self.pattern})$"
        return known


@dataclass(frozen=True, slots=True)
class Secret(Text):
    """A text that is never shown, also when it is wrong."""

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return the text as it is."""
        if isinstance(node.value, str) and re.fullmatch(self.pattern, node.value):
            return node.value
        problems.add(node.where, setting, f"expected {self.what}")
        return BAD


@dataclass(frozen=True, slots=True)
class Converted:
    """A text that ``convert`` completes; its ``ValueError`` is the fault. The text itself is never shown."""

    convert: Callable[[str], str]
    what: str
    examples: tuple[str, ...] = ()

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return what ``convert`` makes of it."""
        if not isinstance(node.value, str):
            return _wrong(node, setting, problems, self.what)
        try:
            return self.convert(node.value)
        except ValueError as error:
            problems.add(node.where, setting, str(error))
            return BAD

    def schema(self) -> dict[str, Any]:
        """Return a string with examples."""
        return {"type": "string", "description": self.what, "examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Number:
    """A number between bounds, both included unless ``above``; ``null_is`` is what ``null`` means."""

    least: float
    most: float
    whole: bool = False
    above: bool = False
    null_is: float | None = None

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return an int, or a float if it need not be whole."""
        value = node.value
        if value is None and self.null_is is not None:
            return self.null_is
        fits = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        # Compared before it becomes a float: a huge integer would overflow, nan fits nowhere.
        if fits and self.least <= value <= self.most and not (self.above and value == self.least):
            return value if self.whole else float(value)
        noun = "a whole number" if self.whole else "a number"
        low = f"above {self.least:g}" if self.above else f"from {self.least:g}"
        return _wrong(node, setting, problems, f"{noun} {low} to {self.most:.10g}")

    def schema(self) -> dict[str, Any]:
        """Return a number with its bounds."""
        kind = "integer" if self.whole else "number"
        least = "exclusiveMinimum" if self.above else "minimum"
        return {
            "type": kind if self.null_is is None else [kind, "null"],
            least: self.least,
            "maximum": self.most,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words; ``false`` may stand for one of them, for readers used to YAML 1.1."""

    words: tuple[str, ...]
    false_is: str | None = None

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return the word."""
        if self.false_is and (node.value is False or node.value == "false"):
            return self.false_is
        if isinstance(node.value, str) and node.value in self.words:
            return node.value
        return _wrong(node, setting, problems, " or ".join(self.words))

    def schema(self) -> dict[str, Any]:
        """Return the words."""
        return {"enum": [*self.words, *((False, "false") if self.false_is else ())]}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false, and no other word."""

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return a bool."""
        if isinstance(node.value, bool):
            return node.value
        return _wrong(node, setting, problems, "true or false")

    def schema(self) -> dict[str, Any]:
        """Return a boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list, as a tuple; with ``single``, one value alone is a list of one."""

    item: Kind
    example: str
    least: int = 0
    single: bool = False
    unique: Callable[[Any], Any] | None = None

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return a tuple of the items' final values."""
        value = node.value
        if self.single and isinstance(value, str | int | float):
            value = [node]
        if not isinstance(value, list) or len(value) < self.least:
            return _wrong(node, setting, problems, f"a list such as {self.example}")
        seen: set[Any] = set()
        result = []
        for index, each in enumerate(value):
            final = self.item.check(each, f"{setting}[{index}]", problems)
            if final is BAD:
                continue
            key = self.unique(final) if self.unique else index
            if key in seen:
                problems.add(each.where, f"{setting}[{index}]", f"{key!r} is there twice")
            seen.add(key)
            result.append(final)
        return tuple(result)

    def schema(self) -> dict[str, Any]:
        """Return an array; with ``single`` also one item."""
        item = self.item.schema()
        known: dict[str, Any] = {"type": "array", "items": item}
        if self.least:
            known["minItems"] = self.least
        if self.unique:
            known["uniqueItems"] = True
        return {"anyOf": [known, item]} if self.single else known


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping whose keys are names that the user gives."""

    name: Text
    value: Kind

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return a dict; a name without a value has an empty mapping."""
        if not isinstance(node.value, dict):
            return _wrong(node, setting, problems, "a mapping")
        result = {}
        for name, each in node.value.items():
            inner = f"{setting}.{quoted(name)}"
            if not re.fullmatch(self.name.pattern, name):
                problems.add(each.where, inner, f"the name must be {self.name.what}")
                continue
            if each.value is None:
                each = Node({}, each.where)
            final = self.value.check(each, inner, problems)
            if final is not BAD:
                result[name] = final
        return result

    def schema(self) -> dict[str, Any]:
        """Return an object with names of the user's."""
        names = self.name.schema()
        return {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": or_null(self.value.schema()),
        }


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys; an absent or null one is left out of the result.

    ``finish`` gets the good values and makes the final one; it may note faults of its own.
    """

    fields: Mapping[str, Kind]
    finish: Callable[[dict[str, Any], Node, str, Problems], Any] | None = None
    what: str = field(default="setting")

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return a dict of what is given, or what ``finish`` makes of it."""
        if not isinstance(node.value, dict):
            return _wrong(node, setting, problems, "a mapping")
        good = {}
        for name, each in node.value.items():
            inner = f"{setting}.{quoted(name)}" if setting else quoted(name)
            kind = self.fields.get(name)
            if kind is None:
                problems.unknown(each.where, inner, name, self.fields, self.what)
                continue
            if each.value is None and not (isinstance(kind, Number) and kind.null_is is not None):
                continue
            final = kind.check(each, inner, problems)
            if final is not BAD:
                good[name] = final
        return self.finish(good, node, setting, problems) if self.finish else good

    def schema(self) -> dict[str, Any]:
        """Return an object with these names and no other."""
        known = {name: or_null(kind.schema()) for name, kind in self.fields.items()}
        return {"type": "object", "properties": known, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Json:
    """Anything that JSON can hold, as plain Python values."""

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return dicts, lists and scalars."""
        value = node.value
        if isinstance(value, dict):
            return {
                name: self.check(each, f"{setting}.{quoted(name)}", problems) for name, each in value.items()
            }
        if isinstance(value, list):
            return [self.check(each, f"{setting}[{i}]", problems) for i, each in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return _wrong(node, setting, problems, "a number that JSON can hold")
        return value

    def schema(self) -> dict[str, Any]:
        """Return what allows everything."""
        return {}


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A mapping of names to anything that JSON can hold: only who reads it knows more."""

    def check(self, node: Node, setting: str, problems: Problems) -> Any:
        """Return a dict."""
        if not isinstance(node.value, dict):
            return _wrong(node, setting, problems, "a mapping")
        return Json().check(node, setting, problems)

    def schema(self) -> dict[str, Any]:
        """Return any object."""
        return {"type": "object"}
