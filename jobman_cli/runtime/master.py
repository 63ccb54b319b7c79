"""The master: one process on a host that runs a supervisor for each block of the configuration.

It is no worker and loads no plugin: it starts supervisors (and the dashboard, if asked to) as processes of
their own, starts those anew that die, after a delay that grows, and passes signals and commands on. When it
dies, they end gracefully.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from jobman_cli.errors import EXIT_INTERRUPTED, ConfigurationError, JobmanError, UsageError
from jobman_cli.operations.parts import Records
from jobman_cli.runtime import notify
from jobman_cli.runtime.child import Child
from jobman_cli.runtime.guard import Overdue, guarded
from jobman_cli.runtime.identity import identify, new_uuid
from jobman_cli.runtime.post import Post
from jobman_cli.settings.blocks import Block
from jobman_cli.store.lifecycle.supervisors import (
    Charge,
    Orders,
    Subject,
    acknowledge,
    bury_supervisors,
    command_supervisors,
    register_supervisor,
    report,
    stop_supervisor,
    supervisors_of,
)

logger = logging.getLogger("jobman.master")

#: Seconds between two looks at the supervisors, between two signs of life, and for one answer.
TICK, EVERY, ANSWER = 0.2, 1.0, 2.0

#: The command line of a supervisor: given its block's name, the master's uuid, and whether it begins paused.
Command = Callable[[str, str, bool], list[str]]


class AlreadyRunning(UsageError):
    """A master of this name runs on this host already."""

    hint = "See `jobman list`; `jobman terminate` ends it. Another --name runs a second one."


class Master:
    """Runs supervisors.

    Args:
        records: Settings and database.
        blocks: What to run.
        name: Two masters of one name on a host are one too many.
        command: How a supervisor is started.
        dashboard: The command line of a dashboard that is to run beside the supervisors, if one is.
        reread: Reads the blocks anew, when all are started anew; None keeps the first ones.
        stays: Go on although every supervisor has ended for good: the code that they could not load may
            change.
    """

    def __init__(
        self,
        records: Records,
        blocks: Sequence[Block],
        name: str,
        environment: str | None,
        command: Command,
        *,
        dashboard: Sequence[str] | None = None,
        reread: Callable[[], Sequence[Block]] | None = None,
        stays: bool = False,
    ) -> None:
        self._settings, self._database = records.settings, records.database.without_pool()
        self._uuid, self._name, self._environment, self._command = new_uuid(), name, environment, command
        self._reread, self._stays = reread, stays
        self._posts = [Post(block) for block in blocks]
        self._dashboard, self._serve = Child("the dashboard"), dashboard
        self._state, self._next = "running", 0.0
        self._known: set[str] = set()
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
            self._register()
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, lambda signum, _frame: self._signals.append(signum))
            notify.ready()
            try:
                self._watch()
            finally:
                notify.stopping()
                self._state, self._next = "stopping", 0.0
                self._end_all()
                with suppress(JobmanError, Overdue), guarded(ANSWER):
                    self._database.run(stop_supervisor, self._uuid)
        return self._code

    def restart(self) -> None:
        """Start all supervisors anew, soon. May be called from any thread."""
        self._signals.append(signal.SIGHUP)

    def _register(self) -> None:
        queues = tuple(dict.fromkeys(queue for post in self._posts for queue in post.block.queues))
        charge = Charge("master", self._name, "off", None, self._environment)
        self._database.run(register_supervisor, identify(self._uuid, self._uuid, queues), charge)

    def _watch(self) -> None:
        logger.info("master %s runs %d supervisor(s)", self._name, len(self._posts))
        while self._stays or not all(post.child.is_over for post in self._posts):
            for post in self._posts:
                command = partial(self._command, post.block.name, self._uuid, post.paused)
                self._code = self._code or post.child.keep(command)
            if self._serve is not None:
                self._dashboard.keep(lambda: list(self._serve or ()))
            if self._report() or self._answer_signals():
                return
            notify.watchdog()
            time.sleep(TICK)

    def _report(self) -> bool:
        """Give a sign of life when it is time; True when told to end."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + EVERY
        pools = {post.block.name: int(post.child.process is not None) for post in self._posts}
        dead = [pid for post in self._posts for pid in post.child.dead]
        try:
            with guarded(ANSWER):
                orders, mine = self._database.run(_sign, self._uuid, self._state, pools, dead)
                for post in self._posts:
                    post.child.dead.clear()
                if not orders.known:
                    self._register()
                self._learn(mine)
                return self._follow(orders.command)
        except (JobmanError, Overdue) as error:
            logger.debug("no report: %s", error)
            return False

    def _learn(self, mine: Sequence[Subject]) -> None:
        """Who of them is paused now. One that began before a pause and was not there to hear it is told."""
        newest = {row.name: row for row in mine}
        for post in self._posts:
            row = newest.get(post.block.name)
            if row is None or row.state == "stopping" or row.command is not None:
                continue
            if row.uuid not in self._known and post.paused and row.state == "running":
                self._database.run(command_supervisors, [row.uuid], "pause")
            else:
                post.paused = row.state == "paused"
            self._known.add(row.uuid)

    def _follow(self, command: str | None) -> bool:
        if command is None:
            return False
        logger.info("told to %s", command)
        if command == "terminate":
            self._state = "stopping"
        elif self._state != "stopping":
            self._state = "paused" if command == "pause" else "running"
            for post in self._posts:
                post.paused = command == "pause"
        self._database.run(_pass_on, self._uuid, command, self._state)
        return command == "terminate"

    def _answer_signals(self) -> bool:
        """TERM and INT end everything; HUP ends the supervisors, which are started again."""
        if not self._signals:
            return False
        if self._signals.pop(0) != signal.SIGHUP:
            return True
        while signal.SIGHUP in self._signals:
            self._signals.remove(signal.SIGHUP)
        try:
            blocks = self._reread() if self._reread is not None else [post.block for post in self._posts]
        except ConfigurationError as error:
            logger.error("all go on as they are, for the configuration cannot be used: %s", error)
            return False
        logger.info("starting all supervisors anew")
        self._next = 0.0
        if self._report():  # who is paused now begins so again
            return True
        self._end_all()
        if self._state == "stopping":
            return True
        self._code = 0
        known = {post.block.name: post for post in self._posts}
        self._posts = [known.get(block.name) or Post(block) for block in blocks]
        for post, block in zip(self._posts, blocks, strict=True):
            post.renew(block)
        self._dashboard.renew()
        return False

    def _end_all(self) -> None:
        """TERM to each, and as long as they may take; a second Ctrl-C is passed on."""
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.shutdown_timeout + 5
        interrupted = False
        while any(child.is_alive for child in self._children()):
            if signal.SIGINT in self._signals and not interrupted:
                interrupted = True
                self._state, self._code = "stopping", EXIT_INTERRUPTED
            if interrupted:  # again and again: one that comes before the first TERM is answered counts as it
                self._signal_all(signal.SIGINT)
            if time.monotonic() >= deadline:
                self._signal_all(signal.SIGKILL)
            self._report()
            notify.watchdog()
            time.sleep(TICK)

    def _signal_all(self, signum: signal.Signals) -> None:
        for child in self._children():
            child.send(signum)

    def _children(self) -> list[Child]:
        return [*(post.child for post in self._posts), self._dashboard]


