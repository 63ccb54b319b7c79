"""``jobman metrics``, ``snapshot`` and ``monitor``: what was measured. No plugin is loaded for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import completion, output, talk
from jobman_cli.cli.output import Column
from jobman_cli.cli.rows import duration
from jobman_cli.cli.session import jobman_of
from jobman_cli.core.values import read_duration, read_queues
from jobman_cli.errors import InvalidOption, UsageError
from jobman_cli.operations.objects.measures import metrics_object, series_object, tags_array

if TYPE_CHECKING:
    from jobman_cli.operations.metrics import Measure, Metrics, QueueState

_BARS = "▁▂▃▄▅▆▇█"
#: Cells of a sparkline at the most.
WIDTH = 30
#: Characters of a tag that can be monitored.
MAX_TAG = 190

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]
Moments = Sequence[tuple[datetime, int, "Measure"]]


def metrics(
    ctx: typer.Context,
    type: Annotated[
        str | None,
        typer.Argument(
            metavar="[TYPE]", help="A job type.", show_default=False, autocompletion=completion.job_types
        ),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(
            "--queue", metavar="NAME", help="Only jobs of this queue.", autocompletion=completion.queues
        ),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="How far to look back: 30m, 12h, 7d.")
    ] = "1h",
    as_json: AsJson = False,
) -> None:
    """Show throughput, runtimes and waits by type and queue.

    With TYPE or --queue also how they went, minute by minute. Percentiles are off by a tenth at the most.
    """
    if queue is not None:
        read_queues([queue])
    seconds = read_duration(since, "--since") or 0.0
    if seconds < 60:
        raise InvalidOption("--since must be a minute or more", hint="Use a duration such as 30m, 12h or 7d.")
    jobman = jobman_of(ctx)
    found = jobman.metrics(seconds, type, queue)
    if type is None and queue is None:
        states = jobman.queue_states()
        if as_json:
            output.write_json(metrics_object(found, states))
        else:
            _write_overview(found, states)
    elif as_json:
        output.write_json(series_object(found, type, queue))
    else:
        _write_detail(found)


def snapshot(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Thin old metrics now, and say what there is.

    Workers do it by themselves.

    Minutes older than a day become hours, hours older than 30 days become days. No figure is reset.
    """
    jobman = jobman_of(ctx)
    from jobman_cli.operations.metrics import stored, thin_metrics

    gone = thin_metrics(jobman.records)
    rows = stored(jobman.records)
    if as_json:
        output.write_json({"thinned": gone, **{name: rows.get(span, 0) for name, span in _SPANS}})
        return
    shown = ", ".join(f"{rows.get(span, 0):,} by the {name[:-1]}" for name, span in _SPANS)
    output.write(f"thinned {gone:,} row(s); there are {shown}")


def monitor(
    ctx: typer.Context,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[TAG…]", help="Tags to monitor.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the monitored tags and their jobs.")] = False,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TAG", help="Monitor it no more; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, as --list.")] = False,
) -> None:
    """Monitor tags: how many jobs bear them, how they ended.

    The newest 10,000 jobs are looked at.
    """
    for tag in [*(tags or []), *(stop or [])]:
        if not 0 < len(tag) <= MAX_TAG:
            raise InvalidOption(f"a tag has 1 to {MAX_TAG} characters", hint="Use a shorter one.")
    if not (tags or stop or show or as_json):
        raise UsageError("no tag was given", hint="Name tags to monitor, or use --list.")
    jobman = jobman_of(ctx)
    from jobman_cli.operations.metrics import tag_counts, unwatch_tags, watch_tags

    if stop and unwatch_tags(jobman.records, stop) < len(set(stop)):
        talk.warn("not all of these tags were monitored")
    if tags:
        watch_tags(jobman.records, tags)
    counts = tag_counts(jobman.records)
    if as_json:
        output.write_json(tags_array(counts))
    elif not counts:
        talk.say("no tag is monitored")
    elif show or tags:
        _write_tags(counts)


_SPANS = (("minutes", 60), ("hours", 3600), ("days", 86_400))


