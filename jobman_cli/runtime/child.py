"""A process of the master's: it is started, watched, and started anew when it dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from jobman_cli.errors import EXIT_CONFIG, EXIT_USAGE

logger = logging.getLogger("jobman.master")

#: Seconds before a dead process is started again: at first, at the most; back to the first after a
#: life of ``SETTLED`` seconds.
FIRST_DELAY, LAST_DELAY, SETTLED = 1.0, 60.0, 60.0
#: What systemd gave the master is not for its children.
_OF_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(slots=True)
class Child:
    """One process, and those that take its place.

    Attributes:
        name: What logs call it.
        since: When its process was started, by ``time.monotonic``.
        due: When it is to be started; None while it runs, or when it has ended for good.
        dead: Pids that died without a word, until somebody takes them down.
    """

    name: str
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    due: float | None = 0.0
    delay: float = FIRST_DELAY
    dead: list[int] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """True when it has ended and is not to be started again."""
        return self.process is None and self.due is None

    @property
    def is_alive(self) -> bool:
        """True while its process runs."""
        return self.process is not None and self.process.poll() is None

    def keep(self, command: Callable[[], list[str]]) -> int:
        """Start it when it is due; bury it when it has ended.

        One that ended well was told to; one that cannot run at all (bad configuration, bad usage)
        would not the next time.

        Args:
            command: Its command line.

        Returns:
            The exit code of one that cannot run at all, now that it has ended; else 0.
        """
        now = time.monotonic()
        if self.process is None:
            if self.due is not None and now >= self.due:
                environment = {name: value for name, value in os.environ.items() if name not in _OF_SYSTEMD}
                # In a group of its own: a Ctrl-C in the terminal is the master's to answer.
                self.process = subprocess.Popen(command(), env=environment, process_group=0)  # noqa: S603
                self.since, self.due = now, None
            return 0
        code = self.process.poll()
        if code is None:
            return 0
        pid, self.process = self.process.pid, None
        if code in (0, EXIT_CONFIG, EXIT_USAGE):
            level = logging.ERROR if code else logging.INFO
            logger.log(level, "%s has ended for good (exit %d)", self.name, code)
            return code
        self.dead.append(pid)
        if now - self.since >= SETTLED:
            self.delay = FIRST_DELAY
        how = f"signal {-code}" if code < 0 else f"exit {code}"
        logger.warning("%s died (%s); started again in %g s", self.name, how, self.delay)
        self.due = now + self.delay
        self.delay = min(self.delay * 2, LAST_DELAY)
        return 0

    def renew(self) -> None:
        """Start anew at once."""
        self.process, self.due, self.delay = None, 0.0, FIRST_DELAY

    def send(self, signum: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.is_alive:
            with suppress(OSError):
                self.process.send_signal(signum)
