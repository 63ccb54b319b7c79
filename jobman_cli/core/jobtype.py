"""Job types: ``@job``, its options, and what a registered function can be asked.

Pure and cheap to import: pydantic is loaded when a job type first validates something.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, overload

from jobman_cli.core.clock import MAX_PRIORITY, MIN_PRIORITY
from jobman_cli.core.signature import Parameter, read_signature
from jobman_cli.core.storable import find_unstorable
from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import InvalidAttribs, InvalidJobType

if TYPE_CHECKING:
    from jobman_cli.core.attribs import AttribsModel

#: The longest timeout or backoff, in seconds: 31 years.
MAX_SECONDS = 10**9

#: The most tries: what the column holds.
MAX_TRIES = 2**31 - 1

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How the jobs of a type are run.

    Attributes:
        queue: The queue they go to, unless a dispatch names another.
        tries: How many attempts may fail before the job is failed, from 1.
        timeout: Seconds an attempt may take; ``None`` for no limit.
        backoff: Seconds to wait after the first, second, … failed attempt; see ``backoff_delay``.
        priority: From -1000 to 1000; the greater goes first.
        tags: Tags given to each job.
        unique: True when a job with the attribs of one that is not finished is not dispatched again; a tuple
            of parameters when these attribs alone decide.
        description: One line for lists; the docstring's first.
    """

    queue: str = "default"
    tries: int = 1
    timeout: float | None = 60.0
    backoff: tuple[float, ...] = ()
    priority: int = 0
    tags: tuple[str, ...] = ()
    unique: bool | tuple[str, ...] = False
    description: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.queue, str) or not _QUEUE.fullmatch(self.queue):
            raise _bad_option("queue", self.queue, "1 to 64 of letters, digits and _ . : -")
        if not _is_integer(self.tries) or not 1 <= self.tries <= MAX_TRIES:
            raise _bad_option("tries", self.tries, "a whole number from 1")
        if self.timeout is not None and not (_is_seconds(self.timeout) and self.timeout > 0):
            raise _bad_option("timeout", self.timeout, "a number of seconds above 0, or None for no limit")
        if not isinstance(self.backoff, (list, tuple)) or not all(map(_is_seconds, self.backoff)):
            raise _bad_option("backoff", self.backoff, "a list of seconds, each 0 or more")
        if not _is_integer(self.priority) or not MIN_PRIORITY <= self.priority <= MAX_PRIORITY:
            raise _bad_option(
                "priority", self.priority, f"a whole number from {MIN_PRIORITY} to {MAX_PRIORITY}"
            )
        if not isinstance(self.tags, (list, tuple)) or not all(map(_is_tag, self.tags)):
            raise _bad_option("tags", self.tags, "a list of strings that are not empty")
        if not isinstance(self.unique, bool) and not _is_names(self.unique):
            raise _bad_option("unique", self.unique, "True, or a list of the function's parameters")
        if not isinstance(self.description, str):
            raise _bad_option("description", self.description, "a string")
        # A frozen dataclass is set this way; lists come from decorators and from YAML.
        object.__setattr__(self, "timeout", None if self.timeout is None else float(self.timeout))
        object.__setattr__(self, "backoff", tuple(map(float, self.backoff)))
        object.__setattr__(self, "tags", tuple(self.tags))
        if not isinstance(self.unique, bool):
            object.__setattr__(self, "unique", tuple(self.unique))


OPTION_NAMES = tuple(field.name for field in fields(JobOptions))


