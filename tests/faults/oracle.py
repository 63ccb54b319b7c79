"""The oracle: what was acknowledged, what ended, and how often each job had its effect.

Clients append each acknowledged id to a file. Jobs insert into `effect`, which has no unique constraint,
in the transaction that completes them. After the drain:

    lost     = acknowledged ids whose row is missing or not final
    doubled  = ids with more than one effect
    unearned = effects of jobs that are not completed, completed jobs without an effect
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from jobman_cli.core.states import FINAL, Status
from jobman_cli.store.database import Database

TABLE = "CREATE TABLE effect (job_id BIGINT NOT NULL, attempt INTEGER NOT NULL)"
#: Jobs of these types have an effect when they complete.
WITH_EFFECT = ("effect", "held", "flaky", "async_effect")


@dataclass
class Verdict:
    """What the oracle found; empty lists are good."""

    acknowledged: int
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    unearned: list[int] = field(default_factory=list)
    illegal: list[int] = field(default_factory=list)
    #: Facts about the run: rows, claims, rescues, states.
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.unearned or self.illegal)


class Oracle:
    """Asks one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.transaction() as connection:
            connection.execute(text(TABLE))

    def judge(self, files: Iterable[Path]) -> Verdict:
        """The verdict, now."""
        acknowledged = acknowledged_ids(files)
        with self._database.reading() as connection:
            rows = connection.execute(
                text("SELECT id, type, status, attempts, claims, rescues FROM jobmans")
            ).all()
            effects = connection.execute(text("SELECT job_id, count(*) FROM effect GROUP BY job_id")).all()
            failed = {row[0] for row in connection.execute(text("SELECT jobman_id FROM failed_jobs"))}
        by_id = {row.id: row for row in rows}
        counts = {int(row[0]): int(row[1]) for row in effects}
        final = {status.value for status in FINAL}
        verdict = Verdict(len(acknowledged))
        verdict.lost = sorted(
            job_id for job_id in acknowledged if job_id not in by_id or by_id[job_id].status not in final
        )
        verdict.doubled = sorted(job_id for job_id, number in counts.items() if number > 1)
        for row in rows:
            earned = row.status == Status.COMPLETED and row.type in WITH_EFFECT
            if earned != (row.id in counts):
                verdict.unearned.append(row.id)
            if not is_legal(row, row.id in failed):
                verdict.illegal.append(row.id)
        verdict.facts = {
            "rows": len(rows),
            "claims": sum(row.claims for row in rows),
            "attempts": sum(row.attempts for row in rows),
            "rescues": sum(row.rescues for row in rows),
            "states": {
                status: sum(row.status == status for row in rows) for status in {r.status for r in rows}
            },
        }
        return verdict


def is_legal(row: Any, has_failed_row: bool) -> bool:
    """Whether a row at rest can be as it is."""
    return (
        row.status in set(Status)
        and 0 <= row.attempts <= row.claims
        and 0 <= row.rescues <= row.claims
        and not (has_failed_row and row.status == Status.COMPLETED)
        and (row.status != Status.COMPLETED or row.attempts >= 1)
        and (row.status != Status.FAILED or has_failed_row)
    )


def acknowledged_ids(files: Iterable[Path]) -> list[int]:
    """All ids in the clients' files; a half-written last line was not acknowledged."""
    ids: list[int] = []
    for file in files:
        if file.exists():
            ids += [int(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return ids
