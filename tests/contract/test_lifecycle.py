"""Every write to the tables, on every database: what it changes, what it refuses, what it leaves alone."""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from rig import (
    LostLink,
    add_jobs,
    add_worker,
    attempts_of,
    change,
    failed_rows,
    row_of,
    set_worker,
    statuses,
)
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from jobman_cli.core.clock import PRIORITY_STEP
from jobman_cli.core.outcome import COMPLETED, Outcome, OutcomeKind
from jobman_cli.core.states import TRANSITIONS, WAITING, Status
from jobman_cli.core.storable import MAX_DEPTH
from jobman_cli.errors import StoreUnavailable
from jobman_cli.store.database import Database
from jobman_cli.store.lifecycle.claim import Claim, claim_ids, claim_line, held
from jobman_cli.store.lifecycle.finish import Finish, complete, fail, find_refused
from jobman_cli.store.lifecycle.insert import NewJob, insert_job, insert_jobs
from jobman_cli.store.lifecycle.line import mark_pending, mark_queued, pending_jobs, promote_due
from jobman_cli.store.lifecycle.live import Tale, tell
from jobman_cli.store.lifecycle.release import release, release_all
from jobman_cli.store.lifecycle.trade import finish_and_claim
from jobman_cli.store.lifecycle.workers import heartbeat, is_live, stop
from jobman_cli.store.link import LAST_PLANS, Link
from jobman_cli.store.queries import database_now, find_job, live_workers
from jobman_cli.store.tables import JOBS, WORKERS

NEW = NewJob("noop", "default", 0, 1, None)
SOON = timedelta(seconds=20)
#: What a job that never ran has not got.
NOT_YET = (
    *("worker_id", "unique_key", "progress", "logs", "error_message", "exception", "completed_code"),
    *("available_at", "started_at", "completed_at", "failed_at", "cancel_requested_at"),
)


def claim(store: Database, worker: str, *ids: int) -> list[Claim]:
    return store.run(claim_ids, worker, list(ids))


def plans_of(link: Link) -> str:
    """The plans that PostgreSQL keeps for statements about jobs."""
    names = "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements"
    names += " WHERE statement ~ 'jobmans'"
    plans = []
    for name, number in link.run(lambda c, _: c.exec_driver_sql(names).all()):
        sql = f'EXPLAIN EXECUTE "{name}"({", ".join(["NULL"] * number)})'
        link.run(lambda c, _: c.exec_driver_sql("SET plan_cache_mode = force_generic_plan"))
        plans += link.run(lambda c, _, sql=sql: c.exec_driver_sql(sql).scalars().all())
    link.run(lambda c, _: c.exec_driver_sql("RESET plan_cache_mode"))
    return "\n".join(plans)


def finish(claim: Claim, outcome: Outcome = COMPLETED, **fields: Any) -> Finish:
    now = time.time()
    return Finish(claim, outcome, now, now, **fields)


def failure(kind: OutcomeKind = OutcomeKind.ERROR, **fields: Any) -> Outcome:
    return Outcome(kind, error_message="it broke", exception="Traceback …", **fields)


