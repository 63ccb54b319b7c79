"""One attempt: whatever a job does, exactly one outcome comes out, and nothing that cannot be stored.

The attempts run through Huey's own `execute`, with the alarm of the worker processes.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import pytest
from huey.storage import BlackHoleStorage
from pydantic import AfterValidator

from jobman_cli.core.context import Context
from jobman_cli.core.jobtype import JobOptions, JobType
from jobman_cli.core.outcome import Fail, OutcomeKind, Retry
from jobman_cli.engine.instance import JobmanHuey, RunJob
from jobman_cli.errors import JobmanError
from jobman_cli.hooks.registry import PluginHook, Registry
from jobman_cli.runtime.consumer.environment import Alarm
from jobman_cli.runtime.runner import MAX_CODE, MAX_MESSAGE, MAX_TRACE, Gate, Runner, storable
from jobman_cli.store.lifecycle.claim import Claim
from jobman_cli.store.lifecycle.finish import Finish

KIND = OutcomeKind
EPOCH = dt.datetime(2000, 1, 1)

# The alarm takes SIGALRM, so pytest-timeout must watch from a thread.
pytestmark = pytest.mark.timeout(60, method="thread")


class Bench:
    """A runner with one job type `t`."""

    def __init__(self, func: Callable[..., Any], hooks: dict[str, Any] | None = None, **options: Any) -> None:
        job_type = JobType("t", func, JobOptions(**options))
        found = {
            name: [PluginHook(f"plugin-{number}", call) for number, call in enumerate(calls)]
            for name, calls in (hooks or {}).items()
        }
        self.gate = Gate()
        self.huey = JobmanHuey("test", storage_class=BlackHoleStorage)
        self.alarm = Alarm(self.gate)
        self.huey._timeout_handler = self.alarm
        registry = Registry({"t": job_type}, [], found)
        self.runner = Runner(registry, self.gate, self._execute, lambda *_: nullcontext(), 10_000)

    def _execute(self, function: Any, attempt: Any) -> object:
        claim = attempt.claim
        return self.huey.execute(RunJob(args=(function, attempt), id="1", timeout=claim.timeout), EPOCH)

    def run(self, attribs: dict[str, Any] | None = None, **fields: Any) -> Finish:
        given = {"type": "t", "tries": 1, "timeout": None, "attempt": 1, **fields}
        claim = Claim(id=1, queue="default", attribs=attribs or {}, claims=1, rescues=0, rank=0, **given)
        finish = self.runner.run(self.runner.begin(claim))
        assert finish is not None
        assert finish.claim is claim
        assert finish.started <= finish.ended
        assert not self.gate.is_open, "the gate is shut when no job's function runs"
        return finish


@pytest.fixture
def sigalrm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


class Mute(Exception):
    """An error that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class MuteValue:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def crash(_value: int) -> int:
    raise RuntimeError("validator")


Crashing = Annotated[int, AfterValidator(crash)]


def raising(error: BaseException) -> Callable[[], None]:
    def func() -> None:
        raise error

    return func


class TestReturning:
    def test_nothing(self) -> None:
        finish = Bench(lambda: None).run()
        assert (finish.outcome.kind, finish.outcome.code) == (KIND.COMPLETED, None)
        assert (finish.attribs, finish.logs, finish.progress) == (None, None, None)
        assert 0 <= time.time() - finish.ended <= time.time() - finish.started < 60

    @pytest.mark.parametrize("code", ["already-there", "x", "ü" * MAX_CODE])
    def test_a_code(self, code: str) -> None:
        outcome = Bench(lambda: code).run().outcome
        assert (outcome.kind, outcome.code) == (KIND.COMPLETED, code)

    @pytest.mark.parametrize(
        "value", ["", "x" * (MAX_CODE + 1), 5, False, b"x", ["x"], "nul\x00", "half \ud800", MuteValue()]
    )
    def test_what_is_no_code(self, value: object) -> None:
        finish = Bench(lambda: value).run()
        assert (finish.outcome.kind, finish.outcome.code) == (KIND.COMPLETED, None)
        assert "no completed_code" in finish.logs
        finish.logs.encode()


