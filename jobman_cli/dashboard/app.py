"""The ASGI application: its routes, and what stands in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from jobman_cli.app import Jobman
from jobman_cli.dashboard import access, actions, api, entrance, live
from jobman_cli.dashboard.actions import (  # noqa: F401  # they register what they can do
    jobs,
    queues,
    schedule,
    supervisors,
    tags,
)
from jobman_cli.dashboard.api.openapi import description
from jobman_cli.dashboard.desk import Desk
from jobman_cli.dashboard.pages import MENU, Item, missing, not_so, page_routes, plugins, trouble, types
from jobman_cli.errors import JobmanError

STATIC = Path(__file__).with_name("static")


def create_app(
    jobman: Jobman | None = None, *, read_only: bool | None = None, hosts: Sequence[str] = ()
) -> Starlette:
    """The dashboard as an ASGI application, to be served alone or mounted.

    Args:
        jobman: Whose jobs; None reads the configuration as the command line does.
        read_only: Nobody can do anything but look; None leaves it to the configuration.
        hosts: Names under which it may be reached, beside those of the configuration and this host's own.

    Raises:
        ConfigurationError: when the configuration is not valid.
    """
    jobman = jobman or Jobman.from_config()
    desk = Desk(jobman, read_only=read_only, hosts=hosts)
    routes: list[BaseRoute] = [
        Route("/healthz", health),
        *entrance.routes(),
        *page_routes(),
        *types.routes(),
        *actions.routes(),
        Route("/live", live.stream),
        *api.routes(),
        Route("/api/openapi.json", description),
        Mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static"),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(access.Guard, desk=desk)],
        exception_handlers={
            404: missing,
            HTTPException: not_so,
            JobmanError: trouble,
            access.BodyTooLong: access.too_long,
        },
        lifespan=_lifespan,
    )
    app.state.desk = desk
    app.state.live = live.Live(desk)
    app.state.plugin_pages = plugins.pages_of(jobman.registry, jobman)
    brought = [Item(path, plugins.one, each["title"]) for path, each in app.state.plugin_pages.items()]
    app.state.menu = (*MENU, *brought)
    return app


def health(request: Request) -> Response:
    """For load balancers: 200 while the database answers, 503 otherwise."""
    try:
        request.app.state.desk.now()
    except JobmanError:
        return PlainTextResponse(
            "the database cannot be used\n", 503
        )  # anybody may ask: no address, no reason
    return PlainTextResponse("ok\n")


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.desk.close()
