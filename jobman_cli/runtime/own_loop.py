"""Await a job's function, in an event loop that a worker keeps for its ``async def`` jobs, one at a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from jobman_cli.engine.instance import TaskTimeout


async def within(function: Callable[..., Any], seconds: float | None, /, **arguments: Any) -> Any:
    """Call it and await what it gives.

    Args:
        seconds: How long it may take; None is without limit.

    Raises:
        TaskTimeout: when it was cancelled because its time was up, with the frames where it then stood.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            value = function(**arguments)
            return await value if inspect.isawaitable(value) else value
    except TimeoutError as error:
        if not limit.expired() or error.__cause__ is None or seconds is None:
            raise  # the job's own
        timeout = TaskTimeout(f"timeout ({seconds:g} s)")
        raise timeout.with_traceback(error.__cause__.__traceback__) from None


class OwnLoop:
    """An event loop, made when it is first needed. What a job leaves running in it is cancelled at its end.

    Args:
        ended: Called in the loop as soon as a job's function has ended.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._runner: asyncio.Runner | None = None

    def run(self, function: Callable[..., Any], seconds: float | None, /, **arguments: Any) -> Any:
        """Run it to its end; see ``within``."""
        self._runner = self._runner or asyncio.Runner()
        try:
            value = self._runner.run(self._to_its_end(function, seconds, arguments))
        except BaseException:  # an interrupt leaves the loop in the middle of something
            self.close()
            raise
        if asyncio.all_tasks(self._runner.get_loop()):
            self.close()
        return value

    async def _to_its_end(
        self, function: Callable[..., Any], seconds: float | None, arguments: dict[str, Any]
    ) -> Any:
        try:
            return await within(function, seconds, **arguments)
        finally:
            self._ended()

    def close(self) -> None:
        """Cancel what still runs in it, and close it."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