class TestRaising:
    def test_an_error(self) -> None:
        outcome = Bench(raising(ValueError("bad value")), backoff=[7], tries=2).run().outcome
        assert outcome.kind is KIND.ERROR
        assert outcome.error_message == "ValueError: bad value"
        assert outcome.exception.startswith("Traceback")
        assert "raise error" in outcome.exception
        assert 0 <= outcome.delay <= 7

    def test_retry(self) -> None:
        outcome = Bench(raising(Retry("busy", after=12.5))).run().outcome
        assert (outcome.kind, outcome.delay, outcome.error_message) == (KIND.RETRY, 12.5, "busy")
        outcome = Bench(raising(Retry(after=0)), backoff=[50]).run().outcome
        assert outcome.delay == 0
        assert Bench(raising(Retry()), backoff=[50]).run().outcome.delay <= 50

    @pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), 10**10])
    def test_a_retry_out_of_bounds_is_an_error_of_the_job(self, after: float) -> None:
        def func() -> None:
            raise Retry(after=after)

        outcome = Bench(func).run().outcome
        assert outcome.kind is KIND.ERROR
        assert "Retry(after=" in outcome.error_message

    def test_fail(self) -> None:
        outcome = Bench(raising(Fail("no hope"))).run().outcome
        assert (outcome.kind, outcome.error_message) == (KIND.FAIL, "no hope")
        assert Bench(raising(Fail())).run().outcome.error_message == "the job gave up"

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
    def test_what_would_end_a_process_is_an_error_of_the_job(self, error: BaseException) -> None:
        outcome = Bench(raising(error)).run().outcome
        assert outcome.kind is KIND.ERROR
        assert type(error).__name__ in outcome.error_message

    def test_sys_exit_0_is_no_success(self) -> None:
        assert Bench(lambda: sys.exit(0)).run().outcome.kind is KIND.ERROR

    def test_an_interrupt_of_the_worker_gives_the_job_back(self) -> None:
        bench = Bench(raising(KeyboardInterrupt()))
        bench.gate.interrupted = True
        assert bench.run().outcome.kind is KIND.RELEASED

    @pytest.mark.parametrize("error", [Mute(), Retry(Mute()), Fail(Mute())], ids=["error", "retry", "fail"])
    def test_an_error_without_words(self, error: Exception) -> None:
        """It must not look like an interrupt: that would run the job again for ever."""
        outcome = Bench(raising(error)).run().outcome
        assert outcome.kind in (KIND.ERROR, KIND.RETRY, KIND.FAIL)
        assert outcome.error_message
        assert outcome.exception

    def test_text_that_no_database_takes(self) -> None:
        outcome = Bench(raising(ValueError("nul \x00 half \ud800 end"))).run().outcome
        for text in (outcome.error_message, outcome.exception):
            assert "\x00" not in text
            text.encode()
        assert "end" in outcome.error_message

    def test_endless_text_is_shortened_in_its_middle(self) -> None:
        outcome = Bench(raising(ValueError("a" * 500_000 + "the end"))).run().outcome
        assert len(outcome.error_message) < MAX_MESSAGE + 100
        assert len(outcome.exception) < MAX_TRACE + 100
        assert outcome.error_message.endswith("the end")
        assert "characters left out" in outcome.error_message

    def test_too_deep_a_recursion(self) -> None:
        def func() -> None:
            func()

        assert Bench(func).run().outcome.error_message.startswith("RecursionError")

    @pytest.mark.parametrize("name", ["RetryTask", "CancelExecution", "TaskLockedException", "TaskTimeout"])
    def test_hueys_own_exceptions_mean_nothing_special(self, name: str) -> None:
        import huey.exceptions

        error = getattr(huey.exceptions, name)("x")
        outcome = Bench(raising(error)).run(timeout=None).outcome
        assert outcome.kind in (KIND.ERROR, KIND.TIMEOUT)
        assert outcome.error_message


class TestArguments:
    def test_they_are_converted_and_the_context_is_passed(self) -> None:
        seen: list[Any] = []

        def func(ctx: Context, when: dt.date, n: int = 3) -> None:
            seen.append((ctx.job_id, ctx.type, ctx.queue, ctx.attempt, when, n))

        finish = Bench(func).run({"when": "2026-01-02", "unknown": 1}, attempt=4)
        assert finish.outcome.kind is KIND.COMPLETED
        assert seen == [(1, "t", "default", 4, dt.date(2026, 1, 2), 3)]

    def test_an_unknown_type(self) -> None:
        outcome = Bench(lambda: None).run(type="gone").outcome
        assert outcome.kind is KIND.ERROR
        assert "there is no job type 'gone'" in outcome.error_message

    def test_stored_attribs_that_no_longer_fit(self) -> None:
        def func(n: int) -> None:
            raise AssertionError("it must not be called")

        for attribs in ({"n": "many"}, {}, {"n": None}):
            outcome = Bench(func).run(attribs).outcome
            assert outcome.kind is KIND.ERROR
            assert "n:" in outcome.error_message

    def test_a_validator_that_crashes(self) -> None:
        def func(n: Crashing) -> None:
            raise AssertionError("it must not be called")

        assert Bench(func).run({"n": 1}).outcome.kind is KIND.ERROR


