"""Tell systemd how this process is: sd_notify(3), in the few lines that it takes.

Without ``NOTIFY_SOCKET`` in the environment, which a unit of ``Type=notify`` sets, nothing happens. A message
that cannot be sent is not worth failing for: systemd has timeouts of its own.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_last_watchdog = float("-inf")


def ready() -> None:
    """It has started."""
    _tell("READY=1")


def stopping() -> None:
    """It is about to end, which may take as long as its jobs do."""
    _tell("STOPPING=1")


def watchdog() -> None:
    """It lives. To be called often: it sends no more than systemd asked for (``WatchdogSec``)."""
    global _last_watchdog
    asked = os.environ.get("WATCHDOG_USEC", "")
    if not asked.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    now = time.monotonic()
    if now - _last_watchdog >= int(asked) / 1_000_000 / 3:
        _last_watchdog = now
        _tell("WATCHDOG=1")


def _tell(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):  # a name of the kernel's, not of a file
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
        end.setblocking(False)
        end.sendto(message.encode(), address)
