"""How workers live as processes or threads: signals, alarms, and their end with their parent's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from huey.consumer import ProcessEnvironment, ThreadEnvironment
from huey.exceptions import TaskTimeout

from jobman_cli.runtime.runner import Gate

_PR_SET_PDEATHSIG = 1

#: Seconds until an alarm that found the gate shut rings again.
RING_AGAIN = 0.05
#: Seconds between two looks for the parent, where the kernel does not end a child with it.
PARENT_LOOK = 0.5


class Alarm:
    """Huey's timeout handler for one process: SIGALRM is installed once, a job only sets the timer.

    While the gate is shut it does not strike but rings again soon: what came before the job's function, or
    a commit of the job's own, may have taken all the time there was. It rings again, too, when Python
    dropped what it raised, as it does in a destructor and in a callback of the garbage collector.
    """

    __slots__ = ("_gate", "_report", "_seconds", "_set")

    def __init__(self, gate: Gate) -> None:
        self._gate, self._seconds, self._set = gate, 0.0, False
        self._report = sys.unraisablehook

    def install(self) -> None:
        """Take over SIGALRM, which only the main thread can, and ``sys.unraisablehook``."""
        signal.signal(signal.SIGALRM, self._ring)
        if sys.unraisablehook != self._dropped:
            self._report, sys.unraisablehook = sys.unraisablehook, self._dropped

    def __call__(self, seconds: float) -> Alarm:
        """Set for the next ``with``."""
        self._seconds = seconds
        return self

    def __enter__(self) -> None:
        self._set = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        self._set = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, _signum: int, _frame: object) -> None:
        if not self._set:
            return
        if self._gate.is_open:
            raise TaskTimeout(f"timeout ({self._seconds:g} s)")
        signal.setitimer(signal.ITIMER_REAL, RING_AGAIN)

    def _dropped(self, what: sys.UnraisableHookArgs) -> None:
        if self._set and isinstance(what.exc_value, TaskTimeout):
            signal.setitimer(signal.ITIMER_REAL, RING_AGAIN)
        else:
            self._report(what)


class JobProcessEnvironment(ProcessEnvironment):
    """Worker processes that end with their supervisor and leave signals to it."""

    def create_process(self, runnable: Callable[[], None], name: str) -> Any:
        """A child that is no daemon: its job may use multiprocessing itself."""
        parent = os.getpid()

        def begin() -> None:
            _die_with(parent)
            os.setpgrp()  # a Ctrl-C in the terminal is the supervisor's to answer
            runnable()

        process = self.mp.Process(target=begin, name=name)
        process.daemon = False
        return process

    def init_child(self, process: Any) -> None:
        """Handlers that do next to nothing, never SIG_IGN: a job's own subprocesses would inherit that.

        A worker hears from its supervisor by its flag. Only one whose supervisor is gone answers TERM. A
        job's own forks hear nothing of this: a pool ends them with TERM.
        """
        supervisor = os.getppid()

        def end_orphan(_signum: int, _frame: object) -> None:
            if os.getppid() != supervisor:  # in a thread: this one may be holding the flag's lock
                threading.Thread(target=process.stop_flag.set, daemon=True).start()

        signal.signal(signal.SIGTERM, end_orphan)
        signal.signal(signal.SIGHUP, _nothing)
        gate: Gate = process.gate

        signal.signal(signal.SIGINT, lambda _signum, _frame: gate.interrupt())
        alarm = Alarm(gate)
        alarm.install()
        process.huey._timeout_handler = alarm
        _let_forks_answer_signals()

    def interrupt_workers(self, procs: list[Any]) -> None:
        """Interrupt, and a second later kill each with what it started."""
        for process in procs:
            if process.is_alive():
                with suppress(OSError):
                    os.kill(process.pid, signal.SIGINT)
        deadline = time.monotonic() + 1
        for process in procs:
            process.join(max(deadline - time.monotonic(), 0))
            self.kill(process)

    def kill(self, process: Any) -> None:
        """End a worker at once, with what its job has started."""
        if process.is_alive():
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join(5)


class JobThreadEnvironment(ThreadEnvironment):
    """Worker threads. They cannot be interrupted, and have no hard timeout."""

    def create_process(self, runnable: Callable[[], None], name: str) -> Any:
        """A daemon thread: the process does not wait for it."""
        return threading.Thread(target=runnable, name=name, daemon=True)


def _nothing(_signum: int, _frame: object) -> None:
    pass


def _let_forks_answer_signals() -> None:
    """Give the forks of this process the usual answers.

    The signals are held back meanwhile: one that came before the child's handlers are set would be lost.
    """
    held, mask = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM), threading.local()

    def hold() -> None:
        mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, held)

    def let_go() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask.before)

    def begin() -> None:
        for signum in held:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        let_go()

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=begin)


def _die_with(parent: int) -> None:
    """See that this process is killed when its parent dies, then check that it has not died already.

    Linux sees to it. Elsewhere a thread looks: a job that holds the GIL lives on for as long as it does so.
    """
    if not _ask_kernel():
        threading.Thread(target=_watch_parent, args=(parent,), name="parent", daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _ask_kernel() -> bool:
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)
    except (OSError, AttributeError):
        return False


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK)
    os.kill(os.getpid(), signal.SIGKILL)
