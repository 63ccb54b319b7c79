"""One job in full: its row, its attempts, who ran them, its place in the line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from jobman_cli.core.outcome import OutcomeKind
from jobman_cli.core.states import FINAL, WAITING, Status
from jobman_cli.dashboard.search import Search, read_id
from jobman_cli.dashboard.view import render
from jobman_cli.errors import JobNotFound, UsageError
from jobman_cli.operations import look
from jobman_cli.operations.redact import redact
from jobman_cli.store.queries import FAR
from jobman_cli.store.tables import Attempt, Job, Worker

#: Attempts that are shown, and characters of logs: the newest.
ATTEMPTS, LOGS = 100, 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job.

    Attributes:
        what: A state, or an attempt's outcome.
        attempt: Its number; None for what is no attempt.
        seconds: How long the attempt took.
    """

    at: datetime | None
    what: str
    attempt: int | None = None
    seconds: float | None = None
    worker: Worker | None = None
    message: str | None = None
    exception: str | None = field(default=None, repr=False)


def page(request: Request) -> Response:
    """All that is known of a job."""
    desk = request.app.state.desk
    given = request.path_params["id"]
    try:
        job_id = read_id(given, "id")
    except UsageError:
        raise JobNotFound(f"there is no job {given[:40]!r}") from None
    job = look.show(desk.records, job_id)
    whole = look.whole(desk.records, job)
    shown = whole.history[-ATTEMPTS:]
    ends = round_ends(job, shown)
    logs = job.logs or ""
    return render(
        request,
        "job.html",
        job=job,
        attribs=redact(job.attribs, desk.jobman.settings.redact),
        events=[*timeline(job, shown, whole.workers)],
        left_out=len(whole.history) - len(shown),
        retried=shown[ends[-1]] if ends else None,
        logs=logs[-LOGS:],
        logs_cut=len(logs) > LOGS,
        worker=whole.workers.get(job.worker_id or ""),
        failed=whole.failed,
        place=whole.place,
        far=FAR,
        search=lambda name, value: Search().but(**{name: value}),
        may={"cancel": job.status not in FINAL and not job.cancel_requested_at, "end": job.status in FINAL},
    )


def timeline(job: Job, history: Sequence[Attempt], workers: Mapping[str, Worker]) -> Iterator[Event]:
    """What happened to a job, the first thing first; what stands in its row alone comes last."""
    yield Event(job.created_at, "dispatched")
    ends = round_ends(job, history)
    for at, attempt in enumerate(history):
        yield Event(
            attempt.ended_at,
            attempt.outcome,
            attempt.number,
            _seconds(attempt.started_at, attempt.ended_at),
            workers.get(attempt.worker_id or ""),
            attempt.error_message,
            attempt.exception,
        )
        if at in ends:
            yield Event(None, "run again")
    yield from _now(job, workers.get(job.worker_id or ""))


def round_ends(job: Job, history: Sequence[Attempt]) -> list[int]:
    """Where in its history somebody retried or requeued the job: the next attempt's number does not go on.

    Attempts that were given back repeat their number within a round.
    """
    numbers = [each.number for each in history]
    if job.status in WAITING or job.status in (Status.RUNNING, Status.COMPLETED):
        numbers.append(job.attempts + (job.status in WAITING))
    return [
        at
        for at, (attempt, following) in enumerate(zip(history, numbers[1:], strict=False))
        if following < attempt.number
        or (following == attempt.number and attempt.outcome != OutcomeKind.RELEASED)
    ]


def _now(job: Job, worker: Worker | None) -> Iterator[Event]:
    if job.status == Status.RUNNING:
        yield Event(job.started_at, "running", job.attempts, worker=worker)
    elif job.status == Status.COMPLETED:
        took = _seconds(job.started_at, job.completed_at)
        yield Event(job.completed_at, "completed", job.attempts, took, worker, job.completed_code)
    elif job.status == Status.SCHEDULED:
        yield Event(job.available_at, "due")
    elif job.status in WAITING:
        yield Event(job.queued_at, job.status)
    if job.cancel_requested_at:
        yield Event(job.cancel_requested_at, "cancelled" if job.status in FINAL else "asked to stop")


def _seconds(started: datetime | None, ended: datetime | None) -> float | None:
    return None if started is None or ended is None else max((ended - started).total_seconds(), 0.0)
