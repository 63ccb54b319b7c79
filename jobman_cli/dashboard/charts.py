"""Charts: numbers that the script draws, and the same as SVG and as a table for those who have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from markupsafe import Markup

from jobman_cli.operations.metrics import Measure

#: Gettext's mark for words that are translated where they are shown.
N_ = str

#: Figures of equal parts of a time, as ``Metrics.bins`` gives them.
Parts = Sequence[tuple[datetime, Measure]]

#: How far one can look back, by what an address says: seconds, and for how many of them one point stands.
WINDOWS: Mapping[str, tuple[int, int]] = {
    "1h": (3600, 60),
    "6h": (6 * 3600, 300),
    "24h": (86_400, 900),
    "7d": (7 * 86_400, 3600),
}
#: Points of the table, the newest ones.
ROWS = 60
#: The drawing's own units; it is stretched to the room there is.
WIDTH, HEIGHT = 600, 160


@dataclass(frozen=True, slots=True)
class Chart:
    """Some lines over the same times.

    Attributes:
        id: Of its element.
        title: In English.
        unit: ``number`` or ``seconds``.
        at: Seconds since 1970, ascending.
        lines: Name in English to values; None where there is nothing to show.
    """

    id: str
    title: str
    unit: str
    at: Sequence[int]
    lines: Mapping[str, Sequence[float | None]]

    @property
    def data(self) -> dict[str, object]:
        """What the script draws."""
        return {"unit": self.unit, "series": [list(self.at), *map(list, self.lines.values())]}

    @property
    def top(self) -> float | None:
        """The greatest value; None when there is nothing to show."""
        return max(
            (value for line in self.lines.values() for value in line if value is not None), default=None
        )

    def rows(self) -> Iterator[tuple[datetime, list[float | None]]]:
        """The newest points that say something, the newest first."""
        found = 0
        for place in range(len(self.at) - 1, -1, -1):
            values = [line[place] for line in self.lines.values()]
            if any(values) and found < ROWS:
                found += 1
                yield datetime.fromtimestamp(self.at[place], UTC), values

    def drawing(self) -> Markup:
        """Its lines as SVG."""
        top = self.top or 1.0
        step = WIDTH / max(len(self.at) - 1, 1)
        drawn = Markup("").join(
            Markup('<polyline class="line-{}" points="{}"/>').format(number, points)
            for number, line in enumerate(self.lines.values())
            for points in _strokes(line, step, top)
        )
        return Markup(
            '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
        ).format(WIDTH, HEIGHT, drawn)


def throughput(parts: Parts) -> Chart:
    """Attempts that ended, per minute."""
    lines: dict[str, Callable[[Measure], float | None]] = {
        N_("completed"): lambda part: part.per_minute * _share(part.completed, part),
        N_("failed"): lambda part: part.per_minute * _share(part.failed_attempts, part),
    }
    return _chart("throughput", N_("Jobs per minute"), "number", parts, lines)


def runtimes(parts: Parts) -> Chart:
    """How long attempts took."""
    lines: dict[str, Callable[[Measure], float | None]] = {
        N_("p50"): lambda part: part.runtime_p50,
        N_("p95"): lambda part: part.runtime_p95,
    }
    return _chart("runtime", N_("Runtime"), "seconds", parts, lines)


def waits(parts: Parts) -> Chart:
    """How long jobs waited for an attempt."""
    lines: dict[str, Callable[[Measure], float | None]] = {
        N_("average"): lambda part: part.wait_avg,
        N_("p95"): lambda part: part.wait_p95,
    }
    return _chart("wait", N_("Wait"), "seconds", parts, lines)


def per_minute(parts: Parts) -> list[float]:
    """What ended, per minute, for a sparkline."""
    return [part.per_minute for _, part in parts]


def _chart(
    id: str,
    title: str,
    unit: str,
    parts: Parts,
    lines: Mapping[str, Callable[[Measure], float | None]],
) -> Chart:
    at = [int(moment.timestamp()) for moment, _ in parts]
    values = {name: [_rounded(value(part)) for _, part in parts] for name, value in lines.items()}
    return Chart(id, title, unit, at, values)


def _share(number: int, part: Measure) -> float:
    return number / ((part.completed + part.failed_attempts) or 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _strokes(line: Sequence[float | None], step: float, top: float) -> Iterator[str]:
    """The unbroken parts of a line; a point that stands alone becomes a short dash."""
    for known, some in groupby(enumerate(line), lambda point: point[1] is not None):
        if known:
            points = [
                (place * step, HEIGHT - 1 - (value or 0.0) / top * (HEIGHT - 2)) for place, value in some
            ]
            if len(points) == 1:
                points.append((points[0][0] + step / 2, points[0][1]))
            yield " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
