"""Look at supervisors on all hosts, and tell them what to do: through rows, which each of them answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobman_cli.errors import InvalidOption
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.lifecycle.supervisors import (
    command_supervisors,
    continue_queue,
    list_supervisors,
    pause_queue,
    paused_queues,
    tidy_supervisors,
)
from jobman_cli.store.queries import database_now, live_workers
from jobman_cli.store.queries_fleet import LineCount, RunningJob, count_lines, paused_until, running_jobs
from jobman_cli.store.tables import Supervisor, Worker

AnyParts = Records | Lines | Parts

#: Seconds between two looks for answers, and for which one that fell silent is still missed.
LOOK, MISSED = 0.2, 86_400.0
#: Days for which the rows of supervisors are kept.
KEEP = 30


@dataclass(frozen=True, slots=True)
class Overview:
    """All that runs, on every host.

    Attributes:
        masters, supervisors: Those whose lease runs.
        silent: Masters and supervisors that fell silent within a day, said no goodbye, and have no successor
            of the same name on their host.
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

    @property
    def alone(self) -> list[Supervisor]:
        """Supervisors that no living master looks after."""
        masters = {row.uuid for row in self.masters}
        return [row for row in self.supervisors if row.master not in masters]


@dataclass(frozen=True, slots=True)
class Answers:
    """Who was told, and who has answered.

    Attributes:
        silent: Told, and no answer within the time; or already taken for gone.
    """

    answered: list[Supervisor]
    silent: list[Supervisor]


def overview(records: AnyParts) -> Overview:
    """Look at everything once."""
    lease = records.settings.lease
    rows = records.database.read(list_supervisors, lease)
    since = records.database.read(database_now) - timedelta(seconds=MISSED)
    believed = [row for row, alive in rows if alive]
    there = {(row.kind, row.host, row.name) for row in believed}
    silent = [row for row, alive in rows if not alive and row.heartbeat_at and row.heartbeat_at > since]
    return Overview(
        masters=[row for row in believed if row.kind == "master"],
        supervisors=[row for row in believed if row.kind == "supervisor"],
        silent=[row for row in silent if (row.kind, row.host, row.name) not in there],
        workers=records.database.read(live_workers, lease),
        paused_queues=records.database.read(paused_queues),
    )


def tell(
    records: AnyParts,
    rows: Sequence[Supervisor],
    command: str,
    *,
    timeout: float,
    deaf: Sequence[Supervisor] = (),
    ended: bool = False,
    watch: Callable[[int], object] = lambda _left: None,
) -> Answers:
    """Tell supervisors something and wait for their answers.

    Args:
        command: ``pause``, ``continue`` or ``terminate``.
        timeout: Seconds to wait.
        deaf: Told as well, should they wake up, but not waited for.
        ended: Wait until they have ended, not only answered.
        watch: Called with the number of those that have not answered yet.
    """
    if not rows and not deaf:
        return Answers([], [])
    records.database.run(command_supervisors, [row.uuid for row in (*rows, *deaf)], command)
    until = time.monotonic() + timeout
    waiting = {row.uuid: row for row in rows}
    while waiting:
        there = {row.uuid: row for row, _ in records.database.read(list_supervisors, records.settings.lease)}
        for uuid in list(waiting):
            row = there.get(uuid)
            if row is None or row.state == "lost" or (not ended and row.command is None):
                del waiting[uuid]
        watch(len(waiting))
        if not waiting or time.monotonic() >= until:
            break
        time.sleep(LOOK)
    return Answers([row for row in rows if row.uuid not in waiting], [*waiting.values(), *deaf])


def wait_until_heard(records: AnyParts, rows: Sequence[Supervisor], timeout: float) -> Answers:
    """Wait until supervisors have looked at the queues' switches since now.

    Args:
        timeout: Seconds to wait.
    """
    now = records.database.read(database_now)
    until = time.monotonic() + timeout
    waiting = {row.uuid: row for row in rows}
    while waiting:
        there = {row.uuid: row for row, _ in records.database.read(list_supervisors, records.settings.lease)}
        for uuid in list(waiting):
            row = there.get(uuid)
            if row is None or row.state == "lost" or (row.heartbeat_at and row.heartbeat_at > now):
                del waiting[uuid]
        if not waiting or time.monotonic() >= until:
            break
        time.sleep(LOOK)
    return Answers([row for row in rows if row.uuid not in waiting], list(waiting.values()))


def addressees(
    seen: Overview, command: str, *, uuid: str | None = None, host: str | None = None
) -> tuple[list[Supervisor], list[Supervisor]]:
    """Who is meant by a command to one of them, to a host, or (neither is given) to everything.

    Masters pass ``terminate`` on, so that who has one is not told by itself, unless only it is meant.

    Returns:
        Those that will answer, and those that fell silent: to be told as well, should they wake up.
    """
    told, silent = [*seen.masters, *seen.supervisors], list(seen.silent)
    if uuid is not None:
        return [row for row in told if row.uuid == uuid], [row for row in silent if row.uuid == uuid]
    if command == "terminate":
        masters = {row.uuid for row in seen.masters}
        told = [*seen.masters, *seen.alone]
        silent = [row for row in silent if row.master not in masters]
    here = (host,) if host is not None else {row.host for row in (*told, *silent)}
    return [row for row in told if row.host in here], [row for row in silent if row.host in here]


def running_by_worker(records: AnyParts) -> dict[str, list[RunningJob]]:
    """What each worker has in its hand, by its uuid: a worker runs one job after the other."""
    found: dict[str, list[RunningJob]] = {}
    for job in records.database.read(running_jobs):
        found.setdefault(job.worker_id, []).append(job)
    return found


def paused_queues_until(records: AnyParts) -> dict[str, datetime | None]:
    """The queues that are paused, by name, and until when; None is until somebody continues them."""
    return records.database.read(paused_until)


def lines_now(records: AnyParts, most: int) -> dict[str, LineCount]:
    """How many rows of each queue wait, by state; each counted up to ``most``."""
    return records.database.read(count_lines, most)


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


def tidy(records: AnyParts) -> int:
    """Forget supervisors that ended, or fell silent, a month ago.

    Returns:
        How many.
    """
    return records.database.run(tidy_supervisors, KEEP * 86_400.0)
