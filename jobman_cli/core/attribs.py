"""The pydantic model of a job type's attribs: from JSON to arguments and back.

It is the only place of the core that uses pydantic, and imports it when the first model is built: that
costs too much for a command that only prints its help. Fields are named ``arg_<name>`` with the alias
``<name>``, because ``schema``, ``copy`` or ``model_config`` are legal names for a parameter but not for a
field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jobman_cli.core.signature import Parameter
from jobman_cli.core.storable import find_unstorable, show_place
from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import InvalidAttribs, InvalidJobType

if TYPE_CHECKING:
    from pydantic import BaseModel

#: A message names at most so many fields: a wrong list of a million items is one mistake.
_MOST_PROBLEMS = 20

_TYPES_HINT = "Use JSON types, dataclasses, enums, dates or pydantic models as annotations."


class AttribsModel:
    """Validates one job type's attribs. Validators run at dispatch and again at each attempt.

    Args:
        name: The job type's name.
        parameters: Its parameters, without ``ctx``.

    Raises:
        InvalidJobType: when pydantic cannot validate an annotation, or a default does not fit its own.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        self.name = name
        self._parameters = tuple(parameters)
        self._known = frozenset(parameter.name for parameter in parameters)
        self._model = _build_model(name, parameters)
        self._validate = self._model.__pydantic_validator__.validate_python
        self._serialize = self._model.__pydantic_serializer__.to_python
        self._fields = tuple((parameter.name, f"arg_{parameter.name}") for parameter in parameters)
        self._has_sets = _has_sets(self._model.__pydantic_core_schema__)
        self._check_defaults()

    def plain(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """Validate attribs for a dispatch; see ``JobType.validate``."""
        complaint = find_unstorable(attribs, converted=False)
        if complaint:
            raise self._invalid([complaint])
        unknown = [key for key in attribs if key not in self._known]
        problems = [
            f"{show_place([key])}: no such parameter{did_you_mean(key, self._known)}"
            for key in unknown[:_MOST_PROBLEMS]
        ]
        cause: Exception | None = None
        try:
            instance = self._validate(dict(attribs))
        except Exception as error:  # a validator is anybody's code
            problems += _describe(error, self._known)
            cause = error
        else:
            if not problems:
                return self._read_back(self._store(instance), attribs)
        raise self._invalid(problems) from cause

    def arguments(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """Convert stored attribs for a call; see ``JobType.arguments``."""
        try:
            values = self._validate(attribs if type(attribs) is dict else dict(attribs)).__dict__
        except ValueError as error:  # pydantic's is one; a timeout that strikes here is not, and passes
            raise self._invalid(_describe(error, self._known)) from error
        return {name: values[field] for name, field in self._fields}

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the attribs that a dispatch takes."""
        try:
            schema = self._model.model_json_schema(by_alias=True)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise InvalidJobType(
                f"job type {self.name!r}: a parameter's type has no JSON Schema: {reason}", hint=_TYPES_HINT
            ) from error
        schema["additionalProperties"] = False
        for parameter in self._parameters:
            if parameter.help:
                # An Annotated description is the more deliberate one.
                schema["properties"][parameter.name].setdefault("description", parameter.help)
        return schema

    def _store(self, instance: BaseModel) -> dict[str, Any]:
        try:
            plain = self._dump(instance)
        except Exception as error:
            raise self._invalid(self._find_undumpable(instance)) from error
        complaint = find_unstorable(plain)
        if complaint:
            raise self._invalid([complaint])
        return plain

    def _read_back(self, plain: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse now what no attempt could read, such as a date in strict mode, which JSON makes a string."""
        try:
            if plain != given:
                self._validate(plain)
        except Exception as error:
            problems = [f"{problem} (as read back from JSON)" for problem in _describe(error, self._known)]
            raise self._invalid(problems) from error
        return plain

    def _find_undumpable(self, instance: BaseModel) -> list[str]:
        """Name the fields that cannot become JSON; the serializer's own error does not."""
        problems = []
        for name, field in self._fields:
            try:
                self._dump(instance, include={field})
            except Exception as error:
                # Not the error's text, which may quote the value.
                problems.append(f"{name}: the value cannot be converted to JSON ({type(error).__name__})")
        return problems

    def _dump(self, instance: BaseModel, include: set[str] | None = None) -> dict[str, Any]:
        plain: dict[str, Any] = self._serialize(
            instance, mode="json", by_alias=True, round_trip=True, warnings="none", include=include
        )
        if self._has_sets:
            with suppress(TypeError):  # a set of what is no key of a dict, such as models, has no such dump
                objects = self._serialize(
                    instance, mode="python", by_alias=True, round_trip=True, warnings="none", include=include
                )
                plain = _in_order(plain, objects)
        return plain

    def _invalid(self, problems: Sequence[str]) -> InvalidAttribs:
        shown = "; ".join(problems[:_MOST_PROBLEMS])
        more = len(problems) - _MOST_PROBLEMS
        error = InvalidAttribs(
            f"{self.name}: {shown}" + (f"; and {more} more" if more > 0 else ""),
            hint=f"See `jobman types {self.name}` for the names and types it takes.",
        )
        error.problems = tuple(problems[:_MOST_PROBLEMS])
        return error

    def _check_defaults(self) -> None:
        """Refuse defaults that would make every dispatch, or every attempt, fail."""
        optional = {parameter.name for parameter in self._parameters if not parameter.required}
        problems = []
        try:
            self._validate({})
        except Exception as error:
            problems = _describe(error, self._known, about=optional)
        if not problems:
            try:
                # Required parameters are absent from it, and from its dump.
                self._store(self._model.model_construct())
            except InvalidAttribs as error:
                problems = [error.message.removeprefix(f"{self.name}: ")]
        if problems:
            raise InvalidJobType(
                f"job type {self.name!r}: a default cannot be used: " + "; ".join(problems),
                hint="Make the default fit its annotation, such as `name: str | None = None`, and JSON.",
            )


def _build_model(name: str, parameters: Sequence[Parameter]) -> type[BaseModel]:
    from pydantic import ConfigDict, Field, create_model
    from pydantic.fields import FieldInfo

    fields: dict[str, Any] = {}
    for parameter in parameters:
        if isinstance(parameter.default, FieldInfo):
            raise InvalidJobType(
                f"job type {name!r}: the default of parameter {parameter.name!r} is a pydantic Field",
                hint=f"Write `{parameter.name}: Annotated[<type>, Field(...)] = <default>`.",
            )
        alias = parameter.name
        field: Any = Field(
            default=... if parameter.required else parameter.default,
            alias=alias,
            validation_alias=alias,
            serialization_alias=alias,
        )
        fields[f"arg_{alias}"] = (parameter.annotation, field)
    # The default of `ser_json_inf_nan` would turn NaN into null without a word; as constants it is refused.
    config = ConfigDict(extra="ignore", validate_default=True, ser_json_inf_nan="constants", title=name)
    try:
        model: type[BaseModel] = create_model("Attribs", __config__=config, **fields)
    except Exception as error:
        raise _unusable(name, parameters, error) from error
    for parameter in parameters:
        built = model.model_fields.get(f"arg_{parameter.name}")
        if built is None or (parameter.required and not built.is_required()):
            raise InvalidJobType(
                f"job type {name!r}: the annotation of parameter {parameter.name!r} is not a type, "
                "or holds a default",
                hint="Give the type in the annotation and the default in the signature.",
            )
    return model


def _has_sets(schema: Any) -> bool:
    """Whether pydantic's own description of a model has a set anywhere."""
    if isinstance(schema, Mapping):
        inside = (value for key, value in schema.items() if key not in ("default", "metadata"))
        return schema.get("type") in ("set", "frozenset") or any(map(_has_sets, inside))
    return isinstance(schema, (list, tuple)) and any(map(_has_sets, schema))


def _in_order(plain: Any, objects: Any) -> Any:
    """Sort what was a set: its order is another in each process, and equal attribs are to be stored alike."""
    if isinstance(plain, dict) and isinstance(objects, Mapping) and len(plain) == len(objects):
        pairs = zip(plain.items(), objects.values(), strict=True)
        return {key: _in_order(item, other) for (key, item), other in pairs}
    if isinstance(plain, list) and isinstance(objects, (set, frozenset)):
        return sorted(plain, key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(plain, list) and isinstance(objects, (list, tuple)) and len(plain) == len(objects):
        return [_in_order(item, other) for item, other in zip(plain, objects, strict=True)]
    return plain


def _unusable(name: str, parameters: Sequence[Parameter], error: Exception) -> InvalidJobType:
    """Find the parameter that pydantic refuses; it does not always say."""
    from pydantic import TypeAdapter

    culprit = ""
    for parameter in parameters:
        try:
            TypeAdapter(parameter.annotation)
        except Exception as cause:
            culprit, error = f" parameter {parameter.name!r}:", cause
            break
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InvalidJobType(
        f"job type {name!r}:{culprit} pydantic cannot validate this annotation: {reason}",
        hint=_TYPES_HINT,
    )


def _describe(error: Exception, known: frozenset[str], about: set[str] | None = None) -> list[str]:
    """One line for each field at fault, without the values: they may be secret.

    Args:
        error: What validation raised.
        known: The names of the parameters.
        about: Speak of these parameters only.
    """
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return [f"the validation itself failed ({type(error).__name__})"]
    described = []
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        field, *inside = detail["loc"] or ("",)
        # A default that does not fit is reported by the field's name, a value by its alias.
        name = str(field) if field in known else str(field).removeprefix("arg_")
        if about is None or name in about:
            described.append(f"{show_place([name, *inside])}: {_on_one_line(detail['msg'])}")
    return described


def _on_one_line(text: str) -> str:
    return " ".join(text.splitlines()).encode("utf-8", "backslashreplace").decode("utf-8")
