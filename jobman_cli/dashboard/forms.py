"""A form made of a job type's signature: one field for each attrib, and back from what was typed to attribs.

It knows the JSON Schema of the attribs and nothing of pages or requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobman_cli.errors import JobmanError
from jobman_cli.operations.redact import MASK, redact

#: What stands before an attrib's name in the name of its input.
PREFIX = "attrib."
#: The choice that leaves a field open.
OPEN = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        kind: ``text``, ``password``, ``number``, ``checkbox``, ``select``, ``date`` or ``json``.
        value: What stands in it: the default, as text.
        choices: Of a select: value and what is shown.
        nullable: It may be left open, and then is null.
        limits: Attributes of the input: ``min``, ``max``, ``step``, ``maxlength``.
    """

    name: str
    kind: str
    required: bool
    value: str
    help: str
    nullable: bool = False
    choices: Sequence[tuple[str, str]] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input(self) -> str:
        """The input's name."""
        return PREFIX + self.name


def fields_of(schema: Mapping[str, Any], patterns: Sequence[str] = ()) -> list[Field]:
    """The fields for the attribs of a job type.

    Args:
        schema: The JSON Schema of the attribs.
        patterns: Names whose values are secret; see ``redact``.
    """
    required = set(schema.get("required", ()))
    return [
        _field(name, described, schema, name in required, _is_secret(name, patterns))
        for name, described in schema.get("properties", {}).items()
    ]


def read(fields: Sequence[Field], typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was typed, as attribs.

    Returns:
        The attribs, and what is wrong by the field's name. Whether they fit the signature is for the
        dispatch to say.
    """
    attribs: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for each in fields:
        text = typed.get(each.input, "")
        if each.kind == "checkbox":
            attribs[each.name] = bool(text)
        elif each.kind == "text":
            if text or not (each.required or each.nullable):
                attribs[each.name] = text
            elif each.nullable:
                attribs[each.name] = None
        elif each.kind == "password" and text:
            attribs[each.name] = text
        elif not text.strip():  # a secret's default is not shown: left empty, it stays
            if each.nullable:
                attribs[each.name] = None
        elif each.kind == "date":
            attribs[each.name] = text
        else:
            try:
                attribs[each.name] = json.loads(text, parse_constant=_refuse)
            except (ValueError, RecursionError):
                wrong[each.name] = "This is no number." if each.kind == "number" else "This is no JSON."
    return attribs, wrong


def faults_by_field(error: JobmanError, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What a dispatch refused, by the field it is about, and what is about none."""
    problems = getattr(error, "problems", ()) or (error.message,)
    wrong: dict[str, str] = {}
    rest: list[str] = []
    for problem in problems:
        place, _, text = problem.partition(": ")
        name = place.partition(".")[0].partition("[")[0]
        if text and name in names and name not in wrong:
            wrong[name] = text if place == name else problem
        else:
            rest.append(problem)
    return wrong, rest


def _field(
    name: str, described: Mapping[str, Any], schema: Mapping[str, Any], required: bool, secret: bool
) -> Field:
    shape, nullable = _resolved(described, schema)
    default = described.get("default")
    kind, choices = _kind(shape, nullable, default)
    if secret and kind == "text":
        kind = "password"
    given = "default" in described and default is not None
    value = _shown(kind, default) if given and not secret else ""
    return Field(
        name=name,
        kind=kind,
        required=required,
        value=value,
        help=str(described.get("description", shape.get("description", ""))),
        nullable=nullable,
        choices=choices,
        limits=_limits(kind, shape),
    )


def _resolved(described: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The shape itself, and whether null will do as well."""
    some = described.get("anyOf", (described,))
    shapes = [_followed(each, schema) for each in some]
    rest = [each for each in shapes if each.get("type") != "null"]
    nullable = len(rest) < len(shapes)
    return (rest[0] if len(rest) == 1 else {}), nullable


def _followed(shape: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = str(shape.get("$ref", ""))
    found: Mapping[str, Any] = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
    return {**found, **{key: value for key, value in shape.items() if key != "$ref"}} if reference else shape


def _kind(shape: Mapping[str, Any], nullable: bool, default: Any) -> tuple[str, Sequence[tuple[str, str]]]:
    values = shape.get("enum", [shape["const"]] if "const" in shape else None)
    if shape.get("type") == "boolean" and (nullable or default is None):
        values = [True, False]
    if values is not None:
        choices = [
            (json.dumps(value), value if isinstance(value, str) else json.dumps(value)) for value in values
        ]
        return "select", choices
    if shape.get("type") == "string" and shape.get("format") == "date":
        return "date", ()
    known = {"boolean": "checkbox", "integer": "number", "number": "number", "string": "text"}
    return known.get(str(shape.get("type")), "json"), ()


def _shown(kind: str, value: Any) -> str:
    if kind in ("text", "date") and isinstance(value, str):
        return value
    if kind == "checkbox":
        return "on" if value else ""
    return json.dumps(value, ensure_ascii=False, indent=2 if kind == "json" else None)


def _limits(kind: str, shape: Mapping[str, Any]) -> Mapping[str, Any]:
    if kind == "number":
        step = 1 if shape.get("type") == "integer" else "any"
        found = {"min": shape.get("minimum"), "max": shape.get("maximum"), "step": step}
    elif kind in ("text", "password"):
        found = {"maxlength": shape.get("maxLength")}
    else:
        found = {}
    return {name: value for name, value in found.items() if value is not None}


def _is_secret(name: str, patterns: Sequence[str]) -> bool:
    return bool(redact({name: ""}, patterns)[name] == MASK)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
