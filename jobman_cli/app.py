"""The composition root: the only place that picks concrete parts, and the API of an application's code.

Nothing is connected when a ``Jobman`` is made, so it may be made at import time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobman_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from jobman_cli.engine.protocol import Engine
    from jobman_cli.hooks.registry import Registry
    from jobman_cli.operations.metrics import Metrics, QueueState
    from jobman_cli.operations.parts import Lines, Parts, Records
    from jobman_cli.store.database import Database
    from jobman_cli.store.queries_metrics import Total
    from jobman_cli.store.tables import Alert, Job


class Jobman:
    """One application's jobs.

    Args:
        settings: Usually made by ``from_config``.

    Example:
        ``jobman = Jobman.from_config()`` and, anywhere, ``jobman.dispatch("hello", {"name": "Ada"})``.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def from_config(cls, config: str | Path | None = None, **overrides: Any) -> Jobman:
        """Read the configuration.

        Args:
            config: The file; None looks where the command line looks.
            overrides: Settings that win over environment and file, such as ``database="sqlite:///x.db"``.

        Raises:
            ConfigurationError: with everything that is wrong, each with its file and line.
        """
        return cls(load_settings(config, overrides))

    @cached_property
    def registry(self) -> Registry:
        """The job types and plugins; loading them imports only what the configuration names."""
        from jobman_cli.hooks.loader import load_registry

        settings = self.settings
        overrides = {name: override.options() for name, override in settings.jobs.items()}
        return load_registry(
            settings.plugins,
            settings.modules,
            overrides,
            root=settings.root,
            options=settings.plugin_options,
        )

    @cached_property
    def database(self) -> Database:
        """The database, with tables that fit.

        Raises:
            SchemaError, StoreUnavailable: when they do not, or it is away.
        """
        from jobman_cli.store.schema import require_schema

        database = self.bare_database
        require_schema(database)
        return database

    @cached_property
    def bare_database(self) -> Database:
        """The database, whatever its tables."""
        from jobman_cli.store.database import Database

        return Database(self.settings.database, lease=self.settings.lease)

    @cached_property
    def engine(self) -> Engine:
        """The queue."""
        if self.settings.queue == "database":
            from jobman_cli.engine.database_queue import DatabaseQueue

            return DatabaseQueue(self.settings.name)
        from jobman_cli.engine.redis_queue import RedisQueue

        return RedisQueue(self.settings.name, self.settings.queue)

    @cached_property
    def parts(self) -> Parts:
        """What operations work with."""
        from jobman_cli.operations.parts import Parts

        return Parts(self.settings, self.registry, self.database, self.engine)

    @cached_property
    def lines(self) -> Lines:
        """What repairs work with; it loads no plugin."""
        from jobman_cli.operations.parts import Lines

        return Lines(self.settings, self.database, self.engine)

    @cached_property
    def records(self) -> Records:
        """What looks work with; it loads no plugin."""
        from jobman_cli.operations.parts import Records

        return Records(self.settings, self.database)

    def dispatch(
        self,
        name: str,
        attribs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        delay: float | timedelta | None = None,
        tags: Sequence[str] | None = None,
        unique_key: str | None = None,
        session: Any = None,
    ) -> Job:
        """Write a job's row, then push its id; of a unique job that is there, write nothing.

        Args:
            name: The job type.
            attribs: Its arguments by name, validated against the function's signature.
            queue: Another queue than the job type's.
            priority: -1000 … 1000; higher runs first.
            delay: Seconds (or a timedelta) until it may run.
            tags: Text to find it by.
            unique_key: While a job with this key is not finished, no other is written; in the place of what
                the job type's ``unique`` says. 1 to 190 printable characters.
            session: A SQLAlchemy or SQLModel ``Session`` of the same database. The row then joins its
                transaction, and the push happens after that transaction's commit.

        Returns:
            The row; the one that is there when an unfinished job bears the unique key. Redis away leaves it
            ``pending``: dispatch does not raise for that.

        Raises:
            UnknownJobType, InvalidAttribs, InvalidOption: nothing was written.
            StoreUnavailable: the database is away; the row may or may not be there.
        """
        from jobman_cli.operations.dispatch import dispatch
        from jobman_cli.operations.request import Options

        options = Options(queue, priority, delay, tags, unique_key)
        return dispatch(self.parts, name, attribs, options, session)

    def dispatch_many(
        self,
        name: str,
        attribs: Iterable[Mapping[str, Any]],
        *,
        queue: str | None = None,
        priority: int | None = None,
        delay: float | timedelta | None = None,
        tags: Sequence[str] | None = None,
        session: Any = None,
    ) -> Sequence[int]:
        """Dispatch one job for each of ``attribs``; any iterable, of any length.

        Returns:
            The rows' ids, in order; of unique jobs those that are there, so that ids may repeat.

        Raises:
            InvalidAttribs: says which one, and how many were dispatched before it.
            UnknownJobType, InvalidOption, StoreUnavailable: as ``dispatch``.
        """
        from jobman_cli.operations.dispatch import dispatch_many
        from jobman_cli.operations.request import Options

        return dispatch_many(self.parts, name, attribs, Options(queue, priority, delay, tags), session)

    async def adispatch(self, name: str, attribs: Mapping[str, Any] | None = None, **options: Any) -> Job:
        """``dispatch`` from asyncio code, in a thread; it takes the same arguments but ``session``."""
        import asyncio  # a quarter of the time that `jobman --help` takes

        return await asyncio.to_thread(self.dispatch, name, attribs, **options)

    def wait(
        self, job: Job | int, timeout: float | None = None, follow: Callable[[Job], None] | None = None
    ) -> Job:
        """Wait until a job is completed, failed or cancelled.

        Args:
            job: The row or its id.
            timeout: Seconds; None waits for ever.
            follow: Called with the row at each look.

        Returns:
            The row at the end, or when the time is up: its ``status`` tells.

        Raises:
            JobNotFound: when there is none.
        """
        from jobman_cli.operations.look import wait

        return wait(self.records, job if isinstance(job, int) else int(job.id or 0), timeout, follow)

    def metrics(self, since: float = 3600.0, type: str | None = None, queue: str | None = None) -> Metrics:
        """What was measured in the last so many seconds, by job type, by queue, minute by minute."""
        from jobman_cli.operations.metrics import metrics

        return metrics(self.records, since, type, queue)

    def queue_states(self) -> Sequence[QueueState]:
        """Each queue now: how many wait, for how long, who serves it, what wait is to be expected."""
        from jobman_cli.operations.metrics import queue_states

        return queue_states(self.records)

    def totals(self) -> Sequence[Total]:
        """All that was ever counted, by job type and queue: figures that only grow."""
        from jobman_cli.operations.metrics import totals

        return totals(self.records)

    def states(self) -> Mapping[str, int]:
        """Jobs that are not done, by state, and failed ones; each counted up to 100,000."""
        from jobman_cli.operations.metrics import states

        return states(self.records)

    def alerts(self) -> Sequence[Alert]:
        """The troubles that go on, the oldest first."""
        from jobman_cli.operations.alerts import alerts

        return alerts(self.records)

    def close(self) -> None:
        """Close connections."""
        if "bare_database" in self.__dict__:
            self.bare_database.close()
        if "engine" in self.__dict__:
            self.engine.close()
