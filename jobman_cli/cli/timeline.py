"""One job in full, for people: its attempts, who ran them, its place in the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobman_cli.cli import rows
from jobman_cli.cli.rows import moment_text

if TYPE_CHECKING:
    from datetime import datetime

    from jobman_cli.operations.look import Whole


def fields(whole: Whole) -> list[tuple[str, str]]:
    """For people: the place, the failed job's id, and a line for each thing that happened."""
    from jobman_cli.store.queries import FAR

    job, shown = whole.job, []
    if whole.place is not None:
        place = "the next" if whole.place == 1 else f"{whole.place:,}"
        shown.append(("place", place if whole.place <= FAR else f"behind {FAR:,} others"))
    if whole.failed is not None:
        shown.append(("failed job", f"{whole.failed.id}  (jobman retry {whole.failed.id})"))
    lines = [f"{moment_text(job.created_at)}  dispatched"]
    for attempt in whole.history:
        message = (attempt.error_message or "").partition("\n")[0]
        text = f"attempt {attempt.number}: {attempt.outcome}"
        text += f": {message}" if message else ""
        text += _took(attempt.started_at, attempt.ended_at) + _by(whole, attempt.worker_id)
        lines.append(f"{moment_text(attempt.ended_at)}  {text}")
    lines += _now(whole)
    shown.append(("timeline", "\n".join(lines) + "\n"))
    return shown


def _now(whole: Whole) -> list[str]:
    """What stands in the row alone: the attempt that runs or completed, and what is to come."""
    job = whole.job
    lines = []
    if job.status == "running":
        text = f"attempt {job.attempts}: running{_by(whole, job.worker_id)}"
        lines.append(f"{moment_text(job.started_at)}  {text}")
    elif job.status == "completed":
        took = _took(job.started_at, job.completed_at) + _by(whole, job.worker_id)
        lines.append(f"{moment_text(job.completed_at)}  attempt {job.attempts}: completed{took}")
    elif job.status == "scheduled":
        lines.append(f"{moment_text(job.available_at)}  due")
    elif job.status in ("queued", "pending") and job.queued_at:
        lines.append(f"{moment_text(job.queued_at)}  {job.status}")
    if job.cancel_requested_at:
        said = "cancelled" if job.status == "cancelled" else "asked to stop"
        lines.append(f"{moment_text(job.cancel_requested_at)}  {said}")
    return lines


def _took(started: datetime | None, ended: datetime | None) -> str:
    if started is None or ended is None:
        return ""
    seconds = max((ended - started).total_seconds(), 0.0)
    return f", {seconds:.3g} s" if seconds < 60 else f", {rows.duration(seconds)}"


def _by(whole: Whole, uuid: str | None) -> str:
    worker = whole.workers.get(uuid or "")
    return f", on {worker.host}, pid {worker.pid}" if worker else ""