class TestInsert:
    def test_a_row_says_what_was_asked(self, store: Database) -> None:
        """Rule 24: times are aware, in UTC, by the database's clock, on every database."""
        new = NewJob("mail", "urgent", 7, 3, 1.5, ("a", "b"))
        job, place = store.run(insert_job, new, '{"to": "Ada", "deep": [1, {"x": null}]}')
        row = row_of(store, job.id)
        assert (row.type, row.queue, row.priority, row.tries, row.timeout) == ("mail", "urgent", 7, 3, 1.5)
        assert (row.status, row.attempts, row.claims, row.rescues) == ("queued", 0, 0, 0)
        assert row.attribs == {"to": "Ada", "deep": [1, {"x": None}]}
        assert row.tags == ["a", "b"]
        for column in NOT_YET:
            assert getattr(row, column) is None
        for moment in (row.created_at, row.queued_at):
            assert moment.tzinfo is UTC
            assert abs(datetime.now(UTC) - moment) < SOON
        queued_ms = row.rank + 7 * PRIORITY_STEP
        assert abs(queued_ms - row.queued_at.timestamp() * 1000) < 1000
        assert (place.id, place.queue, place.rank) == (row.id, "urgent", row.rank)
        assert {c: getattr(job, c) for c in ("created_at", "queued_at", "attribs", "tags", "status")} == {
            c: getattr(row, c) for c in ("created_at", "queued_at", "attribs", "tags", "status")
        }

    def test_a_delayed_row_waits(self, store: Database) -> None:
        job, _ = store.run(insert_job, NewJob("noop", "default", 0, 1, None, (), 90.5), "{}")
        row = row_of(store, job.id)
        assert row.status == "scheduled"
        assert row.queued_at is None
        assert abs(row.available_at - row.created_at - timedelta(seconds=90.5)) < timedelta(seconds=1)
        assert row.available_at.tzinfo is UTC

    def test_many_rows_keep_the_order_of_their_attribs(self, store: Database) -> None:
        texts = [json.dumps({"n": number}) for number in range(500)]
        rows = store.run(insert_jobs, NEW, texts)
        assert [row.id for row in rows] == sorted({row.id for row in rows})
        with store.reading() as connection:
            found = connection.execute(select(JOBS.c.attribs).order_by(JOBS.c.id)).scalars().all()
        assert [attribs["n"] for attribs in found] == list(range(500))

    @pytest.mark.parametrize("store", ["mariadb"], indirect=True)
    def test_without_returning_a_token_finds_the_rows(
        self, store: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 21: where INSERT returns nothing (MySQL), ids come by a batch token, never by arithmetic."""
        add_jobs(store)  # the first connection has been made, and the server asked
        assert store.dialect.insert_returning
        monkeypatch.setattr(store.dialect, "insert_returning", False)
        others = threading.Thread(target=lambda: [add_jobs(store, 3) for _ in range(20)])
        others.start()
        for batch in range(20):
            rows = store.run(insert_jobs, NEW, [json.dumps({"b": batch, "n": n}) for n in range(5)])
            found = [row_of(store, row.id) for row in rows]
            assert [row.attribs for row in found] == [{"b": batch, "n": n} for n in range(5)]
            assert {row.worker_id for row in found} == {None}
        others.join()
        job, place = store.run(insert_job, NewJob("noop", "q", 0, 1, None, (), 5.0), '{"a": 1}')
        assert (row_of(store, job.id).rank, row_of(store, job.id).status) == (place.rank, "scheduled")

    @pytest.mark.parametrize("leaf", [1, {}, []], ids=repr)
    def test_the_deepest_attribs_that_are_allowed_can_be_stored(self, store: Database, leaf: Any) -> None:
        attribs = leaf
        for _ in range(MAX_DEPTH - (1 if leaf in ({}, []) else 0)):
            attribs = {"a": attribs}
        job, _ = store.run(insert_job, NEW, json.dumps(attribs))
        assert row_of(store, job.id).attribs == attribs
        worker = add_worker(store)
        (held_claim,) = claim(store, worker, job.id)
        assert held_claim.attribs == attribs
        assert not store.run(complete, worker, [finish(held_claim, attribs=json.dumps(attribs))])

    def test_awkward_text_comes_back_as_it_was(self, store: Database) -> None:
        value = {
            "quote": "\"'`\\ %s %(x)s :name ?",
            "lines": "a\nb\r\n\t\x01",
            "": "😀 ünï",
            "k'\"": 2**63 - 1,
        }
        job, _ = store.run(insert_job, NEW, json.dumps(value, ensure_ascii=False))
        assert row_of(store, job.id).attribs == value

    def test_ids_are_not_given_again(self, store: Database) -> None:
        """Rule 22: after the newest rows are deleted, no id comes back."""
        ids = add_jobs(store, 5)
        with store.transaction() as connection:
            connection.execute(JOBS.delete())
        assert min(add_jobs(store, 5)) > max(ids)


class TestClaim:
    def test_by_id(self, store: Database) -> None:
        worker = add_worker(store)
        first, second, third = add_jobs(store, 3)
        assert [c.id for c in claim(store, worker, third, 999_999_999, first)] == [third, first]
        row = row_of(store, first)
        assert (row.status, row.claims, row.attempts, row.worker_id) == ("running", 1, 1, worker)
        assert abs(datetime.now(UTC) - row.started_at) < SOON
        assert row.started_at.tzinfo is UTC
        assert row_of(store, second).status == "queued"

    def test_an_id_that_was_given_twice_is_one_claim(self, store: Database) -> None:
        """A line may repeat an id; two claims would be two starts of one attempt."""
        worker = add_worker(store)
        first, second = add_jobs(store, 2)
        assert [c.id for c in claim(store, worker, second, first, second, first)] == [second, first]

    def test_a_claim_says_what_the_runner_needs(self, store: Database) -> None:
        worker = add_worker(store)
        job, place = store.run(insert_job, NewJob("mail", "q", 1, 4, 2.5), '{"a": [1]}')
        change(store, job.id, rescues=2, claims=5, attempts=3)
        (found,) = claim(store, worker, job.id)
        assert found == Claim(job.id, "mail", "q", {"a": [1]}, 4, 2.5, 4, 6, 2, place.rank)

    def test_only_what_waits(self, store: Database) -> None:
        """Rule 3: claims accept `pending` and `queued`, and nothing else."""
        worker = add_worker(store)
        for status in Status:
            (job_id,) = add_jobs(store)
            change(store, job_id, status=status.value)
            assert bool(claim(store, worker, job_id)) is (status in WAITING), status

    @pytest.mark.parametrize("state", ["lost", "stopped", None])
    def test_only_for_a_live_worker(self, store: Database, state: str | None) -> None:
        """Rule 3: a worker that was given up, or has no row, claims nothing, by id or from the line."""
        worker = add_worker(store, state=state) if state else "nobody"
        (job_id,) = add_jobs(store)
        assert claim(store, worker, job_id) == []
        assert store.run(claim_line, worker, "default", 5, None) == []
        assert row_of(store, job_id).claims == 0
        assert not store.run(is_live, worker)

    def test_from_the_line_in_order(self, store: Database) -> None:
        worker = add_worker(store)
        low = add_jobs(store, 2, priority=-1)
        plain = add_jobs(store, 2)
        high = add_jobs(store, 2, priority=5)
        add_jobs(store, 1, queue="other")
        for job_id in plain:  # equal ranks go by id
            change(store, job_id, rank=row_of(store, plain[0]).rank)
        found = store.run(claim_line, worker, "default", 5, None)
        assert [c.id for c in found] == [*high, *plain, low[0]]
        assert [c.id for c in store.run(claim_line, worker, "default", 5, None)] == [low[1]]
        assert store.run(claim_line, worker, "default", 5, None) == []

    def test_from_a_rank_on(self, store: Database) -> None:
        """Rule 23: the line can be looked at from a rank on, so that dead entries are not passed again."""
        worker = add_worker(store)
        high, low = add_jobs(store, 1, priority=1) + add_jobs(store)
        after = row_of(store, low).rank
        assert [c.id for c in store.run(claim_line, worker, "default", 9, after)] == [low]
        assert [c.id for c in store.run(claim_line, worker, "default", 9, None)] == [high]

    def test_the_line_holds_pending_rows_too(self, store: Database) -> None:
        worker = add_worker(store)
        queued, pending = add_jobs(store, 2)
        change(store, pending, status="pending")
        assert {c.id for c in store.run(claim_line, worker, "default", 9, None)} == {queued, pending}

    def test_the_line_passes_locked_rows(self, store: Database) -> None:
        """Rule 21: a claim from the line skips what another transaction holds."""
        if store.dialect.name == "sqlite":
            return  # one writer at a time: there is nothing to skip
        worker, other = add_worker(store), add_worker(store)
        first, second = add_jobs(store, 2)
        with store.transaction() as connection:
            assert [c.id for c in claim_line(connection, store.dialect, other, "default", 1, None)] == [first]
            assert [c.id for c in store.run(claim_line, worker, "default", 5, None)] == [second]

    def test_held_names_what_runs(self, store: Database) -> None:
        worker, other = add_worker(store), add_worker(store)
        ids = add_jobs(store, 4)
        mine = claim(store, worker, *ids[:3])
        claim(store, other, ids[3])
        store.run(complete, worker, [finish(mine[0])])
        assert store.run(held, worker) == mine[1:]

    @pytest.mark.parametrize("way", ["ids", "line"])
    def test_one_winner(self, store: Database, way: str) -> None:
        """Rule 22, rule 1: eight claimers, one row, again and again: one wins, and nobody sees an error."""
        rounds = 250 if way == "ids" else 60
        claimers = 8
        workers = [add_worker(store) for _ in range(claimers)]
        ids = add_jobs(store, rounds)
        gate = threading.Barrier(claimers, timeout=60)

        def play(worker: str) -> list[int]:
            link, won = LostLink(store), []
            try:
                for job_id in ids:
                    gate.wait()
                    if way == "ids":
                        got = link.run(claim_ids, worker, [job_id])
                    else:
                        got = link.run(claim_line, worker, "default", 1, None)
                    won += [found.id for found in got]
            except BaseException:
                gate.abort()
                raise
            finally:
                link.close()
            return won

        with ThreadPoolExecutor(claimers) as pool:
            won = [job_id for each in pool.map(play, workers) for job_id in each]
        assert sorted(won) == ids
        with store.reading() as connection:
            assert set(connection.execute(select(JOBS.c.claims)).scalars()) == {1}


#: An end that left nothing, and one that left a line: the databases are told of them in different ways.
EVERY_WAY = pytest.mark.parametrize("left", [{}, {"logs": "line\n"}], ids=["bare", "full"])


class TestComplete:
    def test_when_it_began_and_ended_is_kept_to_the_microsecond(self, store: Database) -> None:
        """A bare end goes another way than one that left something; both say the same."""
        worker = add_worker(store)
        bare, full, unsaid = claim(store, worker, *add_jobs(store, 3))
        begun = datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=UTC)
        ended = begun + timedelta(seconds=61, microseconds=1)
        spans = (begun.timestamp(), ended.timestamp())
        change(store, bare.id, completed_code="earlier")
        done = [
            Finish(unsaid, COMPLETED, None, ended.timestamp()),
            Finish(full, COMPLETED, *spans, logs="x\n"),
            Finish(bare, COMPLETED, *spans),
        ]
        assert [each.is_bare for each in done] == [True, False, True]
        assert store.run(complete, worker, done) == []
        for each, start in ((bare, begun), (full, begun), (unsaid, ended)):
            row = row_of(store, each.id)
            assert (row.status, row.started_at, row.completed_at) == ("completed", start, ended)
            assert (row.completed_code, row.worker_id, row.claims) == (None, worker, 1)

    def test_it_records_all_that_the_job_left(self, store: Database) -> None:
        worker = add_worker(store)
        (job_id,) = add_jobs(store)
        change(store, job_id, error_message="earlier", exception="earlier", logs="first\n")
        (mine,) = claim(store, worker, job_id)
        begun = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        done = Finish(
            mine,
            Outcome(OutcomeKind.COMPLETED, code="already-there"),
            begun.timestamp(),
            begun.timestamp() + 1.5,
            attribs='{"a": {"b": [1, "x\\"y"]}}',
            logs="second \"'\\ 😀\nthird\n",
            progress='{"done":1,"total":2}',
        )
        assert store.run(complete, worker, [done]) == []
        row = row_of(store, job_id)
        assert (row.status, row.completed_code) == ("completed", "already-there")
        assert (row.started_at, row.completed_at) == (begun, begun + timedelta(seconds=1.5))
        assert row.attribs == {"a": {"b": [1, 'x"y']}}
        assert row.logs == "first\nsecond \"'\\ 😀\nthird\n"
        assert row.progress == {"done": 1, "total": 2}
        assert row.error_message == "earlier", "the last failure stays to be read"
        assert (row.worker_id, row.claims) == (worker, 1), "Rule 2: a finish keeps both"
        assert attempts_of(store, job_id) == []

    def test_what_the_job_did_not_touch_stays(self, store: Database) -> None:
        worker = add_worker(store)
        job, _ = store.run(insert_job, NEW, '{"a": 1}')
        change(store, job.id, logs="x\n", progress={"done": 1, "total": 3})
        store.run(complete, worker, [finish(c) for c in claim(store, worker, job.id)])
        row = row_of(store, job.id)
        assert (row.attribs, row.logs, row.progress) == ({"a": 1}, "x\n", {"done": 1, "total": 3})
        assert row.completed_code is None

    @EVERY_WAY
    def test_a_batch_is_matched_pair_by_pair(self, store: Database, left: dict[str, str]) -> None:
        """Rule 2: a finish matches (id, claims) pairs: what was claimed again since is refused alone."""
        worker = add_worker(store)
        ids = add_jobs(store, 4)
        mine = claim(store, worker, *ids)
        store.run(release, worker, [mine[1]])
        (again,) = claim(store, worker, ids[1])
        assert (again.claims, mine[1].claims) == (2, 1)
        refused = store.run(complete, worker, [finish(c, **left) for c in mine])
        assert [f.claim.id for f in refused] == [ids[1]]
        assert statuses(store, ids) == ["completed", "running", "completed", "completed"]
        assert store.run(complete, worker, [finish(again, **left)]) == []

    @EVERY_WAY
    def test_claims_of_two_jobs_are_not_mixed_up(self, store: Database, left: dict[str, str]) -> None:
        """Rule 2: the right ids with each other's claims are refused."""
        worker = add_worker(store)
        first, second = add_jobs(store, 2)
        change(store, second, claims=1)
        one, two = claim(store, worker, first, second)
        assert (one.claims, two.claims) == (1, 2)
        one.claims, two.claims = two.claims, one.claims
        assert len(store.run(complete, worker, [finish(one, **left), finish(two, **left)])) == 2
        assert statuses(store, [first, second]) == ["running", "running"]

    @EVERY_WAY
    def test_another_worker_cannot_finish(self, store: Database, left: dict[str, str]) -> None:
        """Rule 2: the fence holds the worker's name as well."""
        worker, thief = add_worker(store), add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store))
        assert len(store.run(complete, thief, [finish(mine, **left)])) == 1
        assert not store.run(fail, thief, finish(mine, failure()), "redis")
        assert store.run(release, thief, [mine]) == []
        assert row_of(store, mine.id).status == "running"
        assert attempts_of(store, mine.id) == []

    def test_twice_is_as_good_as_once(self, store: Database) -> None:
        """Rule 6: a finish that is sent again, because its answer was lost, is recognised and not doubled."""
        worker = add_worker(store)
        mine = claim(store, worker, *add_jobs(store, 3))
        done = [finish(c, logs="line\n") for c in mine]
        assert store.run(complete, worker, done) == []
        assert store.run(complete, worker, done) == []
        assert [row_of(store, c.id).logs for c in mine] == ["line\n"] * 3

    @EVERY_WAY
    def test_a_given_up_worker_cannot_finish_what_another_runs(
        self, store: Database, left: dict[str, str]
    ) -> None:
        """Rule 1: after a release and a new claim, the old worker's finish is refused."""
        frozen, other = add_worker(store), add_worker(store)
        (old,) = claim(store, frozen, *add_jobs(store))
        store.run(release_all, frozen)
        (new,) = claim(store, other, old.id)
        assert (new.claims, new.attempt) == (2, 1)
        assert len(store.run(complete, frozen, [finish(old, **left)])) == 1
        assert not store.run(fail, frozen, finish(old, failure()), "redis")
        assert store.run(complete, other, [finish(new, **left)]) == []

    @EVERY_WAY
    def test_an_old_claim_of_the_same_worker_is_refused(self, store: Database, left: dict[str, str]) -> None:
        """Rule 1: the worker's name alone is no fence; the claim's number is."""
        worker = add_worker(store)
        (old,) = claim(store, worker, *add_jobs(store))
        store.run(release, worker, [old])
        (new,) = claim(store, worker, old.id)
        assert not store.run(fail, worker, finish(old, failure()), "redis")
        assert store.run(release, worker, [old]) == []
        assert len(store.run(complete, worker, [finish(old, **left)])) == 1
        assert store.run(complete, worker, [finish(new, **left)]) == []
        assert len(store.run(complete, worker, [finish(old, **left)])) == 1, (
            "not taken for the one that was recorded"
        )

    def test_a_full_turn_in_one_statement(self, store: Database) -> None:
        worker = add_worker(store)
        mine = claim(store, worker, *add_jobs(store, 64))
        done = [finish(c, logs=f"{c.id}\n", attribs=json.dumps({"n": c.id})) for c in mine]
        assert store.run(complete, worker, done) == []
        for each in mine:
            row = row_of(store, each.id)
            assert (row.logs, row.attribs) == (f"{each.id}\n", {"n": each.id})


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
class TestTrade:
    """Ends and claims in one statement, where the database can."""

    def test_both_or_neither(self, store: Database) -> None:
        worker = add_worker(store)
        ids = add_jobs(store, 6)
        mine = claim(store, worker, *ids[:3])
        link = LostLink(store)
        asked = [ids[5], ids[3], ids[4], 10**9]
        recorded, claims = link.run_alone(finish_and_claim, worker, [finish(c) for c in mine], asked)
        assert (recorded, [c.id for c in claims]) == (3, [ids[5], ids[3], ids[4]]), "in the order of asking"
        assert statuses(store, ids) == ["completed"] * 3 + ["running"] * 3
        assert {(c.claims, c.attempt) for c in claims} == {(1, 1)}
        link.plan = ["before"]
        with pytest.raises(StoreUnavailable):
            link.run_alone(finish_and_claim, worker, [finish(c) for c in claims], [])
        assert statuses(store, ids[3:]) == ["running"] * 3
        link.close()

    def test_what_the_fence_refuses_is_counted_and_named(self, store: Database) -> None:
        """Rule 2: pair by pair, and the claims come all the same."""
        worker, other = add_worker(store), add_worker(store)
        ids = add_jobs(store, 4)
        mine = claim(store, worker, *ids[:3])
        store.run(release, worker, [mine[1]])
        claim(store, other, ids[1])
        done = [finish(c) for c in mine]
        recorded, claims = store.run_alone(finish_and_claim, worker, done, [ids[3]])
        assert (recorded, [c.id for c in claims]) == (2, [ids[3]])
        assert [f.claim.id for f in store.run(find_refused, worker, done)] == [ids[1]]
        assert row_of(store, ids[1]).worker_id == other

    def test_a_lost_worker_claims_nothing(self, store: Database) -> None:
        """Rule 3."""
        worker = add_worker(store)
        ids = add_jobs(store, 2)
        mine = claim(store, worker, ids[0])
        set_worker(store, worker, "lost")
        assert store.run_alone(finish_and_claim, worker, [finish(c) for c in mine], [ids[1]]) == (1, [])
        assert row_of(store, ids[1]).claims == 0

    def test_a_plan_for_an_empty_table_does_not_read_a_full_one(self, store: Database) -> None:
        """A worker's statements are planned once, often before there is a job: see ``forget_plans``."""
        with store.engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.exec_driver_sql("VACUUM ANALYZE jobmans")  # the statistics say that it is empty
        worker, link = add_worker(store), LostLink(store)
        store.close()  # the link's connection is a new one, with no other statements

        def work(ids: list[int]) -> None:
            for job_id in ids:
                mine = link.run_alone(claim_ids, worker, [job_id])
                link.run_alone(finish_and_claim, worker, [finish(c) for c in mine], [])

        work(add_jobs(store, 30))  # so often that the server keeps its plans
        assert re.findall("Seq Scan|Bitmap|Hash|Merge", plans_of(link)) == []
        ids = add_jobs(store, 3000)
        work(ids[:LAST_PLANS])
        plans = plans_of(link)
        assert plans.count("Update on jobmans") == 3, plans  # a claim; ends, and claims
        assert len(re.findall(r"using jobmans_pkey on jobmans.*\n +Index Cond: \(id = ", plans)) == 3, plans
        link.close()


