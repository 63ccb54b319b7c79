"""Bar charts as SVG: one figure, a bar a system, whiskers from the least to the most."""

from __future__ import annotations

import statistics
from html import escape
from pathlib import Path

from benchmarks.report import COLUMNS, Run, by_round, loud
from benchmarks.systems import SYSTEMS

#: Figure → file, title. What is drawn is the run's, nothing else.
CHARTS = {
    "drain_one": ("drain-one.svg", "Jobs a second, drained by one worker"),
    "drain_best": ("drain-best.svg", "Jobs a second, drained by each system's best setting"),
    "dispatch": ("dispatch.svg", "Jobs a second, dispatched one by one"),
    "p50_ms": ("latency.svg", "Idle latency, median, in milliseconds"),
}
_WIDTH, _LEFT, _RIGHT, _BAR, _STEP, _TOP = 760, 270, 80, 16, 24, 48
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-size:15px;font-weight:600}"
    ".o{fill:#0969da}.p{fill:#afb8c1}.w{stroke:#24292f;stroke-width:1}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.p{fill:#59636e}.w{stroke:#e6edf3}}"
)


def draw(run: Run, directory: Path) -> list[Path]:
    """Write a chart for each figure that the run has; returns the files."""
    written = []
    for figure, (name, title) in CHARTS.items():
        found = {system: list(by_round(run, system, figure).values()) for system in SYSTEMS}
        if bars := {system: values for system, values in found.items() if values}:
            path = directory / name
            path.write_text(
                svg(title, _note(run), bars, descending=figure in COLUMNS and figure[-2:] != "ms")
            )
            written.append(path)
    return written


def _note(run: Run) -> str:
    machine = run["machine"]
    said = f"{machine['cpu']}, {machine['cores']} cores, {run['began']}"
    return f"{said}; NOT A QUIET MACHINE: no ratio is to be quoted" if loud(run) else said


def svg(title: str, note: str, bars: dict[str, list[float]], *, descending: bool) -> str:
    """The drawing: medians as bars, the best on top."""
    order = sorted(bars, key=lambda system: statistics.median(bars[system]), reverse=descending)
    most = max(max(values) for values in bars.values())
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    height = _TOP + _STEP * len(order) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="t" x="8" y="22">{escape(title)}</text>',
    ]
    for number, system in enumerate(order):
        values, y = bars[system], _TOP + _STEP * number
        middle = statistics.median(values)
        kind = "o" if SYSTEMS[system].peer == "jobman" else "p"
        low, high = _LEFT + min(values) * scale, _LEFT + max(values) * scale
        line = y + _BAR / 2
        shown = f"{middle:,.1f}" if most < 1000 else f"{middle:,.0f}"
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(SYSTEMS[system].title)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{middle * scale:.1f}" height="{_BAR}"/>',
            f'<path class="w" d="M{low:.1f} {line}H{high:.1f}"/>',
            f'<text x="{high + 6:.1f}" y="{y + 12}">{shown}</text>',
        ]
    parts.append(f'<text x="8" y="{height - 8}">{escape(note)}</text></svg>')
    return "\n".join(parts) + "\n"
