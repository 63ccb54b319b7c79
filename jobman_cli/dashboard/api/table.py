"""The table of endpoints, and the way from a request to an answer.

An endpoint is a function of the desk, of what the address asks, and, for some POSTs, of the body. Both are
checked by pydantic before it is called; a ``JobmanError`` that it raises is answered by ``pages.trouble``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobman_cli.core.values import read_object
from jobman_cli.dashboard.actions import Done, perform
from jobman_cli.dashboard.answers import Json
from jobman_cli.dashboard.desk import Desk
from jobman_cli.errors import UsageError

ROOT = "/api"
#: Of a body, what the audit does not keep: the row has it.
UNTOLD = {"attribs"}

Function = TypeVar("Function", bound=Callable[..., Any])


class Asked(BaseModel):
    """What an address asks: the parts of its path, and its parameters. Others are refused."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Asked):
    """No questions, or an empty body."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look came to.

    Attributes:
        value: What is answered.
        before: Where the next page begins; None for the last one, or for what has no pages.
    """

    value: Any
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Acted:
    """What a deed came to.

    Attributes:
        value: What is answered.
        message: For the audit.
        number: How many rows it touched.
    """

    value: Any
    message: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one address.

    Attributes:
        path: Below ``/api``, as Starlette writes it.
        asked: What the address may ask.
        body: What the body may say; None when there is none.
        answer: What is answered: a model, or a list of one.
        action: Its name in the audit; None for a look.
        refusals: The statuses of errors that the request itself can be at fault for, beside 400.
    """

    method: str
    path: str
    function: Callable[..., Any]
    answer: Any
    asked: type[Asked] = Nothing
    body: type[BaseModel] | None = None
    status: int = 200
    action: str | None = None
    refusals: tuple[int, ...] = ()
    in_path: frozenset[str] = field(default=frozenset())

    @property
    def name(self) -> str:
        """Its name in the description: ``looks.jobs``, ``deeds.retry``."""
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__}"


ENDPOINTS: list[Endpoint] = []


def endpoint(method: str, path: str, answer: Any, **options: Any) -> Callable[[Function], Function]:
    """Put a function into the table."""

    def register(function: Function) -> Function:
        in_path = frozenset(re.findall(r"{(\w+)", path))
        ENDPOINTS.append(Endpoint(method, path, function, answer, in_path=in_path, **options))
        return function

    return register


def routes() -> list[Route]:
    """A route for each endpoint."""
    return [Route(ROOT + each.path, _handler(each), methods=[each.method]) for each in ENDPOINTS]


def _handler(endpoint: Endpoint) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        body = await request.body() if endpoint.method == "POST" else b""
        return await run_in_threadpool(_answer, endpoint, request, body)

    return handle


def _answer(endpoint: Endpoint, request: Request, body: bytes) -> Response:
    desk: Desk = request.app.state.desk
    asked = _asked(endpoint, request)
    if endpoint.action is None:
        found = endpoint.function(desk, asked)
        answer = Json(found.value, endpoint.status)
        if found.before is not None:
            url = request.url.include_query_params(before=found.before)
            answer.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return answer
    said = _said(endpoint, request, body)
    given = {**asked.model_dump(mode="json"), **said.model_dump(mode="json", exclude=UNTOLD)}
    details = {name: value for name, value in given.items() if value is not None}
    value: Any = None

    def act() -> Done:
        nonlocal value
        acted = endpoint.function(desk, asked, *([said] if endpoint.body is not None else []))
        value = acted.value
        return Done(acted.message, acted.number)

    perform(request, endpoint.action, details, act)
    return Json(value, endpoint.status)


def _asked(endpoint: Endpoint, request: Request) -> Asked:
    """The address, checked.

    Raises:
        UsageError: naming each parameter that is wrong.
    """
    given: dict[str, Any] = dict(request.path_params)
    for name in request.query_params:
        values = request.query_params.getlist(name)
        described = endpoint.asked.model_fields.get(name)
        if name in endpoint.in_path or (len(values) > 1 and not _is_list(described)):
            raise UsageError(f"{name[:40]!r} is given twice", hint="Give it once.")
        given[name] = values if _is_list(described) else values[0]
    return _checked(endpoint.asked, given, "There is a description at /api/openapi.json.")


def _said(endpoint: Endpoint, request: Request, body: bytes) -> BaseModel:
    """The body, checked.

    Raises:
        UsageError: when it is no JSON object, or not one that is wanted here.
    """
    if endpoint.body is None and not body.strip():
        return Nothing()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UsageError(
            "the body must be JSON, and say so", hint="Send it with `Content-Type: application/json`."
        )
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise UsageError("the body is not UTF-8", hint="Send JSON in UTF-8.") from None
    model = endpoint.body or Nothing
    return _checked(model, read_object(text, "the body"), "There is a description at /api/openapi.json.")


Model = TypeVar("Model", bound=BaseModel)


def _checked(model: type[Model], given: Mapping[str, Any], hint: str) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(
            f"{'.'.join(str(part)[:40] for part in fault['loc'])!a}: {fault['msg']}" for fault in faults[:10]
        )
        raise UsageError(said, hint=hint) from None


def _is_list(described: Any) -> bool:
    return described is not None and get_origin(described.annotation) is list