class TestFail:
    def test_tries_left(self, store: Database) -> None:
        worker = add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store, tries=2))
        done = finish(
            mine, failure(delay=30.0), logs="l\n", attribs='{"z": 1}', progress='{"done":0,"total":1}'
        )
        assert store.run(fail, worker, done, "redis")
        row = row_of(store, mine.id)
        assert (row.status, row.attempts, row.claims, row.worker_id) == ("scheduled", 1, 1, worker)
        assert abs(row.available_at - row.failed_at - timedelta(seconds=30)) < timedelta(seconds=1)
        assert row.available_at.tzinfo is row.failed_at.tzinfo is UTC
        assert (row.error_message, row.exception) == ("it broke", "Traceback …")
        assert (row.logs, row.attribs, row.progress) == ("l\n", {"z": 1}, {"done": 0, "total": 1})
        (attempt,) = attempts_of(store, mine.id)
        assert (attempt.number, attempt.claim, attempt.worker_id, attempt.outcome) == (1, 1, worker, "error")
        assert attempt.started_at.tzinfo is attempt.ended_at.tzinfo is UTC
        assert (attempt.error_message, attempt.exception) == ("it broke", "Traceback …")
        assert failed_rows(store, mine.id) == []

    def test_no_try_left(self, store: Database) -> None:
        worker = add_worker(store)
        job, _ = store.run(insert_job, NewJob("mail", "q", 0, 1, None, ("t",)), '{"a": 1}')
        (mine,) = claim(store, worker, job.id)
        assert store.run(fail, worker, finish(mine, failure(delay=5)), "redis")
        row = row_of(store, job.id)
        assert (row.status, row.available_at) == ("failed", None)
        assert row.failed_at is not None
        (failed,) = failed_rows(store, job.id)
        assert (failed.connection, failed.queue, failed.exception) == ("redis", "q", "Traceback …")
        assert json.loads(failed.payload) == {
            "type": "mail",
            "attribs": {"a": 1},
            "tags": ["t"],
            "attempts": 1,
        }
        assert failed.failed_at.tzinfo is UTC
        assert len(failed.uuid) == 36
        assert len(attempts_of(store, job.id)) == 1

    def test_giving_up_ends_it_whatever_tries_are_left(self, store: Database) -> None:
        worker = add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store, tries=9))
        assert store.run(fail, worker, finish(mine, failure(OutcomeKind.FAIL)), "redis")
        assert row_of(store, mine.id).status == "failed"

    def test_a_rescued_attempt_is_no_try(self, store: Database) -> None:
        """Rule 1: tries used = attempts - rescues."""
        worker = add_worker(store)
        (job_id,) = add_jobs(store, tries=2)
        change(store, job_id, attempts=1, rescues=1, claims=1)
        (mine,) = claim(store, worker, job_id)
        store.run(fail, worker, finish(mine, failure()), "redis")
        assert row_of(store, job_id).status == "scheduled"
        change(store, job_id, status="queued")
        (mine,) = claim(store, worker, job_id)
        store.run(fail, worker, finish(mine, failure()), "redis")
        assert row_of(store, job_id).status == "failed"

    def test_refused_it_writes_no_other_rows(self, store: Database) -> None:
        """Rule 2: attempts and failed_jobs rows only for what came back."""
        worker = add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store))
        done = finish(mine, failure())
        assert store.run(fail, worker, done, "redis")
        store.run(fail, worker, done, "redis")
        assert len(attempts_of(store, mine.id)) == 1
        assert len(failed_rows(store, mine.id)) == 1

    def test_asked_to_stop_it_ends_cancelled(self, store: Database) -> None:
        """Rule 9: a backoff of a row that somebody cancelled ends in `cancelled`."""
        worker = add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store, tries=3))
        change(store, mine.id, cancel_requested_at=datetime.now(UTC))
        assert store.run(fail, worker, finish(mine, failure()), "redis")
        row = row_of(store, mine.id)
        assert (row.status, row.available_at) == ("cancelled", None)
        assert failed_rows(store, mine.id) == []

    def test_long_text(self, store: Database) -> None:
        worker = add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store))
        long = "ü😀" * 100_000
        outcome = Outcome(OutcomeKind.ERROR, error_message=long, exception=long)
        assert store.run(fail, worker, finish(mine, outcome, logs=long), "redis")
        row = row_of(store, mine.id)
        assert row.error_message == row.exception == row.logs == long


