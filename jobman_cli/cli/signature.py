"""A job type's parameters as options of a command, and the options' texts back as attribs.

The command line only has texts. What they mean is pydantic's to decide, by the parameter's annotation; so
an option is a text wherever that is not plainly a flag, a choice or a list.
"""

from __future__ import annotations

import collections.abc
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import typer

from jobman_cli.core.jobtype import JobType
from jobman_cli.core.signature import Parameter

#: Annotations whose values are texts, never JSON.
_NUMBERS: Mapping[Any, str] = {int: "INTEGER", float: "NUMBER"}
_LISTS = (
    list,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.Set,
)


@dataclass(frozen=True, slots=True)
class AttribOption:
    """One parameter as an option.

    Attributes:
        parameter: The job's parameter.
        key: The argument's name in the command's function.
        declaration: Such as ``--name`` or ``--loud/--no-loud``.
        annotation: For Typer.
        metavar: What stands for the value in the help.
        read: From Typer's value to the attrib.
    """

    parameter: Parameter
    key: str
    declaration: str
    annotation: Any
    metavar: str | None
    read: Callable[[Any], Any]

    def as_parameter(self) -> inspect.Parameter:
        """For the ``__signature__`` that Typer reads. An optional one is None if it is not given."""
        parameter = self.parameter
        help = parameter.help or ""
        if not parameter.required and parameter.default is not None:
            help = f"{help}  [default: {_shown(parameter.default)}]".strip()
        option = typer.Option(self.declaration, metavar=self.metavar, help=help, show_default=False)
        kind = inspect.Parameter.KEYWORD_ONLY
        if parameter.required:
            return inspect.Parameter(self.key, kind, annotation=Annotated[self.annotation, option])
        optional: Any = Annotated.__class_getitem__((self.annotation | None, option))  # type: ignore[attr-defined]
        return inspect.Parameter(self.key, kind, default=None, annotation=optional)


def attrib_options(job_type: JobType, taken: Iterable[str]) -> list[AttribOption]:
    """The options of a job type.

    Args:
        taken: Options that the command has already, such as ``--queue``. A parameter of that name
            becomes ``--attrib-queue``.
    """
    used = set(taken)
    options = []
    for number, parameter in enumerate(job_type.parameters):
        inner = _plain(parameter.annotation)
        declaration = _declare(parameter.name, inner is bool, used)
        used.update(declaration.split("/"))
        annotation, metavar, read = _translate(parameter.annotation, inner)
        options.append(AttribOption(parameter, f"attrib_{number}", declaration, annotation, metavar, read))
    return options


def read_attribs(options: Iterable[AttribOption], given: Mapping[str, Any]) -> dict[str, Any]:
    """The attribs that were given; the others are left to their defaults."""
    return {
        option.parameter.name: option.read(given[option.key])
        for option in options
        if given.get(option.key) is not None
    }


def _declare(name: str, flag: bool, used: set[str]) -> str:
    dashed = name.strip("_").replace("_", "-") or name
    for stem in (dashed, f"attrib-{dashed}", f"attrib-{name}"):
        names = [f"--{stem}", f"--no-{stem}"] if flag else [f"--{stem}"]
        if not used.intersection(names):
            return "/".join(names)
    while not used.isdisjoint(names):
        stem = f"attrib-{stem}"
        names = [f"--{stem}", f"--no-{stem}"] if flag else [f"--{stem}"]
    return "/".join(names)


def _plain(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and ``| None``."""
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
            continue
        if hasattr(annotation, "__value__"):  # a `type` alias
            annotation = annotation.__value__
            continue
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            others = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
            if len(others) == 1:
                annotation = others[0]
                continue
        return annotation


def _translate(annotation: Any, inner: Any) -> tuple[Any, str | None, Callable[[Any], Any]]:
    if inner is bool:
        return bool, None, bool
    if (values := _choices(inner)) is not None:
        texts = {_choice_text(value): value for value in values}
        return Literal[tuple(texts)], None, lambda text: texts[text]
    if inner in _LISTS or typing.get_origin(inner) in _LISTS or _is_open_tuple(inner):
        item = (*typing.get_args(inner), Any)[0]
        _, metavar, read = _translate(item, _plain(item))
        if _choices(_plain(item)) is not None or _plain(item) is bool:
            metavar, read = "VALUE", _reader(item)
        return list[str], metavar, lambda texts: [read(text) for text in texts]
    metavar = _NUMBERS.get(inner, "TEXT" if _is_text(inner) else "JSON")
    return str, metavar, _reader(annotation)


def _choices(inner: Any) -> list[Any] | None:
    """The values of a ``Literal`` or an enum; None for anything else."""
    if typing.get_origin(inner) is Literal:
        values = [value for value in typing.get_args(inner) if value is not None]
        return [value.value if isinstance(value, Enum) else value for value in values]
    if isinstance(inner, type) and issubclass(inner, Enum):
        values = [member.value for member in inner]
        return values if values and all(isinstance(value, (str, int, float)) for value in values) else None
    return None


def _choice_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _is_open_tuple(inner: Any) -> bool:
    return typing.get_origin(inner) is tuple and typing.get_args(inner)[-1:] == (Ellipsis,)


def _is_text(inner: Any) -> bool:
    """True for a class whose JSON form is a string: text, dates, paths, UUIDs."""
    if not isinstance(inner, type) or typing.get_origin(inner) is not None:
        return False
    from pydantic import TypeAdapter

    try:
        return bool(TypeAdapter(inner).json_schema().get("type") == "string")
    except Exception:
        return False


def _reader(annotation: Any) -> Callable[[str], Any]:
    """From a text to the value that the annotation takes: the text as JSON, or the text itself."""
    inner = _plain(annotation)
    if _is_text(inner):
        return str

    def read(text: str) -> Any:
        from pydantic import TypeAdapter

        values = [text] if inner in _NUMBERS else []
        with suppress(ValueError, RecursionError):
            values.insert(0, json.loads(text))
        values = [*values, text]
        try:
            adapter = TypeAdapter(annotation)
        except Exception:
            return values[0]
        for value in values:
            try:
                adapter.validate_python(value)
            except Exception:  # noqa: S112 - a validator is anybody's code; the dispatch says what is wrong
                continue
            return value
        return values[0]

    return read


def _shown(default: Any) -> str:
    from pydantic_core import to_json

    try:
        text = to_json(default).decode()
    except Exception:  # a default is any object
        text = str(default)
    return text if len(text) <= 60 else text[:59] + "…"


def description(job_type: JobType) -> str:
    """The docstring without its sections, for a command's help."""
    kept = []
    for line in job_type.doc.splitlines():
        if line.rstrip() in ("Args:", "Arguments:", "Parameters:", "Returns:", "Raises:", "Example:"):
            break
        kept.append(line)
    return "\n".join(kept).strip() or job_type.options.description
