"""Which tags are monitored."""

from __future__ import annotations

from jobman_cli.core.values import read_text
from jobman_cli.dashboard.actions import Done, Fields, action
from jobman_cli.dashboard.desk import Desk
from jobman_cli.errors import InvalidOption
from jobman_cli.operations.metrics import unwatch_tags, watch_tags

#: Characters that a tag can have.
LONGEST = 100


@action("monitor")
def monitor(desk: Desk, fields: Fields) -> Done:
    """Monitor a tag."""
    tag = _tag(fields)
    number = watch_tags(desk.records, [tag])
    return Done(f"{tag} is monitored." if number else f"{tag} was monitored already.", number)


@action("unmonitor")
def unmonitor(desk: Desk, fields: Fields) -> Done:
    """Monitor a tag no more."""
    tag = _tag(fields)
    number = unwatch_tags(desk.records, [tag])
    return Done(f"{tag} is monitored no more." if number else f"{tag} was not monitored.", number)


def _tag(fields: Fields) -> str:
    tag = fields.get("tag", "").strip()
    if len(tag) > LONGEST or not tag:
        raise InvalidOption(f"a tag has 1 to {LONGEST} characters", hint="Use another one.")
    return read_text(tag, "tag") or tag