class TestRelease:
    def test_it_undoes_the_attempt_and_keeps_the_place(self, store: Database) -> None:
        """Rule 14, rule 1: queued_at and rank stay, the attempt is given back, `claims` is not."""
        worker = add_worker(store)
        (job_id,) = add_jobs(store, priority=3)
        before = row_of(store, job_id)
        (mine,) = claim(store, worker, job_id)
        (place,) = store.run(release, worker, [mine])
        row = row_of(store, job_id)
        assert (place.id, place.queue, place.rank) == (job_id, "default", before.rank)
        assert (row.rank, row.queued_at) == (before.rank, before.queued_at)
        assert (row.status, row.attempts, row.claims) == ("queued", 0, 1)
        assert (row.worker_id, row.started_at) == (None, None)
        assert attempts_of(store, job_id) == []

    def test_claims_only_grow(self, store: Database) -> None:
        """Rule 1: release and retry never lower `claims`."""
        worker = add_worker(store)
        (job_id,) = add_jobs(store, tries=99)
        seen = []
        for number in range(6):
            (mine,) = claim(store, worker, job_id)
            seen.append(mine.claims)
            if number % 2:
                store.run(release, worker, [mine])
            else:
                store.run(fail, worker, finish(mine, failure(delay=0)), "redis")
                assert [row.id for row in store.run(promote_due)] == [job_id]
        assert seen == [1, 2, 3, 4, 5, 6]
        assert row_of(store, job_id).attempts == 3

    def test_many_at_once(self, store: Database) -> None:
        worker = add_worker(store)
        ids = add_jobs(store, 2) + add_jobs(store, 2, priority=2)
        mine = claim(store, worker, *ids)
        assert sorted(row.id for row in store.run(release, worker, mine)) == ids
        assert store.run(release, worker, []) == []

    def test_asked_to_stop_it_ends_cancelled(self, store: Database) -> None:
        """Rule 9: a release of a row that somebody cancelled ends in `cancelled`, and is not pushed."""
        worker = add_worker(store)
        mine = claim(store, worker, *add_jobs(store, 2))
        change(store, mine[0].id, cancel_requested_at=datetime.now(UTC))
        assert [row.id for row in store.run(release, worker, mine)] == [mine[1].id]
        assert statuses(store, [c.id for c in mine]) == ["cancelled", "queued"]

    def test_all_of_a_worker(self, store: Database) -> None:
        worker, other = add_worker(store), add_worker(store)
        ids = add_jobs(store, 3)
        claim(store, worker, *ids[:2])
        claim(store, other, ids[2])
        assert sorted(row.id for row in store.run(release_all, worker)) == ids[:2]
        assert statuses(store, ids) == ["queued", "queued", "running"]