class TestAttribs:
    def written(self, write: Callable[[dict[str, Any]], None]) -> Finish:
        def func(ctx: Context, a: int = 0) -> None:
            write(ctx.attribs)

        return Bench(func).run({"a": 1, "deep": {"x": [1]}})

    def test_reading_changes_nothing(self) -> None:
        assert self.written(lambda attribs: attribs["deep"]["x"].copy()).attribs is None

    def test_a_change_deep_inside_is_seen(self) -> None:
        finish = self.written(lambda attribs: attribs["deep"]["x"].append("ü"))
        assert json.loads(finish.attribs) == {"a": 1, "deep": {"x": [1, "ü"]}}
        assert "ü" in finish.attribs

    def test_they_are_saved_though_the_job_fails(self) -> None:
        def func(ctx: Context) -> None:
            ctx.attribs["got"] = 3
            raise ValueError

        finish = Bench(func).run()
        assert finish.outcome.kind is KIND.ERROR
        assert json.loads(finish.attribs) == {"got": 3}

    @pytest.mark.parametrize(
        "write",
        [
            lambda a: a.update(x=object()),
            lambda a: a.update(x={1, 2}),
            lambda a: a.update(x=float("nan")),
            lambda a: a.update(x="nul\x00"),
            lambda a: a.update(x="\ud800"),
            lambda a: a.update(x=2**64),
            lambda a: a.update({(1, 2): 3}),
            lambda a: a.update({1: 2}),
            lambda a: a.update(x=a),
            lambda a: a.update(x="y" * 20_000),
            lambda a: a.update(x=(1, 2, object())),
            lambda a: a.update(x=MuteValue()),
            lambda a: a.update(x=nested(50)),
            lambda a: a.update(x=nested(50_000)),
        ],
        ids=[
            *("object", "set", "nan", "nul", "surrogate", "huge", "tuple-key", "int-key"),
            *("circle", "large", "tuple", "mute", "deep", "abyss"),
        ],
    )
    def test_what_cannot_be_stored_fails_the_job_and_says_so(self, write: Any) -> None:
        """The attempt did its work; running it again would do it twice."""
        finish = self.written(write)
        assert finish.outcome.kind is KIND.FAIL
        assert "cannot be stored" in finish.outcome.error_message
        assert "cannot be stored" in finish.logs
        assert finish.attribs is None

    def test_a_failure_stays_the_failure_it_was(self) -> None:
        def func(ctx: Context) -> None:
            ctx.attribs["x"] = object()
            raise Retry("later", after=3)

        finish = Bench(func).run()
        assert (finish.outcome.kind, finish.outcome.delay) == (KIND.RETRY, 3)
        assert "cannot be stored" in finish.logs


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


class TestLogs:
    def test_each_line_has_its_time_and_attempt(self) -> None:
        def func(ctx: Context) -> None:
            ctx.log("one")
            ctx.log(2)

        lines = Bench(func).run(attempt=3).logs.splitlines()
        assert [line.partition(" ")[2] for line in lines] == ["[3] one", "[3] 2"]
        assert dt.datetime.fromisoformat(lines[0].partition(" ")[0]).tzinfo is not None

    def test_nul_and_surrogates_are_replaced(self) -> None:
        def func(ctx: Context) -> None:
            ctx.log("nul \x00 half \ud800 😀 end")

        logs = Bench(func).run().logs
        assert "\x00" not in logs
        assert logs.encode().decode().rstrip().endswith("😀 end")

    def test_what_cannot_be_shown_is_an_error_of_the_job(self) -> None:
        def func(ctx: Context) -> None:
            ctx.log(Mute())

        assert Bench(func).run().outcome.kind is KIND.ERROR

    def test_a_flood_is_bounded_and_says_so(self) -> None:
        """What waits to be stored must fit into one statement of any database."""

        def func(ctx: Context) -> None:
            for number in range(50_000):
                ctx.log(f"{number} " + "x" * 100)
            ctx.log("y" * 30_000_000)

        logs = Bench(func).run().logs
        assert len(logs) < 1_300_000
        assert "] 0 xxx" in logs
        assert "lines left out" in logs.splitlines()[-1]

    def test_a_message_without_end(self) -> None:
        logs = Bench(lambda ctx: ctx.log("z" * 3_000_000)).run().logs
        assert len(logs) < 101_000
        assert "characters left out" in logs

    def test_there_is_room_again_once_lines_were_taken(self) -> None:
        context = Context(1, "t", "q", 1, {}, lambda _code: nullcontext())
        for _ in range(5):
            for _ in range(9):
                context.log("x" * 99_000)
            lines = context.take_lines()
            assert len(lines) == 9
            context.give_back_lines(lines)
            assert context.take_lines() == lines

    def test_progress(self) -> None:
        def func(ctx: Context) -> None:
            ctx.progress(1, 4)
            ctx.progress(2.5, 4)

        assert json.loads(Bench(func).run().progress) == {"done": 2.5, "total": 4}

    @pytest.mark.parametrize(
        "told", [(-1, 2), (1, 0), (float("nan"), 1), (1, float("inf")), (True, float("nan"))]
    )
    def test_progress_without_sense(self, told: tuple[float, float]) -> None:
        def func(ctx: Context) -> None:
            ctx.progress(*told)

        finish = Bench(func).run()
        assert finish.outcome.kind is KIND.ERROR
        assert finish.progress is None


