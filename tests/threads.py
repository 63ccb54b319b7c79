"""Threads for tests of what may hang."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any


class Threads:
    """A thread a call. One that never ends is left behind, and keeps no test run from its end."""

    def submit(self, call: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            future.set_running_or_notify_cancel()
            try:
                future.set_result(call(*arguments))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future