class TestLine:
    def test_what_is_due_is_promoted(self, store: Database) -> None:
        due = add_jobs(store, 2, delay=60.0, priority=2)
        later = add_jobs(store, 1, delay=60.0)
        for job_id in due:
            change(store, job_id, available_at=datetime.now(UTC) - timedelta(minutes=1))
        rows = store.run(promote_due)
        assert sorted(row.id for row in rows) == due
        assert statuses(store, due + later) == ["queued", "queued", "scheduled"]
        for place in rows:
            row = row_of(store, place.id)
            assert (place.rank, place.queue) == (row.rank, "default")
            assert abs(row.queued_at - datetime.now(UTC)) < SOON
            assert abs(row.rank + 2 * PRIORITY_STEP - row.queued_at.timestamp() * 1000) < 1000
        assert store.run(promote_due) == []

    def test_a_limit_of_rows(self, store: Database) -> None:
        for job_id in add_jobs(store, 5, delay=60.0):
            change(store, job_id, available_at=datetime.now(UTC) - timedelta(minutes=1))
        assert [len(store.run(promote_due, 2)) for _ in range(4)] == [2, 2, 1, 0]

    def test_two_promoters_share_the_work(self, store: Database) -> None:
        ids = add_jobs(store, 60, delay=60.0)
        with store.transaction() as connection:
            connection.execute(update(JOBS).values(available_at=datetime.now(UTC) - timedelta(minutes=1)))
        with ThreadPoolExecutor(4) as pool:
            found = [
                row.id for rows in pool.map(lambda _: store.run(promote_due, 20), range(8)) for row in rows
            ]
        while rows := store.run(promote_due):
            found += [row.id for row in rows]
        assert sorted(found) == ids

    def test_pending_is_only_for_what_nobody_claimed(self, store: Database) -> None:
        """A push that failed may have arrived: a job that was ever claimed is left alone."""
        worker = add_worker(store)
        fresh, running, released, done, scheduled = add_jobs(store, 5)
        claims = claim(store, worker, running, released, done)
        store.run(release, worker, [claims[1]])
        store.run(complete, worker, [finish(claims[2])])
        change(store, scheduled, status="scheduled")
        ids = [fresh, running, released, done, scheduled, 999_999_999]
        assert store.run(mark_pending, ids) == 1
        assert statuses(store, ids[:5]) == ["pending", "running", "queued", "completed", "scheduled"]

    def test_queued_again_only_from_pending(self, store: Database) -> None:
        worker = add_worker(store)
        pending, claimed = add_jobs(store, 2)
        assert store.run(mark_pending, [pending, claimed]) == 2
        before = row_of(store, pending)
        claim(store, worker, claimed)
        assert [row.id for row in store.run(pending_jobs)] == [pending]
        assert store.run(pending_jobs, pending) == []
        assert store.run(mark_queued, [pending, claimed]) == 1
        row = row_of(store, pending)
        assert (row.status, row.rank, row.queued_at) == ("queued", before.rank, before.queued_at)
        assert row_of(store, claimed).status == "running"

    def test_no_ids_are_no_trouble(self, store: Database) -> None:
        assert store.run(mark_pending, []) == 0
        assert store.run(mark_queued, []) == 0
        assert claim(store, add_worker(store)) == []