def _write_overview(found: Metrics, states: Sequence[QueueState]) -> None:
    types = found.types()
    if not types and not states:
        talk.say(f"nothing ended in the last {duration(found.seconds)}, and nothing waits")
        return
    if types:
        lines = [(name, figures, sparkline(found, _ended, type=name)) for name, figures in types.items()]
        output.write_table(
            lines,
            [
                Column("type", lambda row: row[0]),
                Column("completed", lambda row: f"{row[1].completed:,}", right=True),
                Column("failed", lambda row: f"{row[1].failed_attempts:,}", right=True),
                Column("per min", lambda row: f"{row[1].per_minute:,.1f}", right=True),
                Column("runtime", lambda row: short(row[1].runtime_avg), rank=1, right=True),
                Column("p95", lambda row: short(row[1].runtime_p95), rank=2, right=True),
                Column("max", lambda row: short(row[1].runtime_max), rank=3, right=True),
                Column("wait p95", lambda row: short(row[1].wait_p95), rank=2, right=True),
                Column("ended", lambda row: row[2], rank=4),
            ],
        )
    if types and states:
        output.write("")
    if states:
        output.write_table(
            states,
            [
                Column("queue", lambda state: state.queue + (" (paused)" if state.paused else "")),
                Column("waiting", lambda state: f"{state.size:,}", right=True),
                Column("oldest", lambda state: short(state.oldest), right=True),
                Column("workers", lambda state: str(state.workers), right=True),
                Column("runtime", lambda state: short(state.runtime), rank=2, right=True),
                Column("expected wait", lambda state: short(state.wait), right=True),
            ],
        )


def _write_detail(found: Metrics) -> None:
    figures = found.measure()
    if not figures.completed + figures.failed_attempts:
        talk.say(f"nothing of that ended in the last {duration(found.seconds)}")
        return
    times = {
        "runtime": (figures.runtime_avg, figures.runtime_p50, figures.runtime_p95, figures.runtime_max),
        "wait": (figures.wait_avg, None, figures.wait_p95, figures.wait_max),
    }
    fields = [
        ("completed", f"{figures.completed:,}"),
        ("failed", f"{figures.failed_attempts:,} attempts, {figures.failed_jobs:,} jobs"),
        ("per minute", f"{figures.per_minute:,.1f}"),
    ]
    for name, values in times.items():
        named = zip(("average", "p50", "p95", "max"), values, strict=True)
        fields.append(
            (name, ", ".join(f"{what} {short(value)}" for what, value in named if value is not None))
        )
    fields += [
        ("ended", sparkline(found, _ended)),
        ("runtime p95", sparkline(found, lambda each: each.runtime_p95 or 0.0)),
        ("wait p95", sparkline(found, lambda each: each.wait_p95 or 0.0)),
    ]
    output.write_fields(fields)


def _write_tags(counts: dict[str, dict[str, int]]) -> None:
    output.write_table(
        list(counts.items()),
        [
            Column("tag", lambda row: row[0]),
            Column("jobs", lambda row: f"{sum(row[1].values()):,}", right=True),
            Column("completed", lambda row: f"{row[1].get('completed', 0):,}", right=True),
            Column("failed", lambda row: f"{row[1].get('failed', 0):,}", right=True),
        ],
    )


def _ended(figures: Measure) -> float:
    return float(figures.completed + figures.failed_attempts)


def sparkline(found: Metrics, value: Any, type: str | None = None) -> str:
    """A figure's course over the window in at most ``WIDTH`` bars; where nothing ended there is a blank."""
    cells = max(1, min(WIDTH, round(found.seconds / 60)))
    width = found.seconds / cells
    heights: list[float | None] = [None] * cells
    for at, _, figures in found.series(type=type):
        place = min(int((at - found.since).total_seconds() / width), cells - 1)
        heights[place] = max(heights[place] or 0.0, value(figures))
    top = max((height for height in heights if height is not None), default=0.0)
    return "".join(" " if height is None else _bar(height, top) for height in heights)


def _bar(height: float, top: float) -> str:
    return _BARS[min(int(height / top * len(_BARS)), len(_BARS) - 1)] if top else _BARS[0]


def short(seconds: float | None) -> str:
    """A length of time in three characters and a unit."""
    if seconds is None:
        return ""
    for below, unit, name in ((0.001, 1e-6, "µs"), (1, 0.001, "ms")):
        if seconds < below:
            return f"{seconds / unit:.3g} {name}" if seconds else "0 s"
    return f"{seconds:.3g} s" if seconds < 100 else duration(seconds)
