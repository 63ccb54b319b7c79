"""What ``--json`` prints and the JSON API answers: one shape for each thing, with documented keys.

The keys are described in ``docs/reference/json.md`` and are stable: new ones may come, none goes. A time may
be a ``datetime`` here; ``iso`` makes text of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def iso(moment: datetime) -> str:
    """ISO 8601, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """What JSON does not know, for ``json.dumps(default=…)``."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    return str(value)