class TestWorkers:
    def test_a_life(self, store: Database) -> None:
        worker = add_worker(store)
        assert store.run(is_live, worker)
        with store.reading() as connection:
            (row,) = live_workers(connection, store.dialect, 30)
        assert (row.uuid, row.queues, row.state) == (worker, ["default"], "running")
        assert row.started_at.tzinfo is row.heartbeat_at.tzinfo is UTC
        assert store.run(heartbeat, "supervisor") == set()
        with store.reading() as connection:
            (later,) = live_workers(connection, store.dialect, 30)
        assert later.heartbeat_at > row.heartbeat_at
        store.run(stop, worker)
        assert not store.run(is_live, worker)
        assert store.run(heartbeat, "supervisor", None, [worker]) == set()

    def test_a_row_that_is_gone_is_missed(self, store: Database) -> None:
        """Of a worker that runs a job; the row of another may not be written yet."""
        worker, other = add_worker(store), add_worker(store)
        with store.transaction() as connection:
            connection.execute(WORKERS.delete().where(WORKERS.c.uuid == worker))
        assert store.run(heartbeat, "supervisor", None, [other]) == set()
        assert store.run(heartbeat, "supervisor", None, [worker, other]) == {worker}

    def test_a_lost_worker_stays_lost(self, store: Database) -> None:
        """Rule 5: a heartbeat requires not `lost`; neither it nor a goodbye brings a lost worker back."""
        worker = add_worker(store)
        set_worker(store, worker, "lost")
        assert store.run(heartbeat, "supervisor") == {worker}
        store.run(stop, worker)
        with store.reading() as connection:
            assert connection.execute(text("SELECT state FROM jobman_workers")).scalar_one() == "lost"

    def test_a_silent_worker_is_not_shown_as_alive(self, store: Database) -> None:
        add_worker(store)
        with store.reading() as connection:
            assert live_workers(connection, store.dialect, -1) == []


