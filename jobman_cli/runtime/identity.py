"""What proves that a pid is still the process it was: boot id, pid namespace, start time.

Hostnames prove nothing in containers, and pids are given again.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from jobman_cli.store.lifecycle.workers import WorkerIdentity

_PR_SET_PDEATHSIG = 1
#: States of a process that has ended; where its start time stands, from its state on.
_DEAD, _START_TIME = ("Z", "X"), 19


def identify(uuid: str, supervisor: str, queues: tuple[str, ...]) -> WorkerIdentity:
    """This process, as a worker.

    Args:
        uuid: The worker's, new at each boot.
        supervisor: The uuid of its supervisor's process.
    """
    pid = os.getpid()
    return WorkerIdentity(
        uuid=uuid,
        supervisor=supervisor,
        host=socket.gethostname()[:255],
        pid=pid,
        boot_id=boot_id(),
        pid_namespace=pid_namespace(),
        start_time=start_time(pid) or 0,
        queues=queues,
    )


def end_with_parent(parent: int) -> bool:
    """Ask the kernel for TERM when this process's parent dies.

    Returns:
        False when it has died already.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


def new_uuid() -> str:
    """A name that is never used twice."""
    return str(uuid4())


def boot_id() -> str:
    """This boot of this host; empty where the kernel does not tell."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def pid_namespace() -> str:
    """The namespace in which this process's pid counts."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; None when it is gone or dead."""
    fields = _stat(pid)
    return int(fields[_START_TIME]) if fields and fields[0] not in _DEAD else None


def resident_bytes(pid: int) -> int | None:
    """A process's resident memory now; None when it is gone, or nobody tells."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * resource.getpagesize() if len(fields) > 1 else None


def is_gone(pid: int, started: int) -> bool:
    """True when it is proven that the process with this pid and start time has ended.

    A pid that may not be looked at is alive, as far as anybody can tell; and a start time that could not be
    read, then (0) or now, proves nothing.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    fields = _stat(pid)
    if not fields:
        return False
    return fields[0] in _DEAD or (started > 0 and int(fields[_START_TIME]) != started)


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process, from its state on; empty when it tells nothing."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # the command before it may hold anything


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
