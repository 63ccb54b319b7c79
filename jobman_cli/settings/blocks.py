"""Which supervisors run in an environment.

``defaults``, ``supervisors`` and ``environments`` are laid over each other.

As in Horizon: ``defaults`` give each supervisor of every environment its options; an environment's own
block wins over them. Without ``environments`` the blocks of ``supervisors`` run everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from jobman_cli.errors import ConfigurationError
from jobman_cli.settings.model import SUPERVISOR_DEFAULTS, Settings


@dataclass(frozen=True, slots=True)
class Block:
    """One supervisor's options; times in seconds, memory in MiB, 0 is without limit."""

    name: str
    queues: tuple[str, ...]
    balance: str
    scaling: str
    min_processes: int
    max_processes: int
    max_shift: int
    cooldown: float
    worker_type: str
    concurrency: int
    memory: int
    max_jobs: int
    max_time: float
    nice: int


def blocks(settings: Settings, environment: str | None) -> list[Block]:
    """The supervisors of an environment, without those whose ``max_processes`` is 0.

    Args:
        environment: Its name; None takes ``supervisors`` as they are.

    Raises:
        ConfigurationError: for an environment that the configuration does not have.
    """
    if environment is None:
        return _made(settings.supervisors)
    own = settings.environments.get(environment)
    if own is None:
        matching = (some for name, some in settings.environments.items() if fnmatchcase(environment, name))
        own = next(matching, None)
    if own is None:
        known = ", ".join(sorted(settings.environments)) or "none"
        raise ConfigurationError(
            f"environments: there is no environment {environment!r}; the configuration has {known}",
            hint="Add it under `environments:`, or name another with --environment.",
        )
    names = dict.fromkeys([*settings.defaults, *own])
    return _made({name: {**settings.defaults.get(name, {}), **own.get(name, {})} for name in names})


def _made(supervisors: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    made = []
    for name, options in supervisors.items():
        whole = {**SUPERVISOR_DEFAULTS, **options}
        if whole["max_processes"] > 0:
            chosen = {field.name: whole[field.name] for field in fields(Block) if field.name != "name"}
            made.append(Block(name=name, **chosen | {"queues": tuple(whole["queues"])}))
    return made