class TestLive:
    def test_lines_and_progress_reach_the_row(self, store: Database) -> None:
        worker = add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store))
        assert not store.run(tell, worker, [Tale(mine, "one\n", '{"done":1,"total":9}')])
        assert not store.run(tell, worker, [Tale(mine, "two\n")])
        row = row_of(store, mine.id)
        assert (row.logs, row.progress) == ("one\ntwo\n", {"done": 1, "total": 9})
        change(store, mine.id, cancel_requested_at=datetime.now(UTC))
        assert store.run(tell, worker, [Tale(mine)]) == {mine.id}

    def test_a_lost_attempt_writes_nothing(self, store: Database) -> None:
        worker = add_worker(store)
        (mine,) = claim(store, worker, *add_jobs(store))
        store.run(release, worker, [mine])
        store.run(tell, worker, [Tale(mine, "ghost\n")])
        (anew,) = claim(store, worker, mine.id)
        store.run(tell, worker, [Tale(mine, "ghost\n")])
        assert row_of(store, mine.id).logs is None
        change(store, mine.id, cancel_requested_at=datetime.now(UTC))
        assert store.run(tell, worker, [Tale(mine)]) == set(), "it is another attempt that is asked to stop"
        assert store.run(tell, worker, [Tale(anew)]) == {mine.id}


class TestClock:
    def test_it_is_the_databases_and_aware(self, store: Database) -> None:
        """Rule 24: the database's clock, aware, in UTC, and it moves within a transaction."""
        with store.reading() as connection:
            first = database_now(connection, store.dialect)
            time.sleep(0.002)
            second = database_now(connection, store.dialect)
        assert first.tzinfo is UTC
        assert abs(first - datetime.now(UTC)) < SOON
        assert first < second, "a transaction's first moment is not the clock"

    def test_any_zone_goes_in_and_utc_comes_out(self, store: Database) -> None:
        """Rule 24: an aware time of another zone is the same moment afterwards, to the microsecond."""
        (job_id,) = add_jobs(store)
        moment = datetime(2026, 7, 1, 12, 30, 0, 123457, tzinfo=timezone(timedelta(hours=8)))
        change(store, job_id, failed_at=moment)
        job = store.read(find_job, job_id)
        assert job.failed_at == moment
        assert job.failed_at.utcoffset() == timedelta(0)


