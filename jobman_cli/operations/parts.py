"""The parts that an operation works with; ``app`` picks them."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobman_cli.engine.protocol import Engine
from jobman_cli.hooks.registry import Registry
from jobman_cli.operations.group_commit import ONE_BY_ONE, SIDE_BY_SIDE, GroupCommit
from jobman_cli.settings import Settings
from jobman_cli.store.database import Database


@dataclass(frozen=True, slots=True)
class Records:
    """What a look needs: reading rows imports no plugin and no engine."""

    settings: Settings
    database: Database


@dataclass(frozen=True, slots=True)
class Lines:
    """What a repair needs: rows and their lines. It works although a plugin does not."""

    settings: Settings
    database: Database
    engine: Engine


@dataclass(frozen=True, slots=True)
class Parts:
    """One application's settings, job types, database and queue.

    Attributes:
        group: Where dispatches of several threads meet.
    """

    settings: Settings
    registry: Registry
    database: Database
    engine: Engine
    group: GroupCommit = field(init=False)

    def __post_init__(self) -> None:
        pace = ONE_BY_ONE if self.database.dialect.one_writer else SIDE_BY_SIDE
        object.__setattr__(self, "group", GroupCommit(pace))
