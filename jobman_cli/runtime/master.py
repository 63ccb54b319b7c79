"""The master: one process on a host that runs a supervisor for each block of the configuration.

It is no worker and loads no plugin: it starts supervisors as processes of their own, starts those anew
that die, after a delay that grows, and passes signals and commands on. When it dies, they end gracefully.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobman_cli.errors import EXIT_CONFIG, EXIT_INTERRUPTED, EXIT_USAGE, JobmanError, UsageError
from jobman_cli.operations.parts import Records
from jobman_cli.runtime import notify
from jobman_cli.runtime.identity import identify, new_uuid
from jobman_cli.settings.blocks import Block
from jobman_cli.store.lifecycle.supervisors import (
    Charge,
    Orders,
    acknowledge,
    command_supervisors,
    list_supervisors,
    register_supervisor,
    report,
    stop_supervisor,
)

logger = logging.getLogger("jobman.master")

TICK, EVERY = 0.2, 1.0
#: Seconds before a dead supervisor is started again: at first, at the most; back to the first after a
#: life of ``SETTLED`` seconds.
FIRST_DELAY, LAST_DELAY, SETTLED = 1.0, 60.0, 60.0
_PR_SET_PDEATHSIG = 1


class AlreadyRunning(UsageError):
    """A master of this name runs on this host already."""

    hint = "See `jobman list`; `jobman terminate` ends it. Another --name runs a second one."


@dataclass(slots=True)
class Post:
    """One supervisor's place.

    Attributes:
        since: When its process was started, by ``time.monotonic``.
        due: When it is to be started; None when it has ended for good.
    """

    block: Block
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    due: float | None = 0.0
    delay: float = FIRST_DELAY


class Master:
    """Runs supervisors.

    Args:
        records: Settings and database.
        blocks: What to run.
        name: Two masters of one name on a host are one too many.
        command: The command line of the supervisor of a block, given its name and the master's uuid.
    """

    def __init__(
        self,
        records: Records,
        blocks: Sequence[Block],
        name: str,
        environment: str | None,
        command: Callable[[str, str], list[str]],
    ) -> None:
        self._settings, self._database = records.settings, records.database.without_pool()
        self._uuid, self._name, self._environment, self._command = new_uuid(), name, environment, command
        self._posts = [Post(block) for block in blocks]
        self._state, self._next = "running", 0.0
        self._signals: list[int] = []
        self._code = 0

    def run(self) -> int:
        """Until told to end, or until every supervisor has ended for good.

        Returns:
            The exit code: 0, 130 after a second Ctrl-C, or that of supervisors that cannot run at all.

        Raises:
            AlreadyRunning: when there is one of this name on this host.
            StoreUnavailable: when the database is away at the start.
        """
        with _only_one(self._settings.database, self._name):
            queues = tuple(dict.fromkeys(queue for post in self._posts for queue in post.block.queues))
            charge = Charge("master", self._name, "off", None, self._environment)
            self._database.run(register_supervisor, identify(self._uuid, self._uuid, queues), charge)
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, lambda signum, _frame: self._signals.append(signum))
            notify.ready()
            try:
                self._watch()
            finally:
                notify.stopping()
                self._end_all()
                with suppress(JobmanError):
                    self._database.run(stop_supervisor, self._uuid)
        return self._code

    def _watch(self) -> None:
        logger.info("master %s runs %d supervisor(s)", self._name, len(self._posts))
        while any(post.due is not None or post.process is not None for post in self._posts):
            for post in self._posts:
                self._keep(post)
            if self._report() or self._answer_signals():
                return
            notify.watchdog()
            time.sleep(TICK)

    def _keep(self, post: Post) -> None:
        """Start a supervisor that is due; bury one that has ended."""
        now = time.monotonic()
        if post.process is None:
            if post.due is not None and now >= post.due:
                post.process = subprocess.Popen(  # noqa: S603 - our own command
                    self._command(post.block.name, self._uuid), preexec_fn=_end_with_parent
                )
                post.since, post.due = now, None
            return
        code = post.process.poll()
        if code is None:
            return
        post.process = None
        if code in (0, EXIT_CONFIG, EXIT_USAGE):
            logger.info("supervisor %s has ended (exit %d)", post.block.name, code)
            self._code = self._code or code
            return
        if now - post.since >= SETTLED:
            post.delay = FIRST_DELAY
        logger.warning("supervisor %s died (%d); started again in %g s", post.block.name, code, post.delay)
        post.due = now + post.delay
        post.delay = min(post.delay * 2, LAST_DELAY)

    def _report(self) -> bool:
        """Give a sign of life when it is time; True when told to end."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + EVERY
        pools = {post.block.name: int(post.process is not None) for post in self._posts}
        try:
            orders: Orders = self._database.run(report, self._uuid, self._state, pools)
            if orders.command in ("pause", "continue"):
                self._state = "paused" if orders.command == "pause" else "running"
                self._database.run(_pass_on, self._uuid, orders.command, self._state, self._settings.lease)
        except JobmanError as error:
            logger.debug("no report: %s", error)
            return False
        return orders.command == "terminate"

    def _answer_signals(self) -> bool:
        """TERM and INT end everything; HUP ends the supervisors, which are started again."""
        if not self._signals:
            return False
        if self._signals.pop(0) != signal.SIGHUP:
            return True
        logger.info("starting all supervisors anew")
        self._end_all()
        for post in self._posts:
            post.process, post.due, post.delay = None, 0.0, FIRST_DELAY
        return False

    def _end_all(self) -> None:
        """TERM to each, and as long as they may take; a second Ctrl-C is passed on."""
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.shutdown_timeout + 5
        self._signals.clear()
        while any(post.process and post.process.poll() is None for post in self._posts):
            if signal.SIGINT in self._signals:
                self._signals.clear()
                self._code = EXIT_INTERRUPTED
                self._signal_all(signal.SIGINT)
                self._signal_all(signal.SIGINT)
            if time.monotonic() >= deadline:
                self._signal_all(signal.SIGKILL)
            time.sleep(TICK)

    def _signal_all(self, signum: int) -> None:
        for post in self._posts:
            if post.process is not None and post.process.poll() is None:
                with suppress(OSError):
                    post.process.send_signal(signum)


