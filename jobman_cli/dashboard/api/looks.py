"""What can be looked at."""

from __future__ import annotations

from jobman_cli.core.values import read_duration, read_text
from jobman_cli.dashboard.answers import NotHere
from jobman_cli.dashboard.api import questions, shapes
from jobman_cli.dashboard.api.table import Found, Nothing, endpoint
from jobman_cli.dashboard.desk import Desk
from jobman_cli.errors import InvalidOption, UnknownJobType
from jobman_cli.operations import failed, look, metrics, schedule, supervision
from jobman_cli.operations.alerts import alerts as look_alerts
from jobman_cli.operations.filters import failed_filter, job_filter
from jobman_cli.operations.journal import audits
from jobman_cli.operations.objects import jobs as job_shapes
from jobman_cli.operations.objects import measures, registered, running

#: The longest that figures are looked back for, in seconds.
FARTHEST = 400 * 86_400.0


@endpoint("GET", "/jobs", list[shapes.Job], asked=questions.WhichJobs)  # type: ignore[valid-type]
def jobs(desk: Desk, asked: questions.WhichJobs) -> Found:
    """List jobs, the newest first.

    What no index serves is looked for until the time is up: a page may then have fewer rows than were asked
    for, even none, and the header `Link` says where to go on.
    """
    _check_texts(type=asked.type, tag=asked.tag, error=asked.error)
    wanted = job_filter(
        desk.records,
        statuses=tuple(sorted({each.value for each in asked.status})),
        **asked.model_dump(exclude={"status", "limit"}),
    )
    page = look.page(desk.records, wanted, asked.limit)
    settings = desk.jobman.settings
    return Found([job_shapes.job_object(job, settings) for job in page.rows], page.before)


@endpoint("GET", "/jobs/{id}", shapes.WholeJob, asked=questions.OfJob, refusals=(404,))
def job(desk: Desk, asked: questions.OfJob) -> Found:
    """Show all that is known of a job."""
    whole = look.whole(desk.records, look.show(desk.records, asked.id))
    return Found(job_shapes.whole_object(whole, desk.jobman.settings))


@endpoint("GET", "/jobs/{id}/attempts", list[shapes.Attempt], asked=questions.OfJob, refusals=(404,))  # type: ignore[valid-type]
def attempts(desk: Desk, asked: questions.OfJob) -> Found:
    """List a job's attempts that did not complete."""
    return Found(job_shapes.history_array(look.whole(desk.records, look.show(desk.records, asked.id))))


@endpoint("GET", "/jobs/{id}/logs", shapes.Logs, asked=questions.OfJob, refusals=(404,))
def logs(desk: Desk, asked: questions.OfJob) -> Found:
    """Show what a job has logged."""
    return Found(job_shapes.logs_object(look.show(desk.records, asked.id)))


@endpoint("GET", "/failed", list[shapes.Failed], asked=questions.WhichFailed)  # type: ignore[valid-type]
def failed_jobs(desk: Desk, asked: questions.WhichFailed) -> Found:
    """List failed jobs, the newest first."""
    _check_texts(type=asked.type, error=asked.error)
    wanted = failed_filter(desk.records, **asked.model_dump(exclude={"limit"}))
    page = failed.page(desk.records, wanted, asked.limit)
    return Found([job_shapes.failed_object(row, desk.jobman.settings) for row in page.rows], page.before)


@endpoint("GET", "/queues", list[shapes.Queue])  # type: ignore[valid-type]
def queues(desk: Desk, asked: Nothing) -> Found:
    """List the queues, with what waits and who serves them."""
    states = metrics.queue_states(desk.records)
    return Found([measures.queue_object(state.queue, state) for state in states])


@endpoint("GET", "/status", shapes.State)
def status(desk: Desk, asked: Nothing) -> Found:
    """Say whether jobs are run."""
    return Found(running.status_object(supervision.overview(desk.records)))


@endpoint("GET", "/supervisors", list[shapes.Supervisor])
def supervisors(desk: Desk, asked: Nothing) -> Found:
    """List the supervisors, on every host."""
    return Found(running.supervisors_array(supervision.overview(desk.records)))


@endpoint("GET", "/workers", list[shapes.Worker])  # type: ignore[valid-type]
def workers(desk: Desk, asked: Nothing) -> Found:
    """List the live workers, on every host."""
    return Found([running.worker_object(worker) for worker in look.workers(desk.records)])


@endpoint("GET", "/metrics", shapes.Metrics | shapes.Series, asked=questions.WhichMetrics)
def figures(desk: Desk, asked: questions.WhichMetrics) -> Found:
    """Show throughput, runtimes and waits: by type and queue, or of one of them with its course."""
    _check_texts(type=asked.type)
    seconds = read_duration(asked.since, "since") or 0.0
    if not 60 <= seconds <= FARTHEST:
        raise InvalidOption("since is out of bounds", hint="Use a duration such as 30m, 12h or 7d.")
    found = metrics.metrics(desk.records, seconds, asked.type, asked.queue)
    if asked.type is None and asked.queue is None:
        return Found(measures.metrics_object(found, metrics.queue_states(desk.records)))
    return Found(measures.series_object(found, asked.type, asked.queue))


@endpoint("GET", "/schedule", list[shapes.Entry])
def entries(desk: Desk, asked: Nothing) -> Found:
    """List what runs by the clock."""
    return Found([registered.entry_object(each, desk.jobman.settings) for each in schedule.look(desk.parts)])


@endpoint("GET", "/tags", list[shapes.Tag])
def tags(desk: Desk, asked: Nothing) -> Found:
    """List the monitored tags."""
    return Found(measures.tags_array(metrics.tag_counts(desk.records)))


@endpoint("GET", "/types", list[shapes.Type])
def types(desk: Desk, asked: Nothing) -> Found:
    """List the job types."""
    known = desk.jobman.registry.types
    return Found([registered.type_object(known[name]) for name in sorted(known)])


@endpoint("GET", "/types/{name}", shapes.WholeType, asked=questions.OfType, refusals=(404,))
def type_(desk: Desk, asked: questions.OfType) -> Found:
    """Show what a job type takes."""
    try:
        job_type = desk.jobman.registry.find(asked.name)
    except UnknownJobType as error:
        raise NotHere(error.message, hint=error.hint) from None
    return Found(registered.whole_type_object(job_type))


@endpoint("GET", "/plugins", list[shapes.Plugin])  # type: ignore[valid-type]
def plugins(desk: Desk, asked: Nothing) -> Found:
    """List plugins and modules."""
    return Found([registered.plugin_object(info) for info in desk.jobman.registry.plugins])


@endpoint("GET", "/alerts", list[shapes.Alert])  # type: ignore[valid-type]
def alerts(desk: Desk, asked: Nothing) -> Found:
    """List the troubles that go on."""
    return Found([measures.alert_object(alert) for alert in look_alerts(desk.records)])


@endpoint("GET", "/audit", list[shapes.Audit], asked=questions.Page)  # type: ignore[valid-type]
def audit(desk: Desk, asked: questions.Page) -> Found:
    """List what was done on the dashboard and through this API, the newest first."""
    rows = audits(desk.records, asked.before, asked.limit)
    shown = [measures.audit_object(row) for row in rows]
    return Found(shown, rows[-1].id if len(rows) == asked.limit else None)


def _check_texts(**texts: str | None) -> None:
    for name, text in texts.items():
        read_text(text, name)
