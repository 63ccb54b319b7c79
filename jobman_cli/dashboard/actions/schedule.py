"""What can be done to an entry of the schedule."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from jobman_cli.dashboard.actions import Done, Fields, action
from jobman_cli.dashboard.desk import Desk
from jobman_cli.operations.housekeeping import perform_now
from jobman_cli.operations.schedule import Entry, find_entry, fire_job_now
from jobman_cli.operations.schedule import pause as pause_entry
from jobman_cli.operations.schedule import resume as continue_entry
from jobman_cli.store.lifecycle.schedules import FireOutcome

#: Seconds for which an operation is waited for; it goes on all the same.
PATIENCE = 3.0


@action("run-schedule")
def run(desk: Desk, fields: Fields) -> Done:
    """Fire it now, also a paused one: a job is dispatched, an operation is begun in this process."""
    entry = _entry(desk, fields)
    if entry.job is None:
        return Done(_perform(desk, entry), 1)
    job = fire_job_now(desk.parts, entry)
    return Done(f"Job {job.id} ({job.type}) is {job.status}.", 1)


@action("pause-schedule")
def pause(desk: Desk, fields: Fields) -> Done:
    """Let its times pass."""
    entry = _entry(desk, fields)
    if not pause_entry(desk.records, entry):
        return Done(f"{entry.name} is paused already.")
    return Done(f"{entry.name} is paused: its times pass until it is continued.", 1)


@action("continue-schedule")
def continue_(desk: Desk, fields: Fields) -> Done:
    """Fire its times again, from now on."""
    entry = _entry(desk, fields)
    changed = continue_entry(desk.records, entry)
    if entry.paused:
        return Done(f"{entry.name} stays paused: take `paused: true` off in the configuration.", int(changed))
    return Done(f"{entry.name} goes on." if changed else f"{entry.name} was not paused.", int(changed))


def _entry(desk: Desk, fields: Fields) -> Entry:
    return find_entry(desk.jobman.settings, fields.get("name", "")[:200])


def _perform(desk: Desk, entry: Entry) -> str:
    """Run an operation in a thread; what it says, or that it goes on.

    Should this process end meanwhile, the lease on the operation's row runs out and a supervisor takes it.
    """
    outcome: Future[tuple[FireOutcome, str]] = Future()

    def work() -> None:
        try:
            outcome.set_result(perform_now(desk.parts, entry))
        except BaseException as error:  # the thread that waits raises it
            outcome.set_exception(error)

    threading.Thread(target=work, name=f"schedule {entry.name}", daemon=True).start()
    try:
        state, said = outcome.result(timeout=PATIENCE)
    except TimeoutError:
        return f"{entry.what} runs; what comes of it will be shown here."
    return f"{entry.what}: {state.value}: {said}"
