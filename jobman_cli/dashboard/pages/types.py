"""The job types, what each takes, and the form that makes a new job of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from jobman_cli.core.jobtype import JobType
from jobman_cli.core.values import read_duration
from jobman_cli.dashboard import forms
from jobman_cli.dashboard.actions import Done, perform
from jobman_cli.dashboard.answers import NotHere
from jobman_cli.dashboard.entrance import form_of, said
from jobman_cli.dashboard.languages import spoken
from jobman_cli.dashboard.view import render, url
from jobman_cli.errors import InvalidJobType, InvalidOption, UnknownJobType, UsageError
from jobman_cli.operations.dispatch import dispatch_once
from jobman_cli.operations.objects.registered import type_object
from jobman_cli.operations.request import Options

#: The fields of the form beside the attribs.
OPTIONS = ("queue", "priority", "delay", "tags")


def page(request: Request) -> Response:
    """All of them."""
    known = request.app.state.desk.jobman.registry.types
    return render(request, "types.html", types=[known[name] for name in sorted(known)])


def one(request: Request) -> Response:
    """One, with its form."""
    return _show(request, _find(request))


def routes() -> list[Route]:
    """Where the form is sent."""
    return [Route("/types/{name}", send, methods=["POST"])]


async def send(request: Request) -> Response:
    """Dispatch what the form says; show it again, with what was typed, when something is wrong."""
    typed = await form_of(request)
    return await run_in_threadpool(_send, request, typed)


def _send(request: Request, typed: Mapping[str, str]) -> Response:
    job_type, desk = _find(request), request.app.state.desk
    fields = forms.fields_of(job_type.json_schema(), desk.jobman.settings.redact)
    attribs, wrong = forms.read(fields, typed)
    made: list[int] = []

    def act() -> Done:
        job, written = dispatch_once(desk.parts, job_type.name, attribs, _options(typed))
        made.append(int(job.id or 0))
        if not written:
            return Done(f"Job {job.id} ({job.type}) is there already, by its unique key.")
        return Done(f"Job {job.id} ({job.type}) is dispatched.", 1)

    if wrong:
        return _show(request, job_type, typed, wrong)
    details = {"type": job_type.name} | {name: typed[name] for name in OPTIONS if typed.get(name)}
    try:
        done = perform(request, "dispatch", details, act)
    except UsageError as error:
        names = [*OPTIONS, *(field.name for field in fields)]
        wrong, rest = forms.faults_by_field(error, names)
        return _show(request, job_type, typed, wrong, rest)
    return said(
        request, RedirectResponse(url(request, f"/jobs/{made[0]}"), 303), spoken(request, done.message)
    )


def _options(typed: Mapping[str, str]) -> Options:
    """What the form says beside the attribs.

    Raises:
        InvalidOption: its message begins with the field's name.
    """
    text = {name: typed.get(name, "").strip() for name in OPTIONS}
    try:
        priority = int(text["priority"]) if text["priority"] else None
    except ValueError:
        raise InvalidOption("priority: this is no whole number", hint="Use -1000 to 1000.") from None
    return Options(
        queue=text["queue"] or None,
        priority=priority,
        delay=read_duration(text["delay"] or None, "delay"),
        tags=[tag.strip() for tag in text["tags"].split(",") if tag.strip()] or None,
    )


def _find(request: Request) -> JobType:
    registry = request.app.state.desk.jobman.registry
    try:
        found: JobType = registry.find(request.path_params["name"])
    except UnknownJobType as error:
        raise NotHere(error.message, hint=error.hint) from None
    return found


def _show(
    request: Request,
    job_type: JobType,
    typed: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
    rest: list[str] | None = None,
) -> Response:
    context: dict[str, Any] = {"schema": None, "fields": [], "fault_of_type": None}
    try:
        context["schema"] = job_type.json_schema()
        context["fields"] = forms.fields_of(context["schema"], request.app.state.desk.jobman.settings.redact)
    except InvalidJobType as error:
        context["fault_of_type"] = spoken(request, error.message, error.hint)
    shown = type_object(job_type)
    answer = render(
        request,
        "type.html",
        **context,
        job_type=job_type,
        doc=job_type.doc.partition("\nArgs:")[0].strip(),
        options={
            name: shown[name]
            for name in ("queue", "tries", "timeout", "backoff", "priority", "tags", "unique", "origin")
        },
        typed=typed,
        wrong=wrong or {},
        rest=rest or [],
    )
    if wrong or rest:
        answer.status_code = 400
    return answer