class JobType:
    """A named function with options; calling it calls the plain function, so a unit test needs no worker.

    Attributes:
        name: The name it is dispatched by.
        func: The plain function.
        options: How its jobs are run.
        doc: The function's docstring, without its indentation.
        takes_context: True if the function has a parameter ``ctx``.
        is_async: True if it was defined with ``async def``: calling it gives a coroutine.
        origin: Where it comes from, ``module:qualname``.
        parameters: The function's parameters without ``ctx``; each is an attrib.

    Args:
        name: 1 to 100 of letters, digits and ``_ . : -``.
        func: A function defined with ``def`` or ``async def``, all of whose parameters can be passed by name.
        options: How its jobs are run; the description is filled from the docstring if it is empty.

    Raises:
        InvalidJobType: when the name or the function cannot be a job type's.
    """

    def __init__(self, name: str, func: Callable[..., Any], options: JobOptions) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidJobType(
                f"{name!r} cannot be the name of a job type",
                hint="Use 1 to 100 of letters, digits and _ . : -",
            )
        parameters, takes_context = read_signature(func, name)
        functools.update_wrapper(self, func)
        self.name = name
        self.func = func
        self.doc = inspect.getdoc(func) or ""
        summary = self.doc.strip().partition("\n")[0].strip()
        self.options = options if options.description else replace(options, description=summary)
        self.takes_context = takes_context
        # What `functools.wraps` has wrapped counts too: the wrapper hands its coroutine on.
        self.is_async = any(map(inspect.iscoroutinefunction, (func, inspect.unwrap(func))))
        self.origin = f"{func.__module__}:{func.__qualname__}"
        self.parameters: tuple[Parameter, ...] = parameters
        _check_unique(name, options.unique, parameters)
        self._model: AttribsModel | None = None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function, with nothing validated."""
        return self.func(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<JobType {self.name!r} from {self.origin}>"

    def validate(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """Check attribs against the signature, for a dispatch.

        Args:
            attribs: Parameter name to value.

        Returns:
            What the row stores: plain JSON data, with the defaults filled in.

        Raises:
            InvalidAttribs: naming each field that is unknown, missing, of the wrong type, or beyond what
                the databases' JSON can hold (see ``storable``).
            InvalidJobType: when the signature itself cannot be used.
        """
        if not isinstance(attribs, Mapping):
            raise InvalidAttribs(f"{self.name}: attribs must be an object, not {type(attribs).__name__}")
        return (self._model or self._build()).plain(attribs)

    def arguments(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """Turn stored attribs into the arguments of a call.

        Args:
            attribs: What the row holds; keys outside the signature are ignored.

        Returns:
            Parameter name to Python value, for every parameter but ``ctx``.

        Raises:
            InvalidAttribs: when they do not fit the signature, which may have changed since the dispatch.
            InvalidJobType: when the signature itself cannot be used.
        """
        if not self.parameters:
            return {}
        return (self._model or self._build()).arguments(attribs)

    def unique_key(self, stored: str) -> str | None:
        """The unique key of a job of this type; None when its jobs are not unique.

        Args:
            stored: The validated attribs as JSON text.

        Returns:
            The type's name and a digest, at most 165 characters: attribs may hold what nobody is to see.
        """
        unique = self.options.unique
        if unique is False:
            return None
        attribs = json.loads(stored)
        if unique is not True:
            attribs = {name: attribs[name] for name in unique}
        text = json.dumps(attribs, sort_keys=True, separators=(",", ":"))
        return f"{self.name}:{hashlib.sha256(text.encode()).hexdigest()}"

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the attribs.

        Raises:
            InvalidJobType: when the signature cannot be used, or a type has no JSON Schema.
        """
        return (self._model or self._build()).json_schema()

    def check(self) -> None:
        """Build the model and the schema now, to find out early whether the signature can be used.

        Raises:
            InvalidJobType: when it cannot.
        """
        self.json_schema()

    def with_options(self, **overrides: Any) -> JobType:
        """A copy with some options replaced; the function and its model are shared.

        Args:
            overrides: Fields of ``JobOptions``.

        Raises:
            InvalidJobType: for an unknown option or a value out of its bounds.
        """
        for option in overrides:
            if option not in OPTION_NAMES:
                nearest = did_you_mean(option, OPTION_NAMES)
                raise InvalidJobType(
                    f"job type {self.name!r}: there is no option {option!r}{nearest}",
                    hint=f"The options are {', '.join(OPTION_NAMES)}.",
                )
        other = copy.copy(self)
        other.options = _name_in_error(self.name, replace, self.options, **overrides)
        _check_unique(self.name, other.options.unique, self.parameters)
        return other

    def _build(self) -> AttribsModel:
        # Two threads may both build it; either result will do.
        from jobman_cli.core.attribs import AttribsModel

        self._model = AttribsModel(self.name, self.parameters)
        return self._model


@overload
def job(name: Callable[..., Any], /) -> JobType: ...


@overload
def job(
    name: str | None = None,
    *,
    queue: str = ...,
    tries: int = ...,
    timeout: float | None = ...,
    backoff: Sequence[float] = ...,
    priority: int = ...,
    tags: Sequence[str] = ...,
    unique: bool | Sequence[str] = ...,
) -> Callable[[Callable[..., Any]], JobType]: ...


def job(
    name: str | Callable[..., Any] | None = None,
    *,
    queue: str = "default",
    tries: int = 1,
    timeout: float | None = 60.0,
    backoff: Sequence[float] = (),
    priority: int = 0,
    tags: Sequence[str] = (),
    unique: bool | Sequence[str] = False,
) -> JobType | Callable[[Callable[..., Any]], JobType]:
    """Make a function a job type: ``@job("hello", tries=3)``, or bare, ``@job``, named as the function.

    Args:
        name: The name it is dispatched by; the function's own if left out.
        queue: The queue its jobs go to.
        tries: How many attempts may fail, from 1.
        timeout: Seconds an attempt may take; ``None`` for no limit.
        backoff: Seconds to wait after the first, second, … failed attempt; the last one repeats.
        priority: From -1000 to 1000; the greater goes first.
        tags: Tags given to each job.
        unique: True to dispatch no second job with the same attribs while one is not finished; or the names
            of the attribs that decide.

    Returns:
        The job type, in the function's place. It is still callable like the function.

    Raises:
        InvalidJobType: when the name, the options or the function cannot be used.
    """
    if name is not None and not isinstance(name, str):
        return JobType(getattr(name, "__name__", type(name).__name__), name, JobOptions())

    def decorate(func: Callable[..., Any]) -> JobType:
        own_name = name if name is not None else getattr(func, "__name__", type(func).__name__)
        options = _name_in_error(
            own_name,
            JobOptions,
            queue=queue,
            tries=tries,
            timeout=timeout,
            backoff=backoff,
            priority=priority,
            tags=tags,
            unique=unique,
        )
        return JobType(own_name, func, options)

    return decorate


def _name_in_error(name: str, make: Callable[..., JobOptions], *args: Any, **options: Any) -> JobOptions:
    try:
        return make(*args, **options)
    except InvalidJobType as error:
        raise InvalidJobType(f"job type {name!r}: {error.message}", hint=error.hint) from None


def _check_unique(name: str, unique: bool | tuple[str, ...], parameters: Sequence[Parameter]) -> None:
    names = [parameter.name for parameter in parameters]
    for each in () if isinstance(unique, bool) else unique:
        if each not in names:
            raise InvalidJobType(
                f"job type {name!r}: unique names {each!r}, which is no parameter of the function"
                f"{did_you_mean(each, names)}",
                hint="Name parameters other than ctx, or give unique=True for all of them.",
            )


def _bad_option(option: str, value: object, expected: str) -> InvalidJobType:
    return InvalidJobType(f"{option}={value!r} is out of bounds", hint=f"Give {expected}.")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS


def _is_names(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(each, str) for each in value)


def _is_tag(value: object) -> bool:
    return isinstance(value, str) and bool(value) and find_unstorable([value]) is None
