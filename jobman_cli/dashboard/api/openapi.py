"""The API's description, in OpenAPI 3.1, made of the table of endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from jobman_cli import __version__
from jobman_cli.dashboard.answers import Json
from jobman_cli.dashboard.api import shapes
from jobman_cli.dashboard.api.table import ENDPOINTS, ROOT, Endpoint

_REFERENCE = "#/components/schemas/{model}"

#: What any endpoint may answer instead, beside what it names itself.
ALWAYS = {
    400: "The request is at fault.",
    401: "A credential is needed.",
    503: "The database or the queue is away.",
}
OTHERS = {
    403: "The credential may only look, or the request comes from another site.",
    404: "There is no such thing.",
    409: "The state that it is in does not allow it.",
    413: "The request is too large.",
}


def description(request: Request) -> Response:
    """The document, with the address under which the API is reached."""
    server = {"url": request.scope.get("root_path", "") or "/"}
    return Json({**document(), "servers": [server]})


@cache
def document() -> dict[str, Any]:
    """The document, but for the servers."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(ROOT + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobman",
            "version": __version__,
            "description": "What the dashboard knows and can do. The keys are those of `--json`.",
        },
        "paths": paths,
        "security": [{"token": []}, {"basic": []}],
        "components": {
            "schemas": _components(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    summary, _, more = (endpoint.function.__doc__ or "").strip().partition("\n")
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": summary,
        "parameters": list(_parameters(endpoint)),
        "responses": {
            str(endpoint.status): _answer("What was asked for.", _schema(endpoint.answer)),
            **{str(status): _answer(text, _named(shapes.Error)) for status, text in _refusals(endpoint)},
        },
    }
    if more.strip():
        operation["description"] = " ".join(more.split())
    if endpoint.body is not None:
        content = {"application/json": {"schema": _named(endpoint.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _refusals(endpoint: Endpoint) -> Iterable[tuple[int, str]]:
    known = ALWAYS | OTHERS
    writes = (403, 413) if endpoint.action is not None else ()
    return ((status, known[status]) for status in sorted({*ALWAYS, *endpoint.refusals, *writes}))


def _parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    described = endpoint.asked.model_json_schema(ref_template=_REFERENCE)
    for name, schema in described.get("properties", {}).items():
        inside = name in endpoint.in_path
        shown = {
            key: value for key, value in _without_null(schema).items() if key not in ("title", "default")
        }
        text = schema.get("description")
        shown.pop("description", None)
        parameter = {"name": name, "in": "path" if inside else "query", "required": inside, "schema": shown}
        yield {**parameter, "description": text} if text else parameter


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An address cannot say null: it leaves the parameter out."""
    some = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest, **some[0]} if len(some) == 1 else schema


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _schema(kind: Any) -> dict[str, Any]:
    if get_origin(kind) is list:
        return {"type": "array", "items": _schema(get_args(kind)[0])}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _named(kind)
    return {"anyOf": [_schema(each) for each in get_args(kind)]}


def _named(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _models(kind: Any) -> Iterable[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for each in get_args(kind):
        yield from _models(each)


def _components() -> dict[str, Any]:
    answers = {model for endpoint in ENDPOINTS for model in _models(endpoint.answer)} | {shapes.Error}
    bodies = {endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None}
    wanted = [*((model, "serialization") for model in answers), *((model, "validation") for model in bodies)]
    _, schema = models_json_schema(sorted(wanted, key=lambda each: each[0].__name__), ref_template=_REFERENCE)  # type: ignore[arg-type]
    known: dict[str, Any] = schema["$defs"]
    return known
