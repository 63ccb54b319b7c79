"""What can be done to jobs: retry, cancel, requeue, delete, forget; one, or all that a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobman_cli.dashboard.actions import Done, Fields, Question, action, question
from jobman_cli.dashboard.desk import Desk
from jobman_cli.dashboard.pages.lists import failed_filter, listed_jobs
from jobman_cli.dashboard.search import OF_FAILED, Search, read_id, read_search, write_search
from jobman_cli.errors import JobmanError, UsageError
from jobman_cli.operations import cancel, delete, failed, look, requeue
from jobman_cli.operations.selection import look_failed, look_jobs
from jobman_cli.store.lifecycle.unique import Conflict
from jobman_cli.store.queries import JobFilter
from jobman_cli.store.queries_failed import FailedFilter


class NothingDone(JobmanError):
    """Nothing could be done."""

    hint = "Look at the job again: it may have changed meanwhile."


@action("retry")
def retry_one(desk: Desk, fields: Fields) -> Done:
    """Run a failed job again."""
    job_id = _job_id(fields)
    row = look.failed_job(desk.records, job_id)
    if row is not None:
        retried = failed.retry(desk.jobman.lines, [row])
        number, conflicts = retried.queued, retried.conflicts
    elif _state(desk, job_id) == "failed":  # it was forgotten
        requeued = requeue.requeue(desk.jobman.lines, [job_id])
        number, conflicts = len(requeued.ids), requeued.conflicts
    else:
        number, conflicts = 0, []
    return _one(desk, job_id, number, f"Job {job_id} runs again.", conflicts)


@question("retry-all")
def ask_retry_all(desk: Desk, fields: Fields) -> Question:
    """How many would run again."""
    search, wanted = _failed_asked(desk, fields)
    found = look_failed(desk.records, wanted)
    rows, _ = failed.named(desk.records, [str(each) for each in found.first])
    first = sorted(row.jobman_id for row in rows)  # the ids that the page shows
    text = f"Retry {_jobs(found.number, 'failed job')}{_which(search)}?"
    return Question(text, "Retry them", found.number, first, {"q": write_search(search)})


@action("retry-all")
def retry_all(desk: Desk, fields: Fields) -> Done:
    """Run all failed jobs that match again."""
    done = failed.retry_all(desk.jobman.lines, _failed_asked(desk, fields)[1])
    return Done(f"{_jobs(done.queued, 'failed job')} retried.{_left(done.conflicts)}", done.queued)


@action("cancel")
def cancel_one(desk: Desk, fields: Fields) -> Done:
    """Keep a waiting job from running, or ask a running one to stop."""
    job_id = _job_id(fields)
    touched = cancel.cancel(desk.jobman.lines, [job_id])
    asked = any(each.status == "running" for each in touched)
    message = f"Job {job_id} was asked to stop." if asked else f"Job {job_id} is cancelled."
    return _one(desk, job_id, len(touched), message)


@action("requeue")
def requeue_one(desk: Desk, fields: Fields) -> Done:
    """Run a finished job again."""
    job_id = _job_id(fields)
    done = requeue.requeue(desk.jobman.lines, [job_id])
    return _one(desk, job_id, len(done.ids), f"Job {job_id} runs again.", done.conflicts)


@question("requeue-all")
def ask_requeue_all(desk: Desk, fields: Fields) -> Question:
    """How many would run again."""
    search, wanted = _finished_asked(desk, fields)
    found = look_jobs(desk.records, wanted)
    text = f"Run {_jobs(found.number, 'finished job')} again{_which(search)}?"
    return Question(text, "Run them again", found.number, found.first, {"q": write_search(search)})


@action("requeue-all")
def requeue_all(desk: Desk, fields: Fields) -> Done:
    """Run all finished jobs that match again."""
    number, conflicts = requeue.requeue_matching(desk.jobman.lines, _finished_asked(desk, fields)[1])
    return Done(f"{_jobs(number, 'job')} run again.{_left(conflicts)}", number)


@question("delete")
def ask_delete(desk: Desk, fields: Fields) -> Question:
    """Say what would be gone."""
    job = look.show(desk.records, _job_id(fields))
    text = f"Delete job {job.id} ({job.type}) with its logs and attempts? It cannot be brought back."
    return Question(text, "Delete it", 1, [], {"id": str(job.id)})


@action("delete")
def delete_one(desk: Desk, fields: Fields) -> Done:
    """Delete a finished job."""
    job_id = _job_id(fields)
    delete.delete(desk.records, job_id)
    gone = fields.get("back", "").partition("?")[0] == f"/jobs/{job_id}"
    return Done(f"Job {job_id} is deleted.", 1, to="/jobs" if gone else None)


@action("forget")
def forget_one(desk: Desk, fields: Fields) -> Done:
    """Drop a ``failed_jobs`` row; the job stays failed."""
    job_id = _job_id(fields)
    row = look.failed_job(desk.records, job_id)
    dropped = failed.forget(desk.records, [row]) if row is not None else 0
    return _one(desk, job_id, dropped, f"Job {job_id} is off the list of failed jobs.")


def _job_id(fields: Fields) -> int:
    return read_id(fields.get("id", ""), "id")


def _state(desk: Desk, job_id: int) -> str:
    return look.show(desk.records, job_id).status


def _left(conflicts: Sequence[Conflict]) -> str:
    """Who was left alone because another job has the unique key; empty for none."""
    named = ", ".join(f"{each.id} ({each.holder})" for each in conflicts[:10])
    more = " …" if len(conflicts) > 10 else ""
    return f" Left alone, with the job that has its unique key: {named}{more}." if conflicts else ""


def _one(desk: Desk, job_id: int, number: int, message: str, conflicts: Sequence[Conflict] = ()) -> Done:
    """What came of it.

    Raises:
        JobNotFound, NothingDone: when nothing did.
    """
    for each in conflicts:
        raise NothingDone(
            f"job {each.holder} has the unique key of job {job_id}",
            hint="Run it again when that one has ended.",
        )
    if not number:
        raise NothingDone(f"nothing to do: job {job_id} is {_state(desk, job_id)}")
    return Done(message, number)


def _failed_asked(desk: Desk, fields: Fields) -> tuple[Search, FailedFilter]:
    search = read_search(fields.get("q", ""), OF_FAILED)
    return search, failed_filter(desk.records, search)


def _finished_asked(desk: Desk, fields: Fields) -> tuple[Search, JobFilter]:
    """The search, narrowed to finished jobs.

    Raises:
        UsageError: when it asks for nothing, or for unfinished jobs only.
    """
    search = read_search(fields.get("q", ""))
    if not search.asks or not search.finished:
        raise UsageError(
            "only finished jobs can run again, and not all of them at once",
            hint="Search for some, such as status:completed type:send-mail.",
        )
    search = replace(search, statuses=search.finished)
    return search, listed_jobs(desk.records, search)


def _jobs(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _which(search: Search) -> str:
    return f" ({write_search(search)})" if search.asks else ""
