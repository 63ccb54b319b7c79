"""Processes of ours that nobody looks after any more, found by proof and never by name.

A process is ours when a row of this boot and pid namespace has its pid and start time. It is orphaned when
the process that started it, named in that row, is known and gone. Usually none is left: the kernel ends a
worker with its supervisor, and asks a supervisor to end with its master.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from jobman_cli.operations.parts import Records
from jobman_cli.runtime.identity import boot_id, is_gone, pid_namespace, start_time
from jobman_cli.store.lifecycle.supervisors import Process, processes_of


def find_orphans(records: Records) -> list[Process]:
    """Those on this host that are alive and whose owner is gone.

    Raises:
        StoreUnavailable: when the database is away.
    """
    boot, namespace = boot_id(), pid_namespace()
    if not boot or not namespace:
        return []
    known = records.database.read(processes_of, boot, namespace)
    owners = {process.uuid: process for process in known}
    orphans = {}
    for process in known:
        owner = owners.get(process.owner or "")
        if owner is None or owner is process or not is_gone(owner.pid, owner.start_time):
            continue
        if process.start_time and start_time(process.pid) == process.start_time:
            orphans[process.pid] = process
    return list(orphans.values())


def end(process: Process, signum: signal.Signals) -> bool:
    """Send a signal to a process, if it still is the one that it was.

    Returns:
        False when it has ended meanwhile, or may not be signalled.
    """
    with suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            if start_time(process.pid) == process.start_time:
                signal.pidfd_send_signal(handle, signum)
                return True
        finally:
            os.close(handle)
    return False
