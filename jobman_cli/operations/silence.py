"""Silenced jobs: those of whose success nobody wants to read.

They run, are counted and raise alerts like any other. Only lists leave them out, and only once they are
completed: one that waits, runs, failed or was cancelled is always shown. The row does not say that its job is
silenced, so a job costs nothing for it, and a change of the configuration holds for the jobs of before.
"""

from __future__ import annotations

from dataclasses import replace

from jobman_cli.core.states import Status
from jobman_cli.settings import Settings
from jobman_cli.store.queries import JobFilter, Silence


def silence_of(settings: Settings) -> Silence:
    """What the configuration silences; a job type's own ``silenced`` wins over the list of types."""
    own = {name: each.silenced for name, each in settings.jobs.items() if each.silenced is not None}
    types = {*settings.silenced, *(name for name, silenced in own.items() if silenced)}
    return Silence(
        tuple(sorted(name for name in types if own.get(name, True))), tuple(sorted(settings.silenced_tags))
    )


def without_silenced(settings: Settings, wanted: JobFilter) -> JobFilter:
    """The same question, less the silenced jobs that are completed.

    Who names a type or a tag wants to see its jobs: then nothing is left out.
    """
    silence = silence_of(settings)
    explicit = wanted.type is not None or wanted.tag is not None
    unasked = wanted.statuses and Status.COMPLETED not in wanted.statuses
    if explicit or unasked or silence == Silence():
        return wanted
    return replace(wanted, without=silence)


def only_silenced(settings: Settings, wanted: JobFilter) -> JobFilter:
    """The same question, about silenced jobs alone, whatever their state."""
    return replace(wanted, only=silence_of(settings))
