"""Real processes for the tests: `jobman` itself, and what the servers are made of.

A process is ended by its pid, and whatever happens to the test run, its processes end with it: `atexit`
for an orderly end, the kernel's parent-death signal for any other.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
_OWNER = os.getpid()
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_living: list[Managed] = []
_locks: list[int | None] = []


def wait_until(
    predicate: Callable[[], T], timeout: float = 10.0, message: str = "", *, interval: float = 0.01
) -> T:
    """Poll `predicate` until it returns something true, and return that.

    Raises:
        AssertionError: after `timeout` seconds, with `message` and the last value seen.
    """
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{message or 'the wait'}: not within {timeout:g} s (last value: {value!r})")
        time.sleep(interval)
    return value


def spawn(command: Sequence[str], *, death_signal: int = signal.SIGKILL, **options: Any) -> subprocess.Popen:
    """Start `command` in a session of its own, so that it dies when this process does."""
    parent = os.getpid()

    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    options.setdefault("stdin", subprocess.DEVNULL)
    with warnings.catch_warnings():
        # Python 3.12+ warns about fork() beside threads; the child does nothing but the call above.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        return subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **options)


class Managed:
    """One process that is watched over: signalled by pid, and never left behind."""

    death_signal = signal.SIGKILL
    _process: subprocess.Popen | None = None
    _guard: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def family(self) -> list[psutil.Process]:
        """The process and its descendants, parents first."""
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def send_signal(self, signum: int) -> None:
        assert self._process is not None, "not started"
        self._process.send_signal(signum)

    def freeze(self) -> None:
        """SIGSTOP for the process, then for its children: no answer, but every connection stays open."""
        os.kill(self.pid, signal.SIGSTOP)
        family = self.family()
        self._guard = guard_frozen([process.pid for process in family])
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                wait_until(lambda p=process: is_still(p), 5, f"freezing {process.pid}")

    def thaw(self) -> None:
        if self.running:
            for process in reversed(self.family()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        if self._guard is not None:
            self._guard.communicate(b"thawed")
            self._guard = None

    def kill(self) -> None:
        """SIGKILL for the process and its children: the end without warning. Returns when all are gone."""
        if self._process is None:
            return
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(10)
        wait_until(lambda: all(map(is_gone, family)), 10, f"the end of {family}")
        self.thaw()
        self._forget()

    def _remember(self, process: subprocess.Popen) -> None:
        self._forget()
        self._process = process
        _living.append(self)

    def _forget(self) -> None:
        if self in _living:
            _living.remove(self)


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, though perhaps nobody has waited for it yet."""
    try:
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def is_still(process: psutil.Process) -> bool:
    return is_gone(process) or process.status() == psutil.STATUS_STOPPED


_GUARD = """
import os, signal, sys
if sys.stdin.buffer.read() != b"thawed":
    for pid in map(int, sys.argv[1:]):
        try: os.kill(pid, signal.SIGKILL)
        except ProcessLookupError: pass
"""


def guard_frozen(pids: list[int]) -> subprocess.Popen:
    """Watch over frozen processes: a stopped child outlives its parent, so kill them if we die first."""
    command = [sys.executable, "-S", "-c", _GUARD, *map(str, pids)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


@atexit.register
def _end_all() -> None:
    if os.getpid() != _OWNER:  # a forked child of the test run must not end its parent's servers
        return
    for managed in list(_living):
        managed.kill()
    if session_directory.cache_info().currsize:
        shutil.rmtree(session_directory(), ignore_errors=True)


def everyone_may_enter(path: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


@functools.cache
def session_directory() -> Path:
    """The directory of this run's processes; an unprivileged server must be able to reach it.

    It stays locked while the run lives. What a killed run could not remove, the next one does.
    """
    for base in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")):
        if base.is_dir() and (os.getuid() != 0 or everyone_may_enter(base.resolve())):
            remove_abandoned(base)
            path = Path(tempfile.mkdtemp(prefix="jobman-test-", dir=base))
            _locks.append(lock(path))
            path.chmod(0o755)
            return path
    raise RuntimeError("no temporary directory that an unprivileged server may enter: set TMPDIR")


def remove_abandoned(base: Path) -> None:
    for directory in base.glob("jobman-test-*"):
        with contextlib.suppress(OSError):
            just_made = time.time() - directory.stat().st_mtime < 60  # and perhaps not locked yet
            if not just_made and (handle := lock(directory)) is not None:
                shutil.rmtree(directory, ignore_errors=True)
                os.close(handle)


def lock(directory: Path) -> int | None:
    """Lock a directory of our own until this process ends; None if another run holds it."""
    with contextlib.suppress(OSError):
        if directory.stat().st_uid != os.getuid():
            return None
        handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError:
            os.close(handle)
    return None


def jobman_environment(env: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment without its JOBMAN_* settings, plus `env` (None takes a name away)."""
    merged: dict[str, str | None] = {k: v for k, v in os.environ.items() if not k.startswith("JOBMAN_")}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    merged |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", **(env or {})}
    return {key: value for key, value in merged.items() if value is not None}


def run_jobman(
    *args: str | int,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | str | None = None,
    timeout: float = 60.0,
    check: bool = True,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `jobman ARGS` to its end.

    Raises:
        AssertionError: with all its output, when it exits other than 0 and `check` is true.
        subprocess.TimeoutExpired: after `timeout` seconds; the process is killed.
    """
    command = [sys.executable, "-m", "jobman_cli", *map(str, args)]
    options = {"env": jobman_environment(env), "cwd": cwd, "timeout": timeout}
    feed = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **feed, **options)
    if check and done.returncode:
        said = f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        raise AssertionError(f"`jobman {' '.join(map(str, args))}` exited {done.returncode}\n{said}")
    return done


class JobmanProcess(Managed):
    """A `jobman` in the background; its output is kept in files and can be read at any time."""

    def __init__(
        self, args: Sequence[str | int], env: Mapping[str, str | None] | None, cwd: Path | str | None
    ):
        self.directory = Path(tempfile.mkdtemp(dir=session_directory(), prefix="jobman-"))
        command = [sys.executable, "-m", "jobman_cli", *map(str, args)]
        with (self.directory / "stdout").open("wb") as out, (self.directory / "stderr").open("wb") as err:
            self._remember(spawn(command, stdout=out, stderr=err, env=jobman_environment(env), cwd=cwd))

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    @property
    def stdout(self) -> str:
        return (self.directory / "stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return (self.directory / "stderr").read_text(errors="replace")

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 30.0) -> int:
        """Its exit code; an AssertionError with its output if it does not end in time."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"jobman {self.pid} did not end in {timeout:g} s\n{self.stderr}") from None


def start_jobman(
    *args: str | int, env: Mapping[str, str | None] | None = None, cwd: Path | str | None = None
) -> JobmanProcess:
    """Start `jobman ARGS` in the background. Prefer the fixture of the same name: it ends it, too."""
    return JobmanProcess(args, env, cwd)