def default_name() -> str:
    """A master's name when none is given: the host's."""
    return socket.gethostname()[:100]


def supervisor_command(options: Sequence[str], *more: str) -> Command:
    """How a master starts the supervisor of a block.

    Args:
        options: The global options that the master was given: the supervisor gets the same.
        more: Options of the command itself.
    """

    def command(block: str, master: str, paused: bool) -> list[str]:
        begins = ["--paused"] if paused else []
        own = ["--master", master, "--parent", str(os.getpid()), *more, *begins]
        return [sys.executable, "-m", "jobman_cli", *options, "supervisor", block, *own]

    return command


def dashboard_command(options: Sequence[str]) -> list[str]:
    """How a master starts the dashboard.

    Args:
        options: The global options that the master was given.
    """
    return [sys.executable, "-m", "jobman_cli", *options, "dashboard", "--parent", str(os.getpid())]


def _sign(
    connection: Any, dialect: Any, uuid: str, state: str, pools: dict[str, int], dead: Sequence[int]
) -> tuple[Orders, list[Subject]]:
    """A sign of life, and what the master's supervisors say of themselves."""
    if dead:
        bury_supervisors(connection, dialect, uuid, dead)
    return report(connection, dialect, uuid, state, pools), supervisors_of(connection, dialect, uuid)


def _pass_on(connection: Any, dialect: Any, uuid: str, command: str, state: str) -> None:
    """A command for the master is one for its supervisors; then it is answered."""
    mine = [row.uuid for row in supervisors_of(connection, dialect, uuid)]
    if mine and command != "terminate":  # which they hear by a signal
        command_supervisors(connection, dialect, mine, command)
    report(connection, dialect, uuid, state, None)
    acknowledge(connection, dialect, uuid, command)


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
