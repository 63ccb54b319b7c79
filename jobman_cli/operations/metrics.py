"""What was measured: over a window, minute by minute, and what it says about the wait to come.

Workers count (``runtime.meter``), maintenance thins by age, and nothing here is reset by either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobman_cli.core.histogram import percentile
from jobman_cli.operations.parts import Lines, Parts, Records
from jobman_cli.store.lifecycle.metrics import DAY, HOUR, MINUTE, Count, Spread, thin
from jobman_cli.store.lifecycle.tags import forget, monitor
from jobman_cli.store.queries import database_now, live_workers
from jobman_cli.store.queries_metrics import (
    FAR,
    Line,
    Span,
    Total,
    count_rows,
    count_states,
    monitored_tags,
    read_lines,
    read_parts,
    read_runtimes,
    read_spans,
    read_totals,
    recent_tags,
)
from jobman_cli.store.tables import Worker

#: How long rows are kept by the minute, and then by the hour, in seconds; after that by the day.
KEEP_MINUTES, KEEP_HOURS = 86_400, 30 * 86_400
#: Periods that one round of thinning rolls up at the most.
PERIODS = 200
#: Seconds over which the average runtime rolls, and how far back it is looked for at the most.
ROLLING, FARTHEST = 600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Measure:
    """Figures of some attempts; times in seconds, None where nothing was counted.

    Attributes:
        per_minute: Attempts that ended, over the window.
        runtime_p50: Percentiles are off by 9.1 % at the most; see ``core.histogram``.
    """

    completed: int
    failed_attempts: int
    failed_jobs: int
    per_minute: float
    runtime_avg: float | None
    runtime_p50: float | None
    runtime_p95: float | None
    runtime_max: float | None
    wait_avg: float | None
    wait_p95: float | None
    wait_max: float | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue now.

    Attributes:
        size: Rows that wait; counted up to 100,000, or where the reader asked for.
        oldest: Seconds for which the first of its line has waited.
        workers: Live workers that serve it.
        runtime: The rolling average of its jobs, in seconds.
        wait: What a job that joins now may expect, in seconds; None when nobody can say.
    """

    queue: str
    size: int
    oldest: float | None
    paused: bool
    workers: int
    runtime: float | None
    wait: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured in a window.

    Attributes:
        seconds: Its length.
        spans: Its rows, the oldest first.
    """

    since: datetime
    until: datetime
    seconds: float
    spans: Sequence[Span]

    def types(self) -> dict[str, Measure]:
        """Figures by job type."""
        return {name: self.measure(type=name) for name in sorted({span.type for span in self.spans})}

    def queues(self) -> dict[str, Measure]:
        """Figures by queue."""
        return {name: self.measure(queue=name) for name in sorted({span.queue for span in self.spans})}

    def measure(self, type: str | None = None, queue: str | None = None) -> Measure:
        """Figures of a type, of a queue, or of everything."""
        return _measure(self._some(type, queue), self.seconds)

    def series(
        self, type: str | None = None, queue: str | None = None
    ) -> list[tuple[datetime, int, Measure]]:
        """Figures by minute (by hour or day where that is all there is): beginning, seconds, figures.

        Spans in which nothing ended are left out.
        """
        found: dict[tuple[datetime, int], list[Span]] = {}
        for span in self._some(type, queue):
            found.setdefault((span.at, span.seconds), []).append(span)
        return [(at, seconds, _measure(some, seconds)) for (at, seconds), some in sorted(found.items())]

    def bins(
        self, width: int, type: str | None = None, queue: str | None = None
    ) -> list[tuple[datetime, Measure]]:
        """Figures of equal parts of the window, the oldest first, also of those in which nothing ended.

        The last minute is left out: workers have not told all of it yet.

        Args:
            width: Seconds of one part; no less than a row stands for.
        """
        first = int(self.since.timestamp()) // width * width
        end = int(self.until.timestamp()) // MINUTE * MINUTE
        found: dict[int, list[Span]] = {begin: [] for begin in range(first, end, width)}
        for span in self._some(type, queue):
            begin = int(span.at.timestamp()) // width * width
            if begin in found and span.at.timestamp() < end:
                found[begin].append(span)
        return [
            (datetime.fromtimestamp(begin, UTC), _measure(some, self._within(begin, begin + width, end)))
            for begin, some in found.items()
        ]

    def _within(self, begin: int, upto: int, end: int) -> float:
        """Seconds of a part that lie in the window."""
        return min(upto, end) - max(begin, self.since.timestamp())

    def _some(self, type: str | None, queue: str | None) -> list[Span]:
        return [span for span in self.spans if type in (None, span.type) and queue in (None, span.queue)]


def metrics(
    records: Parts | Lines | Records,
    since: float = 3600.0,
    type: str | None = None,
    queue: str | None = None,
    width: int | None = None,
) -> Metrics:
    """What was measured lately.

    Args:
        since: Seconds; whole minutes (later hours, days) that begin in that time count.
        width: Seconds of the parts in which the figures are wanted: the database adds up to these. None
            keeps every minute.

    Raises:
        StoreUnavailable: when the database is away.
    """
    now = records.database.read(database_now)
    begin = max(now - timedelta(seconds=min(since, 36_500 * DAY)), datetime(1970, 1, 2, tzinfo=UTC))
    begin = begin.replace(second=0, microsecond=0)
    if width is None:
        spans = records.database.read(read_spans, begin, type, queue)
    else:
        spans = records.database.read(
            read_parts, begin, now.replace(second=0, microsecond=0), type, queue, width
        )
    return Metrics(begin, now, (now - begin).total_seconds(), spans)


def queue_states(records: Parts | Lines | Records, most: int = FAR) -> list[QueueState]:
    """Every queue in which something waits, that workers serve, or whose jobs ran lately.

    The estimated wait is size × rolling average runtime ÷ live workers that serve the queue. A worker that
    serves several counts for each, so it is the wait if the others are empty.

    Args:
        most: Rows of each queue that are counted at the most.

    Raises:
        StoreUnavailable: when the database is away.
    """
    now = records.database.read(database_now)
    waiting = {line.queue: line for line in records.database.read(read_lines, most)}
    workers = records.database.read(live_workers, records.settings.lease)
    served = {queue for worker in workers for queue in worker.queues}
    runtimes = records.database.read(read_runtimes, now - timedelta(seconds=ROLLING))
    if {*waiting, *served} - runtimes.keys():  # some have been quiet
        runtimes = records.database.read(read_runtimes, now - timedelta(seconds=FARTHEST)) | runtimes
    return [
        _queue_state(name, waiting.get(name), workers, _rolling_average(runtimes.get(name, ())), now)
        for name in sorted({*waiting, *served, *runtimes})
    ]


def totals(records: Parts | Lines | Records) -> list[Total]:
    """All that was ever counted, by job type and queue; the figures only grow."""
    return records.database.read(read_totals)


def states(records: Parts | Lines | Records, most: int = FAR) -> dict[str, int]:
    """Jobs that are not done, by state, and failed jobs; each counted up to ``most``."""
    return records.database.read(count_states, most)


def thin_metrics(records: Parts | Lines | Records, now: datetime | None = None) -> int:
    """Roll minutes older than a day up into hours, and hours older than 30 days into days.

    Returns:
        How many rows went.

    Raises:
        StoreUnavailable: when the database is away.
    """
    now = now or records.database.read(database_now)
    gone = 0
    for source, target, keep in ((MINUTE, HOUR, KEEP_MINUTES), (HOUR, DAY, KEEP_HOURS)):
        seconds = (int(now.timestamp()) - keep) // target * target
        before = datetime.fromtimestamp(seconds, UTC)
        for _ in range(PERIODS):
            went = records.database.run(thin, source, target, before)
            gone += went
            if not went:
                break
    return gone


def stored(records: Parts | Lines | Records) -> dict[int, int]:
    """How many rows of metrics there are, by the seconds that each stands for."""
    return records.database.read(count_rows)


def watch_tags(records: Parts | Lines | Records, tags: Sequence[str]) -> int:
    """Monitor tags; the number of those that were not monitored before."""
    return records.database.run(monitor, list(tags))


def unwatch_tags(records: Parts | Lines | Records, tags: Sequence[str]) -> int:
    """Stop monitoring tags; the number of those that were monitored."""
    return records.database.run(forget, list(tags))


def tag_counts(records: Parts | Lines | Records) -> dict[str, dict[str, int]]:
    """Each monitored tag with how many of the newest 10,000 jobs bear it, by state."""
    counts: dict[str, dict[str, int]] = {tag: {} for tag in records.database.read(monitored_tags)}
    if counts:
        for tags, status in records.database.read(recent_tags):
            for tag in set(tags) & counts.keys():
                counts[tag][status] = counts[tag].get(status, 0) + 1
    return counts


def _queue_state(
    name: str, line: Line | None, workers: Sequence[Worker], runtime: float | None, now: datetime
) -> QueueState:
    serving = sum(1 for worker in workers if name in worker.queues)
    size = line.size if line else 0
    wait: float | None = None
    if size == 0 and serving:
        wait = 0.0
    elif runtime is not None and serving:
        wait = size * runtime / serving
    oldest = None
    if line is not None and line.oldest is not None:
        oldest = max((now - line.oldest).total_seconds(), 0.0)
    return QueueState(name, size, oldest, bool(line and line.paused), serving, runtime, wait)


def _rolling_average(spans: Sequence[tuple[datetime, float, int]]) -> float | None:
    """Of the last ten minutes in which jobs of the queue ended, which may be some time ago."""
    if not spans:
        return None
    begin = spans[-1][0] - timedelta(seconds=ROLLING)
    recent = [(seconds, attempts) for at, seconds, attempts in spans if at > begin]
    return sum(seconds for seconds, _ in recent) / sum(attempts for _, attempts in recent)


def _measure(spans: Iterable[Span], seconds: float) -> Measure:
    whole = Count()
    for span in spans:
        whole.add(span.count)
    number = whole.attempts

    def share(spread: Spread, part: float) -> float | None:
        return percentile(spread.histogram, part, spread.max)

    return Measure(
        whole.completed,
        whole.failed_attempts,
        whole.failed_jobs,
        number * 60 / seconds if seconds else 0.0,
        whole.runtime.sum / number if number else None,
        share(whole.runtime, 0.5),
        share(whole.runtime, 0.95),
        whole.runtime.max if number else None,
        whole.wait.sum / number if number else None,
        share(whole.wait, 0.95),
        whole.wait.max if number else None,
    )
