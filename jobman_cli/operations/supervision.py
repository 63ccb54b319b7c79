"""Look at supervisors on all hosts, and tell them what to do: through rows, which each of them answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobman_cli.errors import InvalidOption
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.lifecycle.supervisors import (
    command_supervisors,
    continue_queue,
    list_supervisors,
    pause_queue,
    paused_queues,
)
from jobman_cli.store.queries import live_workers
from jobman_cli.store.tables import Supervisor, Worker

AnyParts = Records | Lines | Parts

#: Seconds between two looks for answers.
LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Overview:
    """All that runs, on every host.

    Attributes:
        masters, supervisors: Those whose lease runs.
        silent: Masters and supervisors that did not say goodbye and whose lease has run out.
        workers: Live workers.
        paused_queues: Queues whose jobs are not started.
    """

    masters: list[Supervisor]
    supervisors: list[Supervisor]
    silent: list[Supervisor]
    workers: list[Worker]
    paused_queues: list[str]

    @property
    def state(self) -> str:
        """``running``, ``paused`` (some supervisor is) or ``inactive`` (none runs)."""
        if not self.supervisors:
            return "inactive"
        return "paused" if any(row.state == "paused" for row in self.supervisors) else "running"

    def workers_of(self, supervisor: Supervisor) -> list[Worker]:
        """Its live workers."""
        return [worker for worker in self.workers if worker.supervisor == supervisor.uuid]


@dataclass(frozen=True, slots=True)
class Answers:
    """Who was told, and who has answered.

    Attributes:
        silent: Told, and no answer within the time.
    """

    answered: list[Supervisor]
    silent: list[Supervisor]


def overview(records: AnyParts) -> Overview:
    """Look at everything once."""
    lease = records.settings.lease
    rows = records.database.read(list_supervisors, lease)
    believed = [row for row, alive in rows if alive]
    return Overview(
        masters=[row for row in believed if row.kind == "master"],
        supervisors=[row for row in believed if row.kind == "supervisor"],
        silent=[row for row, alive in rows if not alive],
        workers=records.database.read(live_workers, lease),
        paused_queues=records.database.read(paused_queues),
    )


def tell(
    records: AnyParts,
    rows: Sequence[Supervisor],
    command: str,
    *,
    timeout: float,
    ended: bool = False,
    watch: Callable[[int], object] = lambda _left: None,
) -> Answers:
    """Tell supervisors something and wait for their answers.

    Args:
        command: ``pause``, ``continue`` or ``terminate``.
        timeout: Seconds to wait.
        ended: Wait until they have ended, not only answered.
        watch: Called with the number of those that have not answered yet.
    """
    uuids = [row.uuid for row in rows]
    if not uuids:
        return Answers([], [])
    records.database.run(command_supervisors, uuids, command)
    until = time.monotonic() + timeout
    waiting = {row.uuid: row for row in rows}
    while waiting:
        there = {row.uuid: row for row, _ in records.database.read(list_supervisors, records.settings.lease)}
        for uuid in list(waiting):
            row = there.get(uuid)
            if row is None or (not ended and row.command is None):
                del waiting[uuid]
        watch(len(waiting))
        if not waiting or time.monotonic() >= until:
            break
        time.sleep(LOOK)
    return Answers([row for row in rows if row.uuid not in waiting], list(waiting.values()))


def pause(records: AnyParts, queue: str, seconds: float | None = None) -> None:
    """Let no job of a queue start; running ones go on.

    Args:
        seconds: For how long; None until somebody continues it.

    Raises:
        InvalidOption: when the time makes no sense.
    """
    if seconds is not None and not 0 < seconds <= 10 * 366 * 86400:
        raise InvalidOption(f"for: {seconds:g} s is out of bounds", hint="Use a time such as 10m or 2h.")
    records.database.run(pause_queue, queue, seconds)


def resume(records: AnyParts, queue: str) -> bool:
    """Let the jobs of a queue start again.

    Returns:
        True when it was paused.
    """
    return records.database.run(continue_queue, queue)
