"""Where a peer's module finds its servers, from the variables that the runner sets."""

from __future__ import annotations

import os

VARIANT = os.environ.get("BENCH_VARIANT", "")
#: The job that is dispatched: ``noop``, or ``nap``.
JOB = os.environ.get("BENCH_JOB", "noop")
#: redis://…
REDIS = os.environ.get("BENCH_REDIS", "")
#: postgresql://…, as libpq takes it; or the path of a SQLite file.
DATABASE = os.environ.get("BENCH_DATABASE", "")
