"""Fill a table with any number of rows, quickly: SQL that makes rows of numbers, a chunk a transaction."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, text

from jobman_cli.store.database import Database
from jobman_cli.store.tables import ATTEMPTS, FAILED_JOBS, JOBS, METRICS

CHUNK = 50_000
#: The rows are 320 to about 205 days old, in the order of their ids.
OLDEST = 320 * 86_400
STEP = 10

_NUMBERS = {
    "sqlite": """(WITH RECURSIVE s(n) AS (SELECT {low} UNION ALL SELECT n + 1 FROM s WHERE n < {high})
        SELECT n FROM s)""",
    "postgresql": "generate_series({low}, {high})",
    "mysql": "(SELECT seq AS n FROM seq_{low}_to_{high})",
}
_TIME = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', {at}, 'unixepoch') || '000'",
    "postgresql": "to_timestamp({at})",
    "mysql": "TIMESTAMPADD(SECOND, {at}, '1970-01-01')",
}
_JSON = {"sqlite": "{0}", "postgresql": "CAST({0} AS jsonb)", "mysql": "{0}"}
_UUID = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "CAST(gen_random_uuid() AS text)",
    "mysql": "uuid()",
}

_STATUS = """CASE WHEN n % 100 < 90 THEN 'completed' WHEN n % 100 < 95 THEN 'failed'
    WHEN n % 100 < 97 THEN 'cancelled' ELSE 'queued' END"""
_TYPE = """CASE WHEN n = 7 THEN 'rare' WHEN n % 3 = 0 THEN 'send-mail'
    WHEN n % 3 = 1 THEN 'resize' ELSE 'import' END"""
_QUEUE = "CASE WHEN n = 7 THEN 'rare' WHEN n % 5 = 4 THEN 'mail' ELSE 'default' END"
_TAGS = """CASE WHEN n = 7 THEN '["batch","rare"]' WHEN n % 10 = 0 THEN '["batch","shop-12"]' END"""
_ERROR = """CASE WHEN n = 7 THEN 'RuntimeError: a needle in the hay' WHEN n % 100 BETWEEN 90 AND 94
    THEN 'ConnectionError: HTTPSConnectionPool(host=''example.org'', port=443): Max retries exceeded' END"""
_ATTRIBS = """'{"name":"Ada","address":"ada@example.org","copies":3}'"""
_TRACE = """'Traceback (most recent call last): File jobs.py, line 12, in send
    smtp.send(message)
ConnectionError: refused'"""


def fill(database: Database, rows: int, *, mixed: bool) -> float:
    """Write ``rows`` jobs with ids from 1: of every state, or all queued. Returns the seconds it took."""
    began = time.perf_counter()
    for low in range(1, rows + 1, CHUNK):
        with database.transaction() as connection:
            for statement in _statements(database.dialect.name, low, min(low + CHUNK - 1, rows), mixed):
                connection.execute(text(statement.replace(":", r"\:")))
    tidy(database)
    print(f"  filled in {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return time.perf_counter() - began


def tidy(database: Database) -> None:
    """What the databases do by themselves after a while: count rows, take dead ones away."""
    name = database.dialect.name
    engine = (
        database.engine.execution_options(isolation_level="AUTOCOMMIT")
        if name != "sqlite"
        else database.engine
    )
    with engine.connect() as connection:
        for table in (JOBS, FAILED_JOBS, ATTEMPTS):
            if name == "postgresql":
                connection.exec_driver_sql(f"VACUUM ANALYZE {table.name}")
            elif name == "mysql":
                connection.exec_driver_sql(f"ANALYZE TABLE {table.name}")
        if name == "postgresql":
            connection.exec_driver_sql(
                "CHECKPOINT"
            )  # what filling the table has left to write is not the operations'
        elif name == "sqlite":
            connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def clear_tables(database: Database) -> None:
    for table in (ATTEMPTS, FAILED_JOBS, JOBS):
        with database.transaction() as connection:
            word = "DELETE FROM" if database.dialect.name == "sqlite" else "TRUNCATE TABLE"
            connection.exec_driver_sql(f"{word} {table.name}")
    tidy(database)


def _statements(name: str, low: int, high: int, mixed: bool) -> list[str]:
    numbers = f"{_NUMBERS[name].format(low=low, high=high)} AS {'g(n)' if name == 'postgresql' else 'g'}"
    now = time.time()
    made = _TIME[name].format(at=f"({int(now) - OLDEST} + n * {STEP})")
    status = _STATUS if mixed else "'queued'"
    done = f"CASE WHEN {status} = 'completed' THEN {made} END"
    broke = f"CASE WHEN {status} = 'failed' THEN {made} END"
    as_json = _JSON[name].format
    ran = "1" if mixed else "0"
    jobs = f"""INSERT INTO jobmans (id, type, queue, priority, {_ticked(name)}, status, attribs, tags, tries,
        attempts, claims, rescues, logs, error_message, exception, created_at, queued_at, started_at,
        completed_at, failed_at)
        SELECT n, {_TYPE}, {_QUEUE if mixed else "'default'"}, 0, {int(now * 1000)} + n, {status},
        {as_json(_ATTRIBS)}, {as_json(_TAGS)}, 1, {ran}, {ran}, 0,
        'a line of its log', {_ERROR if mixed else "NULL"},
        CASE WHEN {status} = 'failed' THEN {_TRACE} END, {made}, {made}, {made}, {done}, {broke}
        FROM {numbers}"""
    if not mixed:
        return [jobs]
    only = f"FROM {numbers} WHERE {status} = 'failed'"
    attempts = f"""INSERT INTO jobman_attempts (jobman_id, number, claim, started_at, ended_at, outcome,
        error_message, exception) SELECT n, 1, 1, {made}, {made}, 'error', 'refused', {_TRACE} {only}"""
    failures = f"""INSERT INTO failed_jobs (uuid, connection, queue, payload, exception, failed_at, jobman_id)
        SELECT {_UUID[name]}, 'redis', {_QUEUE}, '{{}}', {_TRACE}, {made}, n {only}"""
    return [jobs, attempts, failures]


def _ticked(name: str) -> str:
    return "`rank`" if name == "mysql" else "rank"


def fill_metrics(database: Database, minutes: int) -> None:
    """Write what so many minutes of five job types in two queues leave behind: eight rows a minute."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    pairs = [(f"type-{each}", queue) for each in range(5) for queue in ("default", "mail")[: 1 + (each < 3)]]
    rows = []
    for minute in range(minutes):
        for place, (type, queue) in enumerate(pairs):
            # Ten to fifteen buckets, as some hundred attempts of one type have them.
            runtimes = {str(40 + place + each): 1 + (minute + each) % 9 for each in range(14)}
            number = sum(runtimes.values())
            key = {"span": 60, "at": now - timedelta(minutes=minute), "type": type, "queue": queue}
            counts = {"completed": number - 1, "failed_attempts": 1, "failed_jobs": minute % 2}
            runtime = {"runtime_sum": number * 0.1, "runtime_max": 1.0, "runtime_histogram": runtimes}
            wait = {"wait_sum": number * 0.2, "wait_max": 2.0, "wait_histogram": runtimes}
            rows.append(key | counts | runtime | wait)
    with database.transaction() as connection:
        connection.execute(insert(METRICS), rows)