@pytest.mark.usefixtures("sigalrm")
class TestTimeout:
    @pytest.fixture(autouse=True)
    def own_hook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # what the alarm takes is given back

    def bench(self, func: Callable[..., Any], **given: Any) -> Bench:
        bench = Bench(func, **given)
        bench.alarm.install()
        return bench

    def test_it_strikes(self) -> None:
        began = time.monotonic()
        outcome = self.bench(lambda: time.sleep(30)).run(timeout=0.05).outcome
        assert (outcome.kind, outcome.error_message) == (KIND.TIMEOUT, "timed out after 0.05 s")
        assert "time.sleep" in outcome.exception
        assert time.monotonic() - began < 1

    def test_a_job_in_time_never_hears_of_it(self) -> None:
        bench = self.bench(lambda: None)
        assert bench.run(timeout=0.05).outcome.kind is KIND.COMPLETED
        time.sleep(0.07)
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0

    def test_a_late_alarm_is_no_timeout(self) -> None:
        """Rule 19: once the function has returned, an alarm does not turn success into a timeout."""
        late: list[bool] = []

        def finished(context: Context, outcome: Any) -> list[Any]:
            os_kill_alarm()
            late.append(True)
            return []

        bench = self.bench(lambda: "done", hooks={"jobman_job_finished": [finished]})
        outcome = bench.run(timeout=50).outcome
        assert (outcome.kind, outcome.code, late) == (KIND.COMPLETED, "done", [True])

    def test_an_alarm_while_the_gate_is_shut_rings_again(self) -> None:
        """Rule 19: masked before the job began or while its own commit ran, it is not forgotten."""

        def started(context: Context) -> list[Any]:
            time.sleep(0.08)
            return []

        began = time.monotonic()
        bench = self.bench(lambda: time.sleep(20), hooks={"jobman_job_started": [started]})
        assert bench.run(timeout=0.05).outcome.kind is KIND.TIMEOUT
        assert time.monotonic() - began < 2

    def test_one_that_strikes_in_a_destructor_strikes_again(self) -> None:
        """Python reports and drops what is raised there; the job would go on."""
        sys.unraisablehook = lambda what: None

        class Slow:
            def __del__(self) -> None:
                time.sleep(0.1)

        def func() -> None:
            Slow()
            time.sleep(20)

        began = time.monotonic()
        outcome = self.bench(func).run(timeout=0.05).outcome
        assert (outcome.kind, outcome.error_message) == (KIND.TIMEOUT, "timed out after 0.05 s")
        assert time.monotonic() - began < 2

    def test_what_others_dropped_is_reported(self) -> None:
        seen: list[Any] = []
        sys.unraisablehook = lambda what: seen.append(type(what.exc_value))

        class Bad:
            def __del__(self) -> None:
                raise OSError

        def func() -> None:
            Bad()

        assert self.bench(func).run(timeout=5).outcome.kind is KIND.COMPLETED
        assert seen == [OSError]

    def test_it_never_rings_in_the_next_job(self) -> None:
        bench = self.bench(lambda: time.sleep(0.15))

        def finished(context: Context, outcome: Any) -> list[Any]:
            time.sleep(0.08)  # the alarm rings here, where the gate is shut
            return []

        first = self.bench(lambda: None, hooks={"jobman_job_finished": [finished]})
        assert first.run(timeout=0.05).outcome.kind is KIND.COMPLETED
        assert bench.run(timeout=None).outcome.kind is KIND.COMPLETED

    def test_at_the_very_edge_there_is_one_outcome(self) -> None:
        """Rule 19: a job as long as its timeout is completed or timed out, and the next one is untouched."""

        def func(ctx: Context) -> str:
            until = time.perf_counter() + 0.002
            while time.perf_counter() < until:
                pass
            ctx.log("returned")
            return "ok"

        bench = self.bench(func)
        seen = set()
        for number in range(150):
            finish = bench.run(timeout=0.0018 + 0.000004 * number)
            seen.add(finish.outcome.kind)
            if finish.outcome.kind is KIND.COMPLETED:
                assert finish.outcome.code == "ok"
            assert finish.outcome.kind in (KIND.COMPLETED, KIND.TIMEOUT)
        assert bench.run(timeout=10).outcome.kind is KIND.COMPLETED
        assert seen == {KIND.COMPLETED, KIND.TIMEOUT}


