"""A job function's signature, read once at decoration.

The signature is a job type's interface. This module knows ``inspect`` and ``typing``; what the
annotations mean is pydantic's business (see ``attribs``), which is not imported before it is needed.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from jobman_cli.errors import InvalidJobType

#: The parameter that receives the ``Context``; it is not an attrib.
CONTEXT_PARAMETER = "ctx"

_REFUSED_KINDS: dict[Any, str] = {
    inspect.Parameter.POSITIONAL_ONLY: "attribs are passed by name: take the / out of the signature.",
    inspect.Parameter.VAR_POSITIONAL: "attribs are passed by name: replace *{name} with a list parameter.",
    inspect.Parameter.VAR_KEYWORD: "each attrib needs a name and a type: replace **{name} with parameters.",
}

_ARGS_HEADING = re.compile(r"^(Args|Arguments|Parameters):\s*$")
_ARGS_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a job function: one attrib.

    Attributes:
        name: Its name, the attrib's key.
        annotation: Its resolved annotation, with the extras of ``Annotated``; ``Any`` if it has none.
        required: True if the signature gives no default.
        default: The default; ``None`` if there is none.
        help: What the docstring's ``Args:`` section says of it.
    """

    name: str
    annotation: Any
    required: bool
    default: Any = None
    help: str | None = None


def read_signature(func: Callable[..., Any], name: str) -> tuple[tuple[Parameter, ...], bool]:
    """Read the parameters of a job function.

    Args:
        func: The plain function.
        name: The job type's name, for messages.

    Returns:
        The parameters without ``ctx``, and whether the function takes ``ctx``.

    Raises:
        InvalidJobType: when the function or its signature cannot be a job's.
    """
    _refuse_function(func, name)
    try:
        signature = inspect.signature(func)
    except (ValueError, TypeError, NameError) as error:
        raise InvalidJobType(f"job type {name!r}: its signature cannot be read: {error}") from error
    parameters = []
    takes_context = False
    helps = read_args_section(inspect.getdoc(func) or "")
    for parameter in signature.parameters.values():
        hint = _REFUSED_KINDS.get(parameter.kind)
        if hint:
            raise InvalidJobType(
                f"job type {name!r}: parameter {parameter} is {parameter.kind.description}",
                hint=hint[0].upper() + hint[1:].format(name=parameter.name),
            )
        if parameter.name == CONTEXT_PARAMETER:
            takes_context = True
            continue
        required = parameter.default is parameter.empty
        parameters.append(
            Parameter(
                name=parameter.name,
                annotation=_resolve(func, parameter, name),
                required=required,
                default=None if required else parameter.default,
                help=helps.get(parameter.name),
            )
        )
    return tuple(parameters), takes_context


def _refuse_function(func: Callable[..., Any], name: str) -> None:
    if not inspect.isfunction(func):
        raise InvalidJobType(
            f"job type {name!r}: {type(func).__name__} is not a plain function",
            hint="Put @job on a function defined with `def`, outside of any class.",
        )
    inner = inspect.unwrap(func)
    for candidate in (func, inner):
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise InvalidJobType(
                f"job type {name!r}: it is a generator, so calling it would run nothing",
                hint="Take the `yield` out of the job function; a helper it calls may have one.",
            )


def _resolve(func: Callable[..., Any], parameter: inspect.Parameter, name: str) -> Any:
    """Turn an annotation that may be text into what it names.

    Each parameter is resolved alone: ``ctx`` and the result are never looked at, so their types may be
    imported under ``TYPE_CHECKING``.
    """
    if parameter.annotation is parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    namespace = getattr(inspect.unwrap(func), "__globals__", {})
    try:
        hints = typing.get_type_hints(holder, globalns=namespace, localns={}, include_extras=True)
    except Exception as error:  # an annotation is any expression, so it may raise anything
        raise InvalidJobType(
            f"job type {name!r}: the annotation of parameter {parameter.name!r} cannot be resolved: {error}",
            hint="Import or define the type above the function, at the module's top level and not under "
            "TYPE_CHECKING.",
        ) from error
    return hints[parameter.name]


def read_args_section(doc: str) -> dict[str, str]:
    """What a docstring's ``Args:`` section says of each parameter.

    Args:
        doc: A docstring without its indentation, as ``inspect.getdoc`` gives it.

    Returns:
        Parameter name to text on one line; empty if there is no such section.
    """
    found: dict[str, list[str]] = {}
    inside = False
    entry_indent: int | None = None
    current: list[str] = []
    for line in doc.splitlines():
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if not inside:
            inside = _ARGS_HEADING.match(line) is not None
        elif text and indent == 0:
            break
        elif text:
            entry_indent = indent if entry_indent is None else entry_indent
            entry = _ARGS_ENTRY.match(text) if indent <= entry_indent else None
            if entry:
                current = found.setdefault(entry[1], [])
                text = entry[2]
            current.append(text)
    return {name: " ".join(filter(None, lines)) for name, lines in found.items() if any(lines)}
