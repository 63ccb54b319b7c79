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
    text = _read(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split()  # the command before it may hold anything
    if not fields or fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def resident_bytes(pid: int) -> int | None:
    """A process's resident memory now; None when it is gone, or nobody tells."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * resource.getpagesize() if len(fields) > 1 else None


def is_gone(pid: int, started: int) -> bool:
    """True when it is proven that the process with this pid and start time has ended.

    A pid that may not be looked at is alive, as far as anybody can tell.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    if not Path(f"/proc/{pid}/stat").exists():
        return False
    return start_time(pid) != started


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