def os_kill_alarm() -> None:
    signal.raise_signal(signal.SIGALRM)


class TestObservers:
    def test_they_see_start_and_end(self) -> None:
        seen: list[Any] = []
        hooks = {
            "jobman_job_started": [lambda context: seen.append(("started", context.job_id)) or []],
            "jobman_job_finished": [
                lambda context, outcome: seen.append(("finished", outcome.kind, outcome.code)) or []
            ],
        }
        Bench(lambda: "code", hooks).run()
        assert seen == [("started", 1), ("finished", KIND.COMPLETED, "code")]
        seen.clear()
        Bench(raising(ValueError()), hooks).run()
        assert seen[1][1] is KIND.ERROR

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)], ids=repr)
    def test_their_crash_is_logged_and_changes_nothing(
        self, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        def crash(**_: Any) -> None:
            raise error

        hooks = {"jobman_job_started": [crash], "jobman_job_finished": [crash]}
        with caplog.at_level(logging.WARNING):
            assert Bench(lambda: "ok", hooks).run().outcome.code == "ok"
        assert len([r for r in caplog.records if "plugin-0" in r.message]) == 2

    def test_a_wrapper_surrounds_the_job(self) -> None:
        seen: list[str] = []

        @contextmanager
        def around(context: Context) -> Iterator[None]:
            seen.append("before")
            yield
            seen.append("after")

        hooks = {"jobman_around_job": [lambda context: [around(context)]]}
        assert Bench(lambda: seen.append("job"), hooks).run().outcome.kind is KIND.COMPLETED
        assert seen == ["before", "job", "after"]

    def test_a_wrapper_cannot_hide_a_failure(self) -> None:
        @contextmanager
        def around(context: Context) -> Iterator[None]:
            try:
                yield
            except Exception:
                return

        hooks = {"jobman_around_job": [lambda context: [around(context)]]}
        assert Bench(raising(ValueError("x")), hooks).run().outcome.kind is KIND.ERROR

    def test_a_wrapper_that_crashes_fails_the_attempt(self) -> None:
        @contextmanager
        def around(context: Context) -> Iterator[None]:
            raise RuntimeError("wrapper")
            yield

        hooks = {"jobman_around_job": [lambda context: [around(context)]]}
        assert "wrapper" in Bench(lambda: None, hooks).run().outcome.error_message


class TestCompleting:
    def test_after_its_commit_the_attempt_is_over(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = Bench(raising(ValueError("afterwards")))
        claim = Claim(1, "t", "default", {}, 1, None, 1, 1, 0, 0)
        attempt = bench.runner.begin(claim)
        attempt.recorded = True
        with caplog.at_level(logging.ERROR):
            assert bench.runner.run(attempt) is None
        assert "after it had completed" in caplog.text


def test_storable_keeps_what_fits() -> None:
    assert storable("héllo\n", 100) == "héllo\n"
    assert storable("a" * 100, 100) == "a" * 100
    assert len(storable("a" * 101, 100)) < 160


def test_jobman_errors_are_errors_of_the_job() -> None:
    outcome = Bench(raising(JobmanError("x"))).run().outcome
    assert (outcome.kind, outcome.error_message) == (KIND.ERROR, "JobmanError: x")


def test_a_failure_around_the_job_is_no_interrupt() -> None:
    """An attempt that Huey never made would be given back and made again for ever."""
    bench = Bench(lambda: "ok")

    def crash(*_: Any) -> None:
        raise RuntimeError("around")

    bench.runner._execute = crash
    assert bench.run().outcome.kind is KIND.ERROR
