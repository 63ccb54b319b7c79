"""The collector: one scrape is a handful of bounded reads, whoever counted what in which process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from jobman_cli import Jobman, JobmanError

#: Seconds of which quantiles are shown, and for which one look serves all who ask.
RECENT, FRESH = 300.0, 1.0


class JobmanCollector:
    """Reads the figures when Prometheus asks for them.

    Args:
        jobman: The application.
    """

    def __init__(self, jobman: Jobman) -> None:
        self._jobman = jobman
        self._lock = threading.Lock()
        self._looked, self._found = -FRESH, []

    def collect(self) -> Iterable[Metric]:
        """All metrics. Never raises for a server that is away: then ``jobman_up`` is 0."""
        with self._lock:  # any number of scrapes at once cost one look
            if time.monotonic() - self._looked >= FRESH:
                self._found = list(self._look())
                self._looked = time.monotonic()
            return self._found

    def _look(self) -> Iterator[Metric]:
        try:
            found = [*self._totals(), *self._recent(), *self._now()]
        except JobmanError:
            yield _gauge("up", "1 when the database answered.", [], [((), 0)])
            return
        yield _gauge("up", "1 when the database answered.", [], [((), 1)])
        yield from found

    def _totals(self) -> Iterator[Metric]:
        names = ["type", "queue"]
        attempts = CounterMetricFamily("jobman_attempts", "Attempts that ended.", labels=[*names, "outcome"])
        failed = CounterMetricFamily(
            "jobman_failed_jobs", "Attempts that were a job's last try.", labels=names
        )
        runtime = SummaryMetricFamily("jobman_runtime_seconds", "How long attempts ran.", labels=names)
        wait = SummaryMetricFamily("jobman_wait_seconds", "From joining the line to the start.", labels=names)
        for total in self._jobman.totals():
            key, number = [total.type, total.queue], total.completed + total.failed_attempts
            attempts.add_metric([*key, "completed"], total.completed)
            attempts.add_metric([*key, "failed"], total.failed_attempts)
            failed.add_metric(key, total.failed_jobs)
            runtime.add_metric(key, count_value=number, sum_value=total.runtime)
            wait.add_metric(key, count_value=number, sum_value=total.wait)
        yield from (attempts, failed, runtime, wait)

    def _recent(self) -> Iterator[Metric]:
        types = self._jobman.metrics(since=RECENT).types().items()
        labels = ["type", "quantile"]
        runtimes = [
            ((name, quantile), value)
            for name, figures in types
            for quantile, value in (("0.5", figures.runtime_p50), ("0.95", figures.runtime_p95))
        ]
        waits = [((name, "0.95"), figures.wait_p95) for name, figures in types]
        yield _gauge("recent_runtime_seconds", "Of the last five minutes.", labels, runtimes)
        yield _gauge("recent_wait_seconds", "Of the last five minutes.", labels, waits)

    def _now(self) -> Iterator[Metric]:
        jobs = [((status,), number) for status, number in self._jobman.states().items()]
        yield _gauge("jobs", "Jobs that are not done, and failed ones.", ["status"], jobs)
        kinds = Counter(alert.kind for alert in self._jobman.alerts())
        alerts = [((kind,), number) for kind, number in kinds.items()]
        yield _gauge("alerts", "Troubles that go on.", ["kind"], alerts)
        states = self._jobman.queue_states()
        for name, text, attribute in (
            ("queue_size", "Rows that wait.", "size"),
            ("queue_oldest_seconds", "How long the first of the line has waited.", "oldest"),
            ("queue_workers", "Live workers that serve it.", "workers"),
            ("queue_expected_wait_seconds", "For a job that joins now.", "wait"),
            ("queue_paused", "1 when it is paused.", "paused"),
        ):
            values = [((state.queue,), getattr(state, attribute)) for state in states]
            yield _gauge(name, text, ["queue"], values)
        yield from self._lines([state.queue for state in states])

    def _lines(self, queues: Iterable[str]) -> Iterator[Metric]:
        try:
            self._jobman.engine.check()
            sizes = [((queue,), self._jobman.engine.size(queue)) for queue in queues]
        except JobmanError:
            sizes, is_up = [], 0
        else:
            is_up = 1
        yield _gauge("queue_up", "1 when the queue answered.", [], [((), is_up)])
        yield _gauge("queue_line", "Ids in the queue's line in Redis.", ["queue"], sizes)


def _gauge(name: str, text: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], Any]]) -> Metric:
    """A gauge; a value of None is left out."""
    gauge = GaugeMetricFamily(f"jobman_{name}", text, labels=labels)
    for key, value in values:
        if value is not None:
            gauge.add_metric(list(key), float(value))
    return gauge
