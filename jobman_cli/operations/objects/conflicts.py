"""Finished jobs that were left alone, as objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobman_cli.store.lifecycle.unique import Conflict


def conflict_objects(conflicts: Sequence[Conflict]) -> list[dict[str, Any]]:
    """Jobs whose unique key another has; ``holder`` is that job."""
    return [{"id": each.id, "unique_key": each.unique_key, "holder": each.holder} for each in conflicts]
