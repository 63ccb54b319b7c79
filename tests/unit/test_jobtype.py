"""Job types: the decorator, what it refuses, and attribs on their way in and out of a row."""

import asyncio
import datetime as dt
import enum
import functools
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobman_cli.core.jobtype import JobOptions, JobType, job
from jobman_cli.core.signature import read_args_section
from jobman_cli.core.storable import MAX_DEPTH, MAX_INTEGER, find_unstorable
from jobman_cli.errors import InvalidAttribs, InvalidJobType


class Colour(enum.Enum):
    RED = "red"


class Address(pydantic.BaseModel):
    street: str
    number: int = 1


class Opaque:
    """Nothing that pydantic knows."""


@job("hello", tries=3, timeout=60, backoff=[1, 5, 10])
def hello(ctx, name: str = "world", times: int = 1) -> str:
    """Say hello.

    More about it.

    Args:
        ctx: The context.
        name: Whom to greet,
            on two lines.
        times (int): How often.

    Returns:
        The greeting.
    """
    return f"{ctx}: {name} * {times}"


@job
def anything(value: Any = None): ...


# The decorator


def test_the_job_type_tells_what_the_function_is():
    assert isinstance(hello, JobType)
    assert (hello.name, hello.takes_context, hello.origin) == ("hello", True, f"{__name__}:hello")
    assert hello.options == JobOptions(tries=3, timeout=60, backoff=(1, 5, 10), description="Say hello.")
    assert hello.doc.startswith("Say hello.\n\nMore")
    name, times = hello.parameters
    assert (name.name, name.annotation, name.required, name.default) == ("name", str, False, "world")
    assert (name.help, times.help) == ("Whom to greet, on two lines.", "How often.")


def test_it_is_still_the_function():
    assert hello("c", name="Ada") == "c: Ada * 1"
    assert hello.__name__ == "hello"
    assert hello.__wrapped__ is hello.func


def test_bare_and_empty_parentheses_take_the_name_of_the_function():
    @job()
    def other(): ...

    assert (anything.name, other.name) == ("anything", "other")
    assert not anything.takes_context


def test_a_parameter_may_have_any_legal_name():
    @job
    def odd(
        schema: int, copy: int, model_config: int, self: int, args: int, model_fields: int, _x: int = 0
    ): ...

    given_ = {"schema": 1, "copy": 2, "model_config": 3, "self": 4, "args": 5, "model_fields": 6}
    assert odd.validate(given_) == {**given_, "_x": 0}
    assert odd.arguments(given_) == {**given_, "_x": 0}
    assert odd(**odd.arguments(given_)) is None
    assert list(odd.json_schema()["properties"]) == [*given_, "_x"]