class TestSettings:
    @pytest.mark.parametrize("store", ["postgresql"], indirect=True)
    def test_postgresql_ends_a_frozen_transaction(self, store: Database) -> None:
        """Rule 21: idle_in_transaction_session_timeout is the lease, and it works."""
        with store.reading() as connection:
            shown = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
        assert shown == "30s"
        quick = Database(store.url.render_as_string(hide_password=False), lease=0.2)
        (job_id,) = add_jobs(store)
        link = quick.link()
        with pytest.raises(Exception, match="cannot be used"), link.transaction() as connection:
            connection.execute(select(JOBS).where(JOBS.c.id == job_id).with_for_update())
            change(
                store, job_id, error_message="the row is free again"
            )  # waits until the server ends the other
            connection.execute(select(1))
        link.drop()
        assert row_of(store, job_id).error_message == "the row is free again"

    def test_a_link_works_on_after_an_error_of_ours(self, store: Database) -> None:
        worker, link = add_worker(store), LostLink(store)

        def fail(connection: Any, _dialect: Any) -> None:
            connection.execute(select(1))
            raise ValueError("ours")

        for run, other in ((link.run_alone, link.run), (link.run, link.run_alone)):
            with pytest.raises(ValueError, match="ours"):
                run(fail)
            assert other(is_live, worker)
            assert run(is_live, worker)
        link.close()

    @pytest.mark.parametrize("store", ["postgresql"], indirect=True)
    def test_a_standby_is_away(self, store: Database) -> None:
        """So is a primary that was demoted: no fault of ours, and workers wait for the new one."""
        add_jobs(store)
        standby = Database(
            f"{store.url.render_as_string(hide_password=False)}?options=-c%20default_transaction_read_only%3Don"
        )
        for run in (standby.run, standby.run_alone, standby.link().run):
            with pytest.raises(StoreUnavailable, match="read-only transaction") as caught:
                run(insert_job, NEW, "{}")
            assert "target_session_attrs" in caught.value.hint
        assert len(standby.read(lambda c, _: c.execute(select(JOBS.c.id)).all())) == 1, (
            "what it has can be read"
        )
        standby.close()

    @pytest.mark.parametrize("store", ["postgresql"], indirect=True)
    def test_a_prepared_statement_that_the_server_has_forgotten(self, store: Database) -> None:
        """As behind a pooler: no fault of the tables, of which a worker would die."""
        worker, link = add_worker(store), LostLink(store)
        for _ in range(8):
            assert link.run(is_live, worker)
        forget = text("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")  # which the driver does not notice
        link.run(lambda connection, _dialect: connection.execute(forget))
        with pytest.raises(StoreUnavailable, match="prepared statement"):
            link.run(is_live, worker)
        assert link.run(is_live, worker)
        link.close()

    @pytest.mark.parametrize("store", ["postgresql"], indirect=True)
    def test_an_impatient_process_gives_up_on_a_lock(self, store: Database) -> None:
        """Rule 21: maintenance waits a second for a lock, and reports the database as away for this round."""
        (job_id,) = add_jobs(store)
        hasty = Database(store.url.render_as_string(hide_password=False))
        hasty.dialect.impatient = True
        with store.transaction() as connection:
            connection.execute(select(JOBS).where(JOBS.c.id == job_id).with_for_update())
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                change(hasty, job_id, error_message="never")
            assert 0.5 < time.monotonic() - began < 5
        hasty.close()
        assert row_of(store, job_id).error_message is None

    @pytest.mark.parametrize("store", ["mariadb"], indirect=True)
    def test_mariadb_reads_committed_rows(self, store: Database) -> None:
        """Rule 21: READ COMMITTED, idle transactions end, UTC."""
        with store.reading() as connection:
            row = connection.execute(
                text("SELECT @@tx_isolation, @@idle_transaction_timeout, @@time_zone, @@character_set_client")
            ).one()
        assert tuple(row) == ("READ-COMMITTED", 30, "+00:00", "utf8mb4")

    @pytest.mark.parametrize("store", ["sqlite"], indirect=True)
    def test_sqlite_begins_as_a_writer(self, store: Database) -> None:
        """Rule 22: WAL, BEGIN IMMEDIATE for writers, and readers that block nobody."""
        said: list[str] = []
        with store.transaction() as connection:
            driver = connection.connection.driver_connection
            assert driver.isolation_level is None
            assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
            with store.reading() as reader:
                assert reader.execute(select(JOBS.c.id)).all() == []
            with pytest.raises(DBAPIError, match="locked"), store.engine.connect() as other:
                other.connection.driver_connection.execute("PRAGMA busy_timeout = 10")
                try:
                    other.begin()
                finally:
                    other.connection.driver_connection.execute("PRAGMA busy_timeout = 5000")
        with store.engine.connect() as connection:
            connection.connection.driver_connection.set_trace_callback(said.append)
            with connection.begin():
                pass
            connection.connection.driver_connection.set_trace_callback(None)
        assert said[0] == "BEGIN IMMEDIATE"


class TestDeadlock:
    """Rule 10: the victim's statement is sent again; nothing above it notices."""

    @pytest.mark.parametrize("store", ["postgresql", "mariadb"], indirect=True)
    def test_two_transactions_in_opposite_order(self, store: Database) -> None:
        first, second = add_jobs(store, 2)
        both_hold_one = threading.Barrier(2, timeout=30)
        sends = []

        def lock(connection: Any, _dialect: Any, ids: list[int], name: str) -> str:
            sends.append(name)
            one = sends.count(name) == 1
            for number, job_id in enumerate(ids):
                connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(completed_code=name))
                if one and number == 0:
                    both_hold_one.wait()
            return name

        with ThreadPoolExecutor(2) as pool:
            forth = pool.submit(store.run, lock, [first, second], "forth")
            link = LostLink(store)
            back = pool.submit(link.run, lock, [second, first], "back")
            assert {forth.result(30), back.result(30)} == {"forth", "back"}
            link.close()
        assert len(sends) == 3, "one was the victim, and was sent again"
        assert row_of(store, first).completed_code == row_of(store, second).completed_code

    def test_finish_and_release_lock_in_one_order(self, store: Database) -> None:
        """Rule 10: batches in any order, from two sides at once, wait for each other and never deadlock."""
        worker = add_worker(store)
        for _ in range(5):
            mine = claim(store, worker, *add_jobs(store, 30))
            with ThreadPoolExecutor(2) as pool:
                back = pool.submit(store.run, release, worker, mine[::-1])
                refused = store.run(complete, worker, [finish(c) for c in mine])
                released = {row.id for row in back.result()}
            assert released == {f.claim.id for f in refused}


def test_no_statement_binds_a_columns_own_name() -> None:
    """Rule 26: a bind parameter named like a column is an error in UPDATE."""
    from jobman_cli.store.dialects import MySQL, PostgreSQL, SQLite
    from jobman_cli.store.lifecycle import claim as claims
    from jobman_cli.store.lifecycle import finish as finishes
    from jobman_cli.store.lifecycle import line, live
    from jobman_cli.store.lifecycle import release as releases

    own = set(JOBS.c.keys())
    for dialect in (SQLite(), PostgreSQL(), MySQL()):
        moves = [
            claims.claim_by_ids(dialect),
            claims._by_line(dialect, "queued"),
            line._promote(dialect),
            releases._release(dialect),
            releases._release_all(dialect),
        ]
        statements: list[Any] = [finishes._complete(dialect), finishes._fail(dialect), live._tell(dialect)]
        statements += [line._mark_pending(dialect), line._mark_queued(dialect)]
        for move in moves:
            statements += [move._one] if move._one is not None else [move._pick, move._update]
        for statement in statements:
            given = {
                key
                for key, bind in statement.compile().binds.items()
                if bind.required  # a value of ours, not one that SQLAlchemy named after its column
            }
            assert given
            assert not given & own


def test_the_states_lead_where_the_product_leads_them() -> None:
    assert TRANSITIONS[Status.RUNNING] >= {Status.COMPLETED, Status.FAILED, Status.SCHEDULED, Status.QUEUED}
