"""What can be done: each action is one POST to the operation that the command line uses, and is audited.

An action that touches many asks first: its question is a page of its own, which says the number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from jobman_cli.dashboard.desk import Desk
from jobman_cli.dashboard.entrance import form_of, said
from jobman_cli.dashboard.languages import spoken
from jobman_cli.dashboard.view import inside, render
from jobman_cli.errors import JobmanError, UsageError
from jobman_cli.operations.redact import redact

#: What a form may say beside the action's own fields.
OWN = ("back",)


@dataclass(frozen=True, slots=True)
class Done:
    """What an action came to.

    Attributes:
        message: For the person, in one line.
        number: How many rows it touched.
        to: The page to go to; None goes back to where it was asked for.
    """

    message: str
    number: int = 0
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What an action would touch, to be confirmed.

    Attributes:
        text: What would happen, with the number.
        button: What the button says.
        first: The lowest ids.
        fields: What the form sends on.
    """

    text: str
    button: str
    number: int
    first: list[int] = field(default_factory=list)
    fields: Mapping[str, str] = field(default_factory=dict)


Fields = Mapping[str, str]
Action = Callable[[Desk, Fields], Done]
Ask = Callable[[Desk, Fields], Question]

ACTIONS: dict[str, Action] = {}
QUESTIONS: dict[str, Ask] = {}


def action(name: str) -> Callable[[Action], Action]:
    """Make a function the action of that name."""

    def register(function: Action) -> Action:
        ACTIONS[name] = function
        return function

    return register


def question(name: str) -> Callable[[Ask], Ask]:
    """Make a function the question before the action of that name."""

    def register(function: Ask) -> Ask:
        QUESTIONS[name] = function
        return function

    return register


def routes() -> list[Route]:
    """The actions and their questions."""
    return [
        Route("/actions/{name}", act, methods=["POST"]),
        Route("/confirm/{name}", confirm, methods=["GET"]),
    ]


async def act(request: Request) -> Response:
    """Run an action, write it down, and go back with what came of it."""
    form = await form_of(request)
    name = request.path_params["name"]
    function = ACTIONS.get(name)
    if function is None:
        raise UsageError(f"there is no action {name!r}", hint="Go back, and use the page's own buttons.")
    message, to = await run_in_threadpool(_run, request, name, function, form)
    answer = RedirectResponse(inside(request, to or form.get("back", "/")), 303)
    return said(request, answer, spoken(request, *message), bad=len(message) > 1)


def _run(request: Request, name: str, function: Action, form: Fields) -> tuple[tuple[str, ...], str | None]:
    """What is said (of an error what to do, too), and the page to go to."""
    details = {key: value for key, value in form.items() if key not in OWN}
    try:
        done = perform(request, name, details, lambda: function(request.app.state.desk, form))
    except JobmanError as error:
        return (error.message, error.hint), None
    return (done.message,), done.to


def perform(request: Request, name: str, details: Mapping[str, Any], function: Callable[[], Done]) -> Done:
    """Do something, and write down who did it and what came of it.

    Args:
        details: What it was asked for; masked and bounded before it is written.

    Raises:
        JobmanError: what the function raises, once it is written down.
    """
    desk: Desk = request.app.state.desk
    who = (request.state.visitor, request.client.host if request.client else "", name)
    shown = redact(dict(details), desk.jobman.settings.redact)
    try:
        done = function()
    except JobmanError as error:
        desk.audit(*who, details=shown, outcome="refused", message=error.message)
        raise
    desk.audit(*who, details=shown, number=done.number, message=done.message)
    return done


def confirm(request: Request) -> Response:
    """Say what an action would touch, and ask."""
    name = request.path_params["name"]
    ask = QUESTIONS.get(name)
    if ask is None:
        raise UsageError(f"there is no question {name!r}", hint="Go back, and use the page's own buttons.")
    fields = dict(request.query_params)
    asked = ask(request.app.state.desk, fields)
    back = fields.get("back", "/")
    return render(request, "confirm.html", asked=asked, name=name, back=back, way_back=inside(request, back))
