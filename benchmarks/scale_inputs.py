"""The model's inputs: what was measured, what is assumed, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.costs import FILE, noted


@dataclass(frozen=True, slots=True)
class Input:
    """One number of the model.

    Attributes:
        source: The command that measured it and its day, or why it is assumed.
    """

    value: float
    source: str
    measured: bool


#: Medians of three rounds of `benchmarks.job_costs --jobs 3000` and of `benchmarks.shards`, on two cores,
#: PostgreSQL 15, Redis 7.0. What `costs.json` holds takes their place.
MEASURED: dict[str, float] = {
    "each.connections": 2,
    "each.dispatch_postgresql_us": 303,
    "each.dispatch_wal_bytes": 597,
    "each.dispatch_xids": 1,
    "each.postgresql_network_bytes": 1122,
    "each.redis_us": 48.8,
    "each.redis_waiting_bytes": 129,
    "each.row_bytes": 546,
    "each.run_postgresql_us": 685,
    "each.run_wal_bytes": 1330,
    "each.run_xids": 1,
    "each.worker_mb": 35.3,
    "each.worker_us": 743,
    "together.connections": 2,
    "together.dispatch_postgresql_us": 10.7,
    "together.dispatch_wal_bytes": 557,
    "together.dispatch_xids": 0.00107,
    "together.postgresql_network_bytes": 279,
    "together.redis_us": 1.91,
    "together.redis_waiting_bytes": 126,
    "together.row_bytes": 843,
    "together.run_postgresql_us": 31,
    "together.run_wal_bytes": 1384,
    "together.run_xids": 0.0165,
    "together.worker_mb": 36.4,
    "together.worker_us": 30.9,
}

#: Name → value and why. None of these was measured.
ASSUMED: dict[str, tuple[float, str]] = {
    "peak": (5, "the busiest hour's rate over the day's mean"),
    "peak_hours": (1, "how long it lasts"),
    "job_seconds": (0.05, "a job's own time, nearly all of it waiting for somebody else"),
    "job_cpu_seconds": (0.005, "of which its own processor time"),
    "unevenness": (4, "squared coefficient of variation of a job's time: a few take much longer"),
    "worker_busy": (0.8, "share of their time that workers may be busy at the peak"),
    "host_cores": (16, "of a host for workers, as fast as a core of the measured machine"),
    "host_gb": (64, "its memory"),
    "host_busy": (0.7, "share of it that may be used at the peak"),
    "database_cores": (16, "of a PostgreSQL primary, likewise"),
    "database_busy": (0.6, "share of them that jobs may use at the peak"),
    "database_more": (1.5, "vacuum, checkpoints and the sending of WAL, over what the statements cost"),
    "wal_more": (1.3, "images of full pages, over the WAL that was measured between two checkpoints"),
    "wal_mb": (150, "MB/s of WAL that a primary's disk and its replica bear"),
    "commits": (20_000, "commits/s that a primary's disk bears, several to a flush"),
    "xids": (400e6, "transactions a day, at which PostgreSQL must freeze every table twice a day"),
    "database_connections": (1_000, "that a primary bears without a pooler"),
    "bloat": (1.2, "dead rows and half-empty pages, over the size after a VACUUM"),
    "failed": (0.01, "share of jobs that leave an attempt and a traceback of 4 KB"),
    "database_tb": (4, "disk of a primary: more takes hours to copy for a new replica"),
    "partition_rows": (50e6, "rows of a partition"),
    "redis_busy": (0.6, "share of its one core that a Redis may use at the peak"),
    "redis_gb": (16, "memory of a Redis for ids"),
    "outage_hours": (1, "for which no worker works and ids pile up, at the mean rate"),
    "network_mb": (600, "MB/s that a server's network bears: half of 10 Gbit/s"),
}


def inputs(file: Path = FILE, given: Mapping[str, float] | None = None) -> dict[str, Input]:
    """All of them: the file's over the defaults, and what was given over both.

    Raises:
        KeyError: when something is given that the model does not know.
    """
    usual = "by job_costs and shards, AMD EPYC, 2 cores, others 0 % to 2 %"
    found = {name: Input(value, usual, True) for name, value in MEASURED.items()}
    found |= {name: Input(value, why, False) for name, (value, why) in ASSUMED.items()}
    for run in noted(file).values():
        source = f"{run['command']}, {run['day']}, {run['machine']}, others {run['others']:.0%}"
        found |= {name: Input(value, source, True) for name, value in run["figures"].items()}
    for name, value in (given or {}).items():
        found[name] = Input(value, "given", found[name].measured and value == found[name].value)
    return found
