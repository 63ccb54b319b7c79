"""Tells open pages that something has changed; they fetch themselves anew.

One poller for the whole process asks the database once a second, as long as somebody listens, and only for
the topics that are listened to. What is sent is a topic's name, never data: a page is made in one place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from jobman_cli.dashboard.desk import Desk
from jobman_cli.dashboard.languages import spoken
from jobman_cli.errors import JobmanError
from jobman_cli.operations.pulse import check_topic, pulse

logger = logging.getLogger("jobman.dashboard")

#: Seconds between two looks at the database.
EVERY = 1.0
#: Seconds without a change after which something is sent: a listener that is gone, and a proxy, notice.
ALIVE = 15.0
#: Listeners at once, and topics of each.
MOST, TOPICS = 100, 10
#: Seconds after which a listener that found no room may ask again.
LATER = 30


@dataclass(eq=False, slots=True)
class Listener:
    """One open page.

    Attributes:
        changed: What it has not been told yet.
        woken: Set when there is something, or when all is over.
    """

    topics: frozenset[str]
    changed: set[str] = field(default_factory=set)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """All listeners, and the poller that works while there are any. Belongs to one event loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._listeners: set[Listener] = set()
        self._poller: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """True when nobody else can listen."""
        return len(self._listeners) >= MOST

    async def listen(self, request: Request, topics: frozenset[str]) -> AsyncIterator[str]:
        """The stream of one listener, until it is gone or all is over."""
        listener = Listener(topics)
        self._listeners.add(listener)
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            yield ": listening\n\n"
            quiet = 0.0
            while listener in self._listeners:
                try:
                    await asyncio.wait_for(listener.woken.wait(), EVERY)
                except TimeoutError:
                    quiet += EVERY
                if await request.is_disconnected():
                    return
                listener.woken.clear()
                if listener.changed:
                    names, quiet = " ".join(sorted(listener.changed)), 0.0
                    listener.changed.clear()
                    yield f"event: changed\ndata: {names}\n\n"
                elif quiet >= ALIVE:
                    quiet = 0.0
                    yield ": nothing new\n\n"
        finally:
            self._listeners.discard(listener)

    def end(self) -> None:
        """End all streams: the process is about to end."""
        listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener.woken.set()

    async def _poll(self) -> None:
        """Look, compare, tell; while the database is away, nothing is said to have changed."""
        known: dict[str, object] = {}
        try:
            while self._listeners:
                topics = frozenset().union(*(each.topics for each in self._listeners))
                try:
                    signs = await run_in_threadpool(pulse, self._desk.records, topics)
                except JobmanError as error:
                    logger.debug("nothing is known of changes: %s", error)
                else:
                    self._tell({name for name, sign in signs.items() if sign != known.get(name, sign)})
                    known = signs
                await asyncio.sleep(EVERY)
        finally:
            self._poller = None
            self.end()  # if something unexpected ended it, pages ask anew

    def _tell(self, changed: set[str]) -> None:
        for listener in self._listeners:
            if news := listener.topics & changed:
                listener.changed |= news
                listener.woken.set()


async def stream(request: Request) -> Response:
    """GET /live?topic=…: server-sent events, each ``changed`` with the topics' names.

    Raises:
        UnknownTopic: for a topic that there is not.
    """
    live: Live = request.app.state.live
    topics = frozenset(check_topic(topic) for topic in request.query_params.getlist("topic")[:TOPICS])
    if not topics:
        check_topic("")
    if live.is_full:
        headers = {"Retry-After": str(LATER)}
        return PlainTextResponse(f"{spoken(request, f'{MOST} pages are open already')}\n", 503, headers)
    # nginx would collect what is sent until there is enough of it.
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(live.listen(request, topics), media_type="text/event-stream", headers=headers)
