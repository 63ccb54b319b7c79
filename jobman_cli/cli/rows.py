"""How rows are shown to people: as tables, and one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobman_cli.cli import output
from jobman_cli.cli.output import STATE_COLOURS, Column, on_terminal
from jobman_cli.operations.objects import iso
from jobman_cli.operations.objects.jobs import failed_payload, job_object

if TYPE_CHECKING:
    from jobman_cli.settings import Settings
    from jobman_cli.store.tables import FailedJob, Job

_STEPS = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (float("inf"), 86_400, "d"))


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """A time as people say it: ``5 s ago``, ``in 2 h``; empty for None."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    text = duration(size)
    return f"{text} ago" if seconds > 0 else f"in {text}"


def duration(seconds: float) -> str:
    """A length of time with one unit."""
    for below, unit, name in _STEPS:
        if seconds < below:
            return f"{int(seconds / unit)} {name}"
    raise AssertionError("unreachable")


def moment_text(moment: datetime | None) -> str:
    """Relative on a terminal, ISO 8601 elsewhere."""
    if moment is None:
        return ""
    return ago(moment) if on_terminal() else iso(moment)


def progress_text(progress: Mapping[str, float] | None) -> str:
    """``3/10 (30 %)``."""
    if not progress:
        return ""
    done, total = progress["done"], progress["total"]
    return f"{done:g}/{total:g} ({min(done / total, 1):.0%})"


def state_colour(text: str) -> str:
    """The colour of a state."""
    return STATE_COLOURS.get(text, "")


def write_jobs(jobs: Sequence[Job]) -> None:
    """A table of rows."""
    output.write_table(
        jobs,
        [
            Column("id", lambda job: str(job.id), right=True),
            Column("type", lambda job: job.type),
            Column("status", lambda job: job.status, state_colour),
            Column("queue", lambda job: job.queue, rank=1),
            Column("attempts", lambda job: f"{job.attempts}/{job.tries}", rank=4, right=True),
            Column("created", lambda job: moment_text(job.created_at), rank=2),
            Column("ended", lambda job: moment_text(_ended(job)), rank=3),
            Column("outcome", _outcome, rank=5),
        ],
    )


def write_failed(found: Sequence[FailedJob]) -> None:
    """A table of ``failed_jobs`` rows."""
    output.write_table(
        found,
        [
            Column("id", lambda row: str(row.id), right=True),
            Column("job", lambda row: str(row.jobman_id), rank=2, right=True),
            Column("type", lambda row: str(failed_payload(row).get("type", ""))),
            Column("queue", lambda row: row.queue, rank=3),
            Column("failed", lambda row: moment_text(row.failed_at), rank=1),
            Column("error", lambda row: (row.exception.strip().splitlines() or [""])[-1], rank=4),
        ],
    )


def _ended(job: Job) -> datetime | None:
    return {"completed": job.completed_at, "failed": job.failed_at}.get(job.status)


def _outcome(job: Job) -> str:
    if job.status == "completed":
        return job.completed_code or ""
    if job.status == "running":
        return progress_text(job.progress)
    if job.status == "scheduled":
        return f"due {moment_text(job.available_at)}"
    return job.error_message.partition("\n")[0] if job.error_message and job.status == "failed" else ""


def write_job(job: Job, settings: Settings, more: Sequence[tuple[str, str]] = ()) -> None:
    """One row for people, and what belongs to it: what is empty is left out."""
    shown = job_object(job, settings)
    fields: list[tuple[str, str]] = []
    for key, value in shown.items():
        raw = getattr(job, key)
        if value is None or value in ([], {}):
            continue
        if isinstance(raw, datetime):
            text = f"{value}  ({ago(raw)})" if on_terminal() else value
        elif key == "progress":
            text = progress_text(value)
        elif isinstance(value, (dict, list)):
            text = json.dumps(value, ensure_ascii=False)
        elif key == "timeout":
            text = f"{value:g} s"
        else:
            text = str(value)
        fields.append((key, text + "\n" if key in ("logs", "exception") and "\n" in text else text))
    fields += more
    output.write_fields(fields, lambda name, text: state_colour(text) if name == "status" else "")


def summary(job: Job) -> str:
    """One line about a job."""
    text = f"job {job.id} ({job.type}): {job.status}"
    if job.status == "completed" and job.completed_code:
        text += f", {job.completed_code}"
    if job.status == "scheduled" and job.available_at:
        text += f", due {ago(job.available_at)}"
    if job.status in ("failed", "scheduled") and job.error_message:
        text += f", {job.error_message.partition(chr(10))[0]}"
    return text
