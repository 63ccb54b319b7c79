"""Jobs, failed jobs and attempts, by the columns of their tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobman_cli.operations.objects import iso
from jobman_cli.operations.redact import redact

if TYPE_CHECKING:
    from jobman_cli.operations.look import Whole
    from jobman_cli.settings import Settings
    from jobman_cli.store.tables import Attempt, FailedJob, Job, Worker


#: Of an attempt's row, what is shown.
ATTEMPT_KEYS = (
    "number",
    "claim",
    "worker_id",
    "started_at",
    "ended_at",
    "outcome",
    "error_message",
    "exception",
)


def job_object(job: Job, settings: Settings) -> dict[str, Any]:
    """A row as a JSON object: its keys are the columns of ``jobmans``."""
    values: dict[str, Any] = job.model_dump()
    values["attribs"] = redact(values["attribs"], settings.redact)
    return _dated(values)


def attempt_object(attempt: Attempt) -> dict[str, Any]:
    """An attempt that did not complete, by the columns of ``jobman_attempts`` but for ids."""
    return _dated({key: getattr(attempt, key) for key in ATTEMPT_KEYS})


def failed_object(failed: FailedJob, settings: Settings) -> dict[str, Any]:
    """A row as a JSON object: its keys are the columns of ``failed_jobs``; ``payload`` is JSON text."""
    values: dict[str, Any] = failed.model_dump()
    payload = failed_payload(failed)
    if "attribs" in payload:
        payload["attribs"] = redact(payload["attribs"], settings.redact)
        values["payload"] = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return _dated(values)


def failed_payload(failed: FailedJob) -> dict[str, Any]:
    """What the row tells of its job; empty when somebody else wrote it. Nothing is masked in it."""
    try:
        payload = json.loads(failed.payload)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def whole_object(whole: Whole, settings: Settings) -> dict[str, Any]:
    """A job in full: the row's columns, and what belongs to it."""
    failed, worker = whole.failed, whole.workers.get(whole.job.worker_id or "")
    return {
        **job_object(whole.job, settings),
        "place": whole.place,
        "failed_job": None if failed is None else {"id": failed.id, "uuid": failed.uuid},
        "worker": None if worker is None else {**_where(worker), "uuid": worker.uuid, "state": worker.state},
        "history": history_array(whole),
    }


def history_array(whole: Whole) -> list[dict[str, Any]]:
    """A job's attempts that did not complete, with where they ran."""
    return [
        {**attempt_object(each), **_where(whole.workers.get(each.worker_id or ""))} for each in whole.history
    ]


def logs_object(job: Job) -> dict[str, Any]:
    """What a job has logged."""
    return {"id": job.id, "status": job.status, "logs": job.logs}


def _where(worker: Worker | None) -> dict[str, Any]:
    return {"host": worker and worker.host, "pid": worker and worker.pid}


def _dated(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: iso(value) if isinstance(value, datetime) else value for key, value in values.items()}
