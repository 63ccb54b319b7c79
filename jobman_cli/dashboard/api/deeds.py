"""What can be done: each is the operation that the command line uses, and is audited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobman_cli.core.states import Status
from jobman_cli.core.values import read_text
from jobman_cli.dashboard.answers import Conflict, NotHere
from jobman_cli.dashboard.api import questions, shapes
from jobman_cli.dashboard.api.table import Acted, endpoint
from jobman_cli.dashboard.desk import Desk
from jobman_cli.errors import UsageError
from jobman_cli.operations import cancel as cancelling
from jobman_cli.operations import delete, failed, look, requeue, schedule, supervision
from jobman_cli.operations.dispatch import dispatch_once
from jobman_cli.operations.filters import failed_filter
from jobman_cli.operations.housekeeping import perform_now
from jobman_cli.operations.objects.conflicts import conflict_objects
from jobman_cli.operations.objects.jobs import job_object
from jobman_cli.operations.request import Options
from jobman_cli.store.lifecycle import unique

#: Seconds for which a supervisor's answer is waited for: they look once a second.
ANSWER = 3.0


@endpoint("POST", "/jobs", shapes.Job, body=questions.NewJob, status=201, action="dispatch")
def new_job(desk: Desk, asked: object, said: questions.NewJob) -> Acted:
    """Dispatch a job."""
    options = Options(said.queue, said.priority, said.delay, said.tags)
    job, written = dispatch_once(desk.parts, said.type, said.attribs, options)
    became = "dispatched" if written else "was there already, by its unique key"
    message = f"job {job.id} ({job.type}) {became}"
    return Acted(job_object(job, desk.jobman.settings), message, int(written))


@endpoint(
    "POST", "/jobs/{id}/retry", shapes.Retried, asked=questions.OfJob, action="retry", refusals=(404, 409)
)
def retry(desk: Desk, asked: questions.OfJob) -> Acted:
    """Run a failed job again, with fresh tries."""
    job = look.show(desk.records, asked.id)
    row = look.failed_job(desk.records, asked.id)
    done = failed.retry(desk.jobman.lines, [row]) if row is not None else failed.Retried()
    _refuse_conflicts(done.conflicts)
    if not done.queued:
        raise Conflict(
            f"job {asked.id} is {job.status}, and on no list of failed jobs",
            hint="Requeue it to run a finished job again.",
        )
    value = {"queued": done.queued, "missing": 0, "elsewhere": 0, "conflicts": []}
    return Acted(value, f"job {asked.id} queued")


def _refuse_conflicts(conflicts: Sequence[unique.Conflict]) -> None:
    for each in conflicts:
        raise Conflict(
            f"job {each.holder} has the unique key of job {each.id}",
            hint="Run it again when that one has ended.",
        )


@endpoint(
    "POST", "/jobs/{id}/cancel", shapes.Cancelled, asked=questions.OfJob, action="cancel", refusals=(404, 409)
)
def cancel(desk: Desk, asked: questions.OfJob) -> Acted:
    """Keep a waiting job from running, or ask a running one to stop."""
    touched = cancelling.cancel(desk.jobman.lines, [asked.id])
    if not touched:
        raise _finished(look.show(desk.records, asked.id))
    gone = touched[0].status == Status.CANCELLED
    value = {"cancelled": int(gone), "asked": int(not gone), "finished": 0, "missing": 0}
    return Acted(value, f"job {asked.id} {'cancelled' if gone else 'asked to stop'}")


@endpoint(
    "POST",
    "/jobs/{id}/requeue",
    shapes.Requeued,
    asked=questions.OfJob,
    action="requeue",
    refusals=(404, 409),
)
def requeue_job(desk: Desk, asked: questions.OfJob) -> Acted:
    """Run a finished job again, with fresh tries."""
    done = requeue.requeue(desk.jobman.lines, [asked.id])
    _refuse_conflicts(done.conflicts)
    if not done.ids:
        job = look.show(desk.records, asked.id)
        raise Conflict(
            f"job {asked.id} is {job.status}: it is not finished", hint="Wait for it, or cancel it."
        )
    value = {"queued": 1, "unfinished": 0, "missing": 0, "conflicts": []}
    return Acted(value, f"job {asked.id} queued")


@endpoint(
    "POST", "/jobs/{id}/delete", shapes.Deleted, asked=questions.OfJob, action="delete", refusals=(404, 409)
)
def delete_job(desk: Desk, asked: questions.OfJob) -> Acted:
    """Delete a finished job with its attempts."""
    try:
        delete.delete(desk.records, asked.id)
    except delete.JobUnfinished as error:
        raise Conflict(error.message, hint=error.hint) from None
    return Acted({"deleted": 1}, f"job {asked.id} is deleted")


@endpoint("POST", "/failed/retry", shapes.Retried, body=questions.WhichToRetry, action="retry-all")
def retry_all(desk: Desk, asked: object, said: questions.WhichToRetry) -> Acted:
    """Run all failed jobs that match again."""
    for name in ("type", "error"):
        read_text(getattr(said, name), name)
    done = failed.retry_all(desk.jobman.lines, failed_filter(desk.records, **said.model_dump()))
    value = {
        "queued": done.queued,
        "missing": 0,
        "elsewhere": 0,
        "conflicts": conflict_objects(done.conflicts),
    }
    return Acted(value, f"{done.queued} queued", done.queued)


@endpoint(
    "POST",
    "/queues/{name}/pause",
    shapes.QueuePaused,
    asked=questions.OfQueue,
    body=questions.ForHowLong,
    action="pause-queue",
)
def pause_queue(desk: Desk, asked: questions.OfQueue, said: questions.ForHowLong) -> Acted:
    """Start no more jobs of a queue; running ones go on."""
    supervision.pause(desk.records, asked.name, said.seconds)
    return Acted({"queue": asked.name, "paused": True}, f"queue {asked.name} is paused")


@endpoint(
    "POST", "/queues/{name}/continue", shapes.QueuePaused, asked=questions.OfQueue, action="continue-queue"
)
def continue_queue(desk: Desk, asked: questions.OfQueue) -> Acted:
    """Start jobs of a queue again."""
    was = supervision.resume(desk.records, asked.name)
    said = "continued" if was else "was not paused"
    return Acted({"queue": asked.name, "paused": False}, f"queue {asked.name}: {said}", int(was))


@endpoint(
    "POST",
    "/supervisors/{uuid}/pause",
    shapes.Told,
    asked=questions.OfSupervisor,
    action="pause-supervisor",
    refusals=(404,),
)
def pause_supervisor(desk: Desk, asked: questions.OfSupervisor) -> Acted:
    """Let a supervisor start no more jobs."""
    return _tell(desk, asked.uuid, "pause")


@endpoint(
    "POST",
    "/supervisors/{uuid}/continue",
    shapes.Told,
    asked=questions.OfSupervisor,
    action="continue-supervisor",
    refusals=(404,),
)
def continue_supervisor(desk: Desk, asked: questions.OfSupervisor) -> Acted:
    """Let a supervisor start jobs again."""
    return _tell(desk, asked.uuid, "continue")


@endpoint(
    "POST",
    "/supervisors/{uuid}/terminate",
    shapes.Told,
    asked=questions.OfSupervisor,
    action="terminate",
    refusals=(404,),
)
def terminate(desk: Desk, asked: questions.OfSupervisor) -> Acted:
    """Let a supervisor end; its running jobs may finish."""
    return _tell(desk, asked.uuid, "terminate")


@endpoint(
    "POST",
    "/schedule/{name}/run",
    shapes.Fired,
    asked=questions.OfEntry,
    action="run-schedule",
    refusals=(404,),
)
def run_entry(desk: Desk, asked: questions.OfEntry) -> Acted:
    """Fire an entry of the schedule now. An operation is run before the answer comes."""
    try:
        entry = schedule.find_entry(desk.jobman.settings, asked.name)
    except UsageError as error:
        raise NotHere(error.message, hint="See /api/schedule for the names.") from None
    value: dict[str, Any]
    if entry.job is not None:
        job = schedule.fire_job_now(desk.parts, entry)
        value = {"job_id": job.id, "outcome": "dispatched", "message": None}
        return Acted(value, f"{entry.name}: job {job.id} dispatched")
    outcome, message = perform_now(desk.parts, entry)
    value = {"job_id": None, "outcome": outcome.value, "message": message}
    return Acted(value, f"{entry.name}: {outcome.value}: {message}")


def _finished(job: Any) -> Conflict:
    return Conflict(
        f"job {job.id} is {job.status} already", hint="Only jobs that wait or run can be cancelled."
    )


def _tell(desk: Desk, uuid: str, command: str) -> Acted:
    seen = supervision.overview(desk.records)
    rows = [row for row in seen.supervisors if row.uuid == uuid]
    silent = [row for row in seen.silent if row.uuid == uuid]
    if not rows and not silent:
        raise NotHere(f"no supervisor {uuid[:36]!a} runs", hint="See /api/supervisors for their uuids.")
    answers = supervision.tell(desk.records, rows, command, timeout=ANSWER, deaf=silent)
    answered = bool(answers.answered)
    said = "answered" if answered else "has not answered yet"
    return Acted({"command": command, "answered": answered}, f"{command}: {(rows or silent)[0].name} {said}")
