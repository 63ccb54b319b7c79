"""What is translated although no template writes it: words that come from rows, settings and plugins."""

from __future__ import annotations

from typing import get_args

from jobman_cli.core.alerts import AlertKind
from jobman_cli.core.outcome import OutcomeKind
from jobman_cli.core.states import Status
from jobman_cli.dashboard.actions import (  # noqa: F401  # they register what they can do
    ACTIONS,
    jobs,
    queues,
    schedule,
    supervisors,
    tags,
)
from jobman_cli.dashboard.api.table import ENDPOINTS
from jobman_cli.dashboard.pages import MENU
from jobman_cli.dashboard.sayings.validation import PARTS
from jobman_cli.dashboard.search import QUALIFIERS
from jobman_cli.dashboard.view import KEYS, THEMES
from jobman_cli.hooks.registry import PluginState

#: What happened to a job, beside its states and outcomes.
EVENTS = ("dispatched", "run again", "asked to stop", "due", "rescued")
#: Supervisors and workers, queues, entries of the schedule.
PROCESSES = ("running", "paused", "stopping", "stopped", "lost", "silent", "inactive")
SCHEDULE = ("waiting", "skipped", "broken")
AUDIT = ("done", "refused")
#: What supervisors are told.
COMMANDS = tuple(supervisors.SAID)

WORDS: frozenset[str] = frozenset(
    (
        *map(str, Status),
        *map(str, OutcomeKind),
        *EVENTS,
        *PROCESSES,
        *SCHEDULE,
        *AUDIT,
        *COMMANDS,
        *ACTIONS,
        *(each.action for each in ENDPOINTS if each.action),
        *map(str, AlertKind),
        *PARTS,
        *get_args(PluginState),
        *THEMES,
        *KEYS,
        *(takes for takes, _ in QUALIFIERS.values()),
        *(item.title for item in MENU if item.title),
    )
)