def test_keyword_only_parameters_and_decorated_functions_are_fine():
    def logged(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            return func(*args, **kwargs)

        return wrapper

    @job("x")
    @logged
    def keyword_only(ctx, *, count: int): ...

    assert keyword_only.arguments({"count": "3"}) == {"count": 3}


async def coroutine(ctx): ...
async def async_generator(ctx):
    yield 1


def generator(ctx):
    yield 1


def positional_only(name: str, /): ...
def positional_only_ctx(ctx, /): ...
def star_args(*names: str): ...
def star_kwargs(**names: str): ...
def unresolvable(name: "NoSuchType"): ...  # noqa: F821


@pytest.mark.parametrize(
    ("func", "said"),
    [
        (async_generator, "generator"),
        (generator, "generator"),
        (positional_only, "name: str"),
        (positional_only_ctx, "ctx"),
        (star_args, r"\*names"),
        (star_kwargs, r"\*\*names"),
        (unresolvable, "'name' cannot be resolved.*NoSuchType"),
        (len, "not a plain function"),
        (Opaque, "not a plain function"),
        (functools.partial(print), "not a plain function"),
        (hello, "not a plain function"),
    ],
)
def test_functions_that_cannot_be_jobs(func, said):
    with pytest.raises(InvalidJobType, match=said) as caught:
        job("bad")(func)
    assert "bad" in caught.value.message
    assert caught.value.hint != InvalidJobType.hint


def test_an_async_function_is_a_job_and_gives_its_coroutine():
    async_job = job(coroutine)
    assert async_job.is_async and async_job.takes_context
    assert asyncio.run(async_job(None)) is None
    assert not hello.is_async


def test_a_wrapper_that_hands_a_coroutine_on_is_async_too():
    @functools.wraps(coroutine)
    def wrapper(*args, **kwargs):
        return coroutine(*args, **kwargs)

    assert job(wrapper).is_async


def test_text_annotations_are_resolved_one_by_one():
    namespace = {"__name__": "somewhere"}
    source = (
        "from __future__ import annotations\n"
        "from typing import Annotated\n"
        "from pydantic import Field\n"
        "def f(ctx: Context, day: Annotated[int, Field(ge=1)]) -> OnlyForTypeCheckers: ...\n"
    )
    exec(compile(source, "somewhere.py", "exec"), namespace)
    dated = job(namespace["f"])
    assert dated.arguments({"day": 1}) == {"day": 1}
    with pytest.raises(InvalidAttribs):
        dated.validate({"day": 0})


@pytest.mark.parametrize("name", ["", "a b", "x" * 101, "ü", "a/b", "a\n", 7])
def test_bad_names(name):
    with pytest.raises(InvalidJobType):
        JobType(name, lambda: None, JobOptions())


@pytest.mark.parametrize(
    "options",
    [
        {"queue": ""},
        {"queue": "a b"},
        {"queue": "q" * 65},
        {"queue": None},
        {"tries": 0},
        {"tries": True},
        {"tries": 1.5},
        {"tries": 2**31},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": math.nan},
        {"timeout": math.inf},
        {"timeout": "60"},
        {"backoff": [-1]},
        {"backoff": [math.inf]},
        {"backoff": ["1"]},
        {"backoff": 5},
        {"backoff": [10**400]},
        {"priority": 1001},
        {"priority": -1001},
        {"priority": 0.5},
        {"tags": "one"},
        {"tags": [1]},
        {"tags": [""]},
        {"tags": ["a\0"]},
        {"unique": "name"},
        {"unique": []},
        {"unique": [1]},
        {"unique": ["ctx"]},
        {"unique": None},
    ],
)
def test_options_out_of_bounds(options):
    with pytest.raises(InvalidJobType, match=f"'bad'.*{next(iter(options))}"):
        job("bad", **options)(lambda: None)


def test_with_options_gives_a_copy():
    other = hello.with_options(queue="slow", timeout=None, tags=["a"])
    assert (other.options.queue, other.options.timeout, other.options.tags) == ("slow", None, ("a",))
    assert other.options.tries == 3
    assert other.options.description == "Say hello."
    assert hello.options.queue == "default"
    assert other.func is hello.func
    with pytest.raises(InvalidJobType, match="did you mean 'queue'"):
        hello.with_options(queu="slow")
    with pytest.raises(InvalidJobType, match=r"'hello'.*tries"):
        hello.with_options(tries=0)


def test_unique_names_parameters():
    with pytest.raises(InvalidJobType, match="did you mean 'name'"):
        hello.with_options(unique=["nam"])
    assert hello.with_options(unique=["name"]).options.unique == ("name",)
    assert hello.unique_key('{"name":"Ada"}') is None


def test_a_unique_key_is_of_the_type_and_its_attribs_in_any_order():
    @job(unique=True)
    def sync(where: dict[str, int], note: str = "") -> None: ...

    key = sync.unique_key('{"where":{"a":1,"b":2},"note":""}')
    assert key == sync.unique_key('{"note":"","where":{"b":2,"a":1}}')
    assert re.fullmatch("sync:[0-9a-f]{64}", key)
    some = sync.with_options(unique=["where"])
    assert some.unique_key('{"where":{},"note":"a"}') == some.unique_key('{"where":{},"note":"b"}')
    assert (
        len({key, sync.unique_key('{"where":{},"note":""}'), some.unique_key('{"where":{},"note":""}')}) == 3
    )


SETS = """
import json, sys
from jobman_cli.core.jobtype import job

@job(unique=True)
def sync(tags: set[str], more: dict[str, list[frozenset[str]]], words: list[str]) -> None: ...

tags = ["alpha", "beta", "gamma", "delta", "epsilon"]
stored = sync.validate({"tags": tags, "more": {"a": [tags, ["x"]]}, "words": ["b", "a"]})
print(json.dumps(stored), sync.unique_key(json.dumps(stored)))
"""


def test_a_set_is_the_same_in_each_process():
    """Its own order is not: the seed of hashes is another in each."""
    said = {
        subprocess.run(
            [sys.executable, "-c", SETS], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout.decode()
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
    assert '["alpha", "beta", "delta", "epsilon", "gamma"]' in said.pop()


def test_an_args_section_is_read_or_left_alone():
    assert read_args_section("Say.\n\nArgs:\n    a: One: two.\n\n    b: B\n\nReturns:\n    c: no") == {
        "a": "One: two.",
        "b": "B",
    }
    assert read_args_section("No section.\n\n    a: example") == {}


# Validation, for a dispatch


def test_defaults_are_stored_and_values_are_plain():
    @job
    def mixed(
        day: dt.date,
        colour: Colour,
        home: Address,
        numbers: set[int],
        data: bytes,
        by_id: dict[int, str],
        wait: dt.timedelta = dt.timedelta(seconds=90),
    ): ...

    stored = mixed.validate(
        {
            "day": dt.date(2024, 2, 29),
            "colour": Colour.RED,
            "home": Address(street="x"),
            "numbers": {1},
            "data": b"abc",
            "by_id": {"7": "seven"},
        }
    )
    assert stored == {
        "day": "2024-02-29",
        "colour": "red",
        "home": {"street": "x", "number": 1},
        "numbers": [1],
        "data": "abc",
        "by_id": {"7": "seven"},
        "wait": "PT1M30S",
    }
    assert mixed.arguments(json.loads(json.dumps(stored))) == {
        "day": dt.date(2024, 2, 29),
        "colour": Colour.RED,
        "home": Address(street="x", number=1),
        "numbers": {1},
        "data": b"abc",
        "by_id": {7: "seven"},
        "wait": dt.timedelta(seconds=90),
    }


def test_every_field_at_fault_is_named():
    with pytest.raises(InvalidAttribs) as caught:
        hello.validate({"name": 3, "times": "x", "nmae": "Ada", "arg_name": "no"})
    message = caught.value.message
    assert "hello: nmae: no such parameter; did you mean 'name'?" in message
    assert "; name: Input should be a valid string" in message
    assert "; times: " in message
    assert "arg_name: no such parameter" in message
    assert "jobman types hello" in caught.value.hint


def test_a_missing_field_and_a_nested_place_are_named():
    @job
    def nested(homes: list[Address], count: int): ...

    with pytest.raises(InvalidAttribs, match=r"homes\[1\]\.number: .*; count: Field required"):
        nested.validate({"homes": [{"street": "a"}, {"street": "b", "number": "x"}]})


def test_values_are_not_shown_in_messages():
    with pytest.raises(InvalidAttribs) as caught:
        hello.validate({"times": "s3cret"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("attribs", [None, [], "x", 1])
def test_attribs_are_an_object(attribs):
    with pytest.raises(InvalidAttribs, match="must be an object"):
        hello.validate(attribs)


def test_a_job_without_parameters_takes_no_attribs():
    @job
    def nothing(ctx): ...

    assert nothing.validate({}) == {}
    assert nothing.arguments({"left": "over"}) == {}
    with pytest.raises(InvalidAttribs, match="ctx: no such parameter"):
        nothing.validate({"ctx": 1})


def nest(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


circle: list[Any] = []
circle.append(circle)


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": {"b": (v,)}}])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "finite"),
        (-math.inf, "finite"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        ({"\0": 1}, "NUL"),
        ({"\udfff": 1}, "surrogate|key"),
        ({1: 1}, "key 1"),
        ({None: 1}, "key None"),
        ({b"a": 1}, "key b'a'"),
        ({(1, 2): 1}, "key of type tuple"),
        ({10**5000: 1}, "more than 64 bits"),
        (2**63, "64 bits"),
        (-(2**63), "64 bits"),
        pytest.param(10**5000, "64 bits", id="huge"),
        (b"\xff", "value"),
        (Opaque(), "value"),
        (nest(MAX_DEPTH + 1), "levels"),
        (nest(100_000), "levels"),
        (circle, "levels"),
        ({math.inf}, "finite"),
        ([{"x": {"y": math.nan}}], "finite"),
    ],
)
def test_what_json_in_three_databases_cannot_hold(wrap, value, said):
    with pytest.raises(InvalidAttribs, match=f"anything: .*value.*({said})") as caught:
        anything.validate({"value": wrap(value)})
    caught.value.message.encode()


@pytest.mark.parametrize(
    "value",
    [MAX_INTEGER, -MAX_INTEGER, "héllo \U0001f600", nest(MAX_DEPTH - 1), {"": 1}, 1e308, True, None, {}],
)
def test_what_they_can_hold(value):
    assert anything.validate({"value": value}) == {"value": value}


def test_a_key_of_the_attribs_themselves_must_be_a_string():
    for key in (1, None, "\ud800", "a\0"):
        with pytest.raises(InvalidAttribs, match="key") as caught:
            anything.validate({key: 1})
        caught.value.message.encode()


def test_not_a_number_in_a_typed_field():
    @job
    def typed(x: float = 0, home: Annotated[Any, pydantic.Field()] = None): ...

    for value in (math.nan, "nan", "-inf"):
        with pytest.raises(InvalidAttribs, match="x: is not a finite number"):
            typed.validate({"x": value})


def test_what_could_not_be_read_back_is_refused():
    @job
    def strict(day: Annotated[dt.date, pydantic.Strict()]): ...

    with pytest.raises(InvalidAttribs, match=r"day: .*read back"):
        strict.validate({"day": dt.date(2024, 1, 1)})


def test_a_long_list_of_mistakes_is_cut():
    @job
    def many(numbers: list[int]): ...

    with pytest.raises(InvalidAttribs, match="and 980 more") as caught:
        many.validate({"numbers": ["x"] * 1000})
    assert len(caught.value.message) < 3000


def test_a_validator_that_breaks_is_a_refusal():
    def explode(value):
        raise KeyError("s3cret")

    @job
    def broken(x: Annotated[int, pydantic.AfterValidator(explode)]): ...

    with pytest.raises(InvalidAttribs, match="KeyError") as caught:
        broken.validate({"x": 1})
    assert "s3cret" not in caught.value.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_what_is_accepted_survives_json(value):
    try:
        stored = anything.validate({"value": value})
    except InvalidAttribs:
        assert find_unstorable({"value": value}) is not None
        return
    text = json.dumps(stored, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(text) == {"value": value}


# Arguments, for a call


def test_arguments_ignore_what_the_job_wrote_back():
    assert hello.arguments({"name": "Ada", "result": 7, "arg_times": 9}) == {"name": "Ada", "times": 1}


def test_arguments_that_no_longer_fit_are_refused():
    with pytest.raises(InvalidAttribs, match="hello: times: "):
        hello.arguments({"name": "Ada", "times": "many"})


def test_mutable_defaults_are_not_shared():
    @job
    def listed(items: list[int] = []): ...  # noqa: B006

    listed.arguments({})["items"].append(1)
    assert listed.arguments({}) == {"items": []}
    assert listed.validate({}) == {"items": []}


def test_an_interruption_inside_a_validator_is_not_called_invalid():
    class Timeout(Exception):
        pass

    def interrupted(value):
        raise Timeout

    @job
    def slow(x: Annotated[int, pydantic.AfterValidator(interrupted)]): ...

    with pytest.raises(Timeout):
        slow.arguments({"x": 1})


# The schema


def test_constraints_help_and_defaults_are_in_the_schema():
    @job("bounded")
    def bounded(count: Annotated[int, pydantic.Field(ge=1, le=9, description="How many.")], note: str = "n"):
        """Do.

        Args:
            count: Not this one.
            note: A note.
        """

    schema = bounded.json_schema()
    assert schema["title"] == "bounded"
    assert schema["required"] == ["count"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["count"] == {
        "description": "How many.",
        "maximum": 9,
        "minimum": 1,
        "title": "Count",
        "type": "integer",
    }
    assert schema["properties"]["note"]["default"] == "n"
    assert schema["properties"]["note"]["description"] == "A note."
    with pytest.raises(InvalidAttribs, match="count"):
        bounded.validate({"count": 10})


def test_an_alias_in_a_field_does_not_rename_the_parameter():
    @job
    def aliased(x: Annotated[int, pydantic.Field(alias="y", validation_alias="z")]): ...

    assert aliased.validate({"x": 1}) == {"x": 1}
    assert list(aliased.json_schema()["properties"]) == ["x"]


def opaque(good: int, thing: Opaque): ...
def misfit(thing: Annotated[str, pydantic.Field(pattern="(")]): ...
def wrong_default(thing: str = None): ...  # noqa: RUF013 - people write it
def nan_default(thing: float = math.nan): ...
def opaque_default(good: int, thing: Any = Opaque()): ...  # noqa: B008
def field_default(thing: str = pydantic.Field("x")): ...
def hidden_default(thing: Annotated[str, pydantic.Field(default="x")]): ...


@pytest.mark.parametrize(
    "func", [opaque, misfit, wrong_default, nan_default, opaque_default, field_default, hidden_default]
)
def test_signatures_that_prove_unusable_with_the_first_use(func):
    unusable = job("unusable")(func)
    for use in (unusable.check, unusable.json_schema, lambda: unusable.validate({"thing": 1})):
        with pytest.raises(InvalidJobType, match=r"'unusable'.*thing") as caught:
            use()
        assert caught.value.hint != InvalidJobType.hint


def test_a_type_without_a_json_schema_is_found_by_check():
    @job
    def called(x: Callable[[], int]): ...

    with pytest.raises(InvalidJobType, match="no JSON Schema") as caught:
        called.check()
    assert "\n" not in caught.value.message


# Cost


def test_importing_it_does_not_import_pydantic():
    code = (
        "import sys, jobman_cli, jobman_cli.core.jobtype as j\n"
        "t = j.job('x')(lambda ctx, a=1: None)\n"
        "assert 'pydantic' not in sys.modules\n"
        "t.validate({})\n"
        "assert 'pydantic' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_itself_imports_nothing():
    code = (
        "import sys; before = set(sys.modules); import jobman_cli\n"
        "new = set(sys.modules) - before - {'jobman_cli', '__future__'}\n"
        "assert not new, new\n"
        "from jobman_cli import Context, Fail, JobmanError, Retry, __version__, job\n"
        "assert 'pluggy' not in sys.modules and 'job' in dir(jobman_cli) and isinstance(__version__, str)\n"
        "from jobman_cli import hookimpl\n"
        "try: jobman_cli.nonsense\n"
        "except AttributeError: pass\n"
        "else: raise SystemExit('no AttributeError')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
