"""Jobs whose effects can be counted. Loaded by the workers under test (`modules: [fault_jobs]`)."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import text

from jobman_cli import Context, job

INSERT = text("INSERT INTO effect (job_id, attempt) VALUES (:job, :attempt)")


def record(session: Any, ctx: Context) -> None:
    """Write the effect that the oracle counts, in the transaction that completes the job."""
    session.execute(INSERT, {"job": ctx.job_id, "attempt": ctx.attempt})


@job("effect", tries=50, backoff=[0.1], timeout=None)
def effect(ctx: Context, ms: float = 0) -> None:
    time.sleep(ms / 1000)
    with ctx.completing() as session:
        record(session, ctx)


@job("async_effect", tries=50, backoff=[0.1], timeout=None)
async def async_effect(ctx: Context, ms: float = 0) -> None:
    await asyncio.sleep(ms / 1000)
    async with ctx.completing() as session:
        record(session, ctx)


@job("async_plain", tries=50, backoff=[0.1], timeout=None)
async def async_plain(ms: float = 0) -> None:
    await asyncio.sleep(ms / 1000)


@job("async_poison", tries=1, timeout=None)
async def async_poison(ctx: Context, file: str) -> None:
    """Kills its worker as the out-of-memory killer would, once others have begun beside it."""
    with open(file, "a") as starts:
        starts.write(f"{ctx.attempt}\n")
    await asyncio.sleep(0.5)  # what the loop claims in that time runs beside it
    os.kill(os.getpid(), signal.SIGKILL)


@job("plain", tries=50, backoff=[0.1], timeout=None)
def plain(ms: float = 0) -> None:
    time.sleep(ms / 1000)


@job("held", tries=5, backoff=[0.1], timeout=None)
def held(ctx: Context, gate: str) -> None:
    """Runs until a gate opens, then has its effect, and notes that it has tried."""
    wait_for(gate, ctx)
    try:
        with ctx.completing() as session:
            record(session, ctx)
    finally:
        Path(f"{gate}.tried-{ctx.attempt}").touch()


@job("held_plain", tries=5, backoff=[0.1], timeout=None)
def held_plain(ctx: Context, gate: str) -> None:
    wait_for(gate, ctx)


def wait_for(gate: str, ctx: Context) -> None:
    """Until the file appears, or the one that lets this attempt alone go on."""
    Path(f"{gate}.started-{ctx.attempt}").write_text(str(os.getpid()))
    while not (Path(gate).exists() or Path(f"{gate}.open-{ctx.attempt}").exists()):
        time.sleep(0.01)  # between two looks for the file


@job("poison", tries=1, timeout=None)
def poison(ctx: Context, file: str) -> None:
    """Kills its worker as the out-of-memory killer would."""
    with open(file, "a") as starts:
        starts.write(f"{ctx.attempt}\n")
    os.kill(os.getpid(), signal.SIGKILL)


@job("stubborn", tries=2, backoff=[0], timeout=0.5)
def stubborn(ctx: Context, file: str) -> None:
    """Swallows its timeout and goes on for ever."""
    with open(file, "a") as starts:
        starts.write(f"{ctx.attempt}\n")
    while True:
        with suppress(Exception):
            time.sleep(3600)  # what it does is to go on


@job("fails", tries=1, timeout=None)
def fails() -> None:
    raise ValueError("on purpose")


@job("flaky", tries=3, backoff=[0.05], timeout=None)
def flaky(ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ValueError("once, on purpose")
    with ctx.completing() as session:
        record(session, ctx)


@job("subprocesses", timeout=None)
def subprocesses(file: str) -> None:
    """Notes which signals a subprocess of the job ignores, what a pool reckons, and how a fork takes TERM."""
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    ignored = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    fork = multiprocessing.get_context("fork")
    with fork.Pool(1) as pool:
        reckoned = pool.map(square, [7])[0]
    sleeper = fork.Process(target=time.sleep, args=(3600,))
    sleeper.start()
    sleeper.terminate()
    sleeper.join(5)
    Path(file).write_text(f"{ignored} {reckoned} {sleeper.exitcode}")
    sleeper.kill()


def square(number: int) -> int:
    return number * number
