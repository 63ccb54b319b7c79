"""T14: whatever order the verbs come in, a job only moves as `TRANSITIONS` allows.

A Hypothesis state machine over dispatch × claim × finish × cancel × release × retry × requeue × rescue ×
promote × prune, against a real database. After each step every row is compared with what it was before.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from rig import add_worker
from scene import LONG
from sqlalchemy import select

from jobman_cli.core.outcome import COMPLETED, Outcome, OutcomeKind
from jobman_cli.core.states import FINAL, TRANSITIONS, Status
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.cancel import cancel_jobs
from jobman_cli.store.lifecycle.claim import Claim, claim_ids, claim_line
from jobman_cli.store.lifecycle.finish import Finish, complete, fail
from jobman_cli.store.lifecycle.insert import NewJob, insert_jobs, insert_unique
from jobman_cli.store.lifecycle.line import mark_pending, mark_queued, promote_due
from jobman_cli.store.lifecycle.prune import prune_batch
from jobman_cli.store.lifecycle.release import release
from jobman_cli.store.lifecycle.requeue import requeue_jobs, retry_failed
from jobman_cli.store.lifecycle.rescue import take_back, take_orphans
from jobman_cli.store.lifecycle.workers import lose
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS, TABLES, WORKERS

LIMIT = 1
EXAMPLES = 2000 if LONG else 60


class Machine(RuleBasedStateMachine):
    """Two workers and whoever else asks for something."""

    store: Database

    @initialize()
    def begin(self) -> None:
        with self.store.transaction() as connection:
            for table in TABLES:
                connection.execute(table.delete())
        self.workers = [add_worker(self.store), add_worker(self.store)]
        self.claims: list[tuple[str, Claim]] = []  # every claim ever made: late ends come from given-up ones
        self.before: dict[int, Any] = {}
        self.refused: Any = None  # the row that the last rule must have left alone

    def ids(self) -> list[int]:
        return sorted(self.before)

    @rule(
        number=st.integers(1, 3),
        delay=st.sampled_from([None, 0.001]),
        tries=st.integers(1, 2),
        key=st.sampled_from([None, "a", "b"]),
    )
    def dispatch(self, number: int, delay: float | None, tries: int, key: str | None) -> None:
        new = NewJob("noop", "default", 0, tries, None, (), delay)
        if key is None:
            self.store.run(insert_jobs, new, ["{}"] * number)
            return
        borne = [row.id for row in self.before.values() if row.unique_key == key and row.status not in FINAL]
        placed = self.store.run(insert_unique, new, ["{}"] * number, [key] * number)
        assert len(set(placed.ids)) == 1
        assert borne in ([], placed.ids[:1])
        assert len(placed.written) == (not borne)

    @rule(who=st.integers(0, 1), several=st.booleans())
    def claim(self, who: int, several: bool) -> None:
        worker = self.workers[who]
        ids = self.ids()
        if several:
            claims = self.store.run(claim_line, worker, "default", 2, None)
        else:
            claims = self.store.run(claim_ids, worker, ids[-2:])
        self.claims += [(worker, claim) for claim in claims]

    @rule(data=st.data(), how=st.sampled_from(["complete", "fail", "give up", "release", "retry later"]))
    def end(self, data: Any, how: str) -> None:
        if not self.claims:
            return
        worker, claim = data.draw(st.sampled_from(self.claims[-6:]))
        row = self.before.get(claim.id)
        held = row is not None and row.status == Status.RUNNING
        self.refused = None if held and (row.claims, row.worker_id) == (claim.claims, worker) else row
        now = time.time()
        if how == "complete":
            self.store.run(complete, worker, [Finish(claim, COMPLETED, now, now)])
        elif how == "release":
            self.store.run(release, worker, [claim])
        else:
            kind = {"fail": OutcomeKind.ERROR, "give up": OutcomeKind.FAIL, "retry later": OutcomeKind.RETRY}[
                how
            ]
            outcome = Outcome(kind, None, "boom", "boom", 0.001)
            self.store.run(fail, worker, Finish(claim, outcome, now, now), "database")

    @rule(data=st.data(), verb=st.sampled_from(["cancel", "requeue", "pending", "queued"]))
    def ask(self, data: Any, verb: str) -> None:
        if not self.before:
            return
        some = data.draw(st.lists(st.sampled_from(self.ids()), min_size=1, max_size=3, unique=True))
        work = {
            "cancel": cancel_jobs,
            "requeue": requeue_jobs,
            "pending": mark_pending,
            "queued": mark_queued,
        }
        self.store.run(work[verb], some)

    @rule()
    def retry(self) -> None:
        with self.store.reading() as connection:
            failed = list(connection.execute(select(FAILED_JOBS.c.id)).scalars())
        self.store.run(retry_failed, failed[:2])

    @rule()
    def promote(self) -> None:
        self.store.run(promote_due)

    @rule(who=st.integers(0, 1), known=st.booleans())
    def rescue(self, who: int, known: bool) -> None:
        """A worker is given up, its jobs are taken back, another takes its place."""
        worker = self.workers[who]
        running = [claim for owner, claim in self.claims if owner == worker]
        started = [claim.id for claim in running[-1:]]

        def give_up(connection: Any, dialect: Any) -> None:
            lose(connection, dialect, [worker])
            take_back(connection, dialect, worker, LIMIT, "database", "it died", started, known)

        self.store.run(give_up)
        self.workers[who] = add_worker(self.store)

    @rule(who=st.integers(0, 1))
    def orphans(self, who: int) -> None:
        """A worker's row says that it ended although its jobs run."""
        with self.store.transaction() as connection:
            connection.execute(
                WORKERS.update().where(WORKERS.c.uuid == self.workers[who]).values(state="lost")
            )
        self.store.run(take_orphans, LIMIT, "database", 100)
        self.workers[who] = add_worker(self.store)

    @rule(unfinished=st.booleans())
    def prune(self, unfinished: bool) -> None:
        self.store.run(prune_batch, datetime.now(UTC) + timedelta(days=1), None, 2, unfinished, None)

    @invariant()
    def only_legal_moves(self) -> None:
        with self.store.reading() as connection:
            rows = {row.id: row for row in connection.execute(select(JOBS))}
            failed = {row.jobman_id for row in connection.execute(select(FAILED_JOBS))}
            attempts = {row.jobman_id for row in connection.execute(select(ATTEMPTS))}
            live = set(
                connection.execute(select(WORKERS.c.uuid).where(WORKERS.c.state == "running")).scalars()
            )
        if (refused := self.refused) is not None:
            assert rows.get(refused.id) == refused, "who does not hold a job has ended it"
            self.refused = None
        borne = [row.unique_key for row in rows.values() if row.unique_key and row.status not in FINAL]
        assert len(borne) == len(set(borne)), "two unfinished jobs bear one key"
        for job_id, row in rows.items():
            old = self.before.get(job_id)
            status = Status(row.status)
            if old is None:
                assert status in (Status.QUEUED, Status.SCHEDULED)
            else:
                before = Status(old.status)
                assert status == before or status in TRANSITIONS[before], (before, status)
                assert row.claims >= old.claims, "the fence went back"
                if status == Status.RUNNING and before != Status.RUNNING:
                    assert row.claims == old.claims + 1
            assert 0 <= row.attempts <= row.claims
            if status == Status.RUNNING:
                assert row.worker_id in live, "it runs under a name that nobody bears"
            if status == Status.COMPLETED:
                assert row.completed_at is not None
                assert job_id not in failed
            assert (status == Status.FAILED) >= (job_id in failed), (
                "a failed_jobs row of a job that is not failed"
            )
            if status == Status.FAILED:
                assert job_id in failed
        for job_id in set(self.before) - set(rows):
            assert Status(self.before[job_id].status) != Status.RUNNING, "a running job was pruned"
        assert failed <= set(rows)
        assert attempts <= set(rows)
        self.before = rows


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"] if LONG else ["sqlite", "postgresql"])
def real_store(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("tmp_path") / "machine.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        database = Database(f"sqlite:///{path}")
        yield database
        database.close()
    else:
        fixture = {"postgresql": "postgres_store", "mariadb": "mariadb_store"}[request.param]
        shared: Database = request.getfixturevalue(fixture)
        shared.close()  # its connections may be from before a server's restart
        yield shared


@pytest.mark.timeout(3600 if LONG else 120)
def test_only_legal_transitions(real_store: Database) -> None:
    kind = type("On", (Machine,), {"store": real_store})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
