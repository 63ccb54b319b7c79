"""The systems that are measured, one module each, all doing the same work: ``noop(name="x")``.

A module has these names; those that are coroutine functions are awaited in one event loop.

- ``WORKERS``: how workers are started, by name: ``one`` runs one job at a time where the system can;
  ``best`` is the quickest setting known on two cores; ``idle`` (else ``one``) is used for latency.
- ``dispatch()``: one job, ``{"name": "x"}``.
- ``dispatch_many(n)``: n jobs by the system's own bulk call; None where it has none.
- ``reset()``, if there is one: make tables in the empty database.
- ``opened()``, if there is one: an (async) context in which the three above are called.
- systems whose jobs are coroutines also have a job ``nap``, dispatched when ``place.JOB`` says so, and the
workers
  ``loop``: one process, 200 jobs at once.
- ``HELP``: the command line that prints the system's help.

It runs in an environment of its own, where only its own packages are, and imports nothing else of ours
than this, ``work`` and ``place``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Workers:
    """How workers are started.

    Attributes:
        command: Its first word is looked for beside the environment's Python.
        jobs: About how many no-op jobs it runs in a second: so many are given to it per second of measuring.
        environment: Variables that only these workers get.
        processes: How many times the command is started.
    """

    command: tuple[str, ...]
    jobs: int
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1