def default_name() -> str:
    """A master's name when none is given: the host's."""
    return socket.gethostname()[:100]


def supervisor_command(config: Path | None, environment: str | None) -> Callable[[str, str], list[str]]:
    """How a master starts the supervisor of a block.

    Args:
        config: The file that the master has read; the supervisor reads the same.
    """

    def command(block: str, master: str) -> list[str]:
        given = ["--config", str(config)] if config else []
        which = ["--environment", environment] if environment else []
        return [sys.executable, "-m", "jobman_cli", *given, "supervisor", block, "--master", master, *which]

    return command


def _pass_on(connection: Any, dialect: Any, uuid: str, command: str, state: str, lease: float) -> None:
    """A command for the master is one for its supervisors; then it is answered."""
    mine = [row.uuid for row, _ in list_supervisors(connection, dialect, lease) if row.master == uuid]
    if mine:
        command_supervisors(connection, dialect, mine, command)
    report(connection, dialect, uuid, state, None)
    acknowledge(connection, dialect, uuid, command)


def _end_with_parent() -> None:
    """In a new supervisor: ask the kernel for TERM when the master dies, and leave Ctrl-C to it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.setpgrp()


@contextmanager
def _only_one(database: str, name: str) -> Iterator[None]:
    """Hold the lock of a master's name, for this host, user and database.

    Raises:
        AlreadyRunning: when another holds it.
    """
    key = hashlib.sha256(f"{database}\n{name}".encode()).hexdigest()[:16]
    directory = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    path = directory / f"jobman-{os.getuid()}-{key}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise AlreadyRunning(f"a master named {name!r} runs on this host already") from error
    try:
        yield
    finally:
        os.close(descriptor)
