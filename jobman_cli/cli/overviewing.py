"""``jobman status``, ``list`` and ``supervisors``: what runs, on every host. No plugin is loaded for it."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import output, talk
from jobman_cli.cli.asking import counted, names
from jobman_cli.cli.output import Column
from jobman_cli.cli.rows import moment_text
from jobman_cli.cli.session import jobman_of
from jobman_cli.errors import UsageError
from jobman_cli.operations.objects.running import (
    masters_array,
    of_kind,
    state_of,
    status_object,
    supervisors_array,
    supervisors_under,
)

if TYPE_CHECKING:
    from jobman_cli.operations.supervision import Overview
    from jobman_cli.store.tables import Supervisor

#: What ``status`` exits with, as Horizon does.
CODES = {"running": 0, "paused": 1, "inactive": 2}
COLOURS = {"running": "32", "paused": "33", "stopping": "35", "silent": "31"}
#: Seconds between two pictures of a live view.
EVERY = 1.0

Watch = Annotated[bool, typer.Option("--watch", help="Show it live, until Ctrl-C; needs a terminal.")]
AnArray = Annotated[bool, typer.Option("--json", help="Print a JSON array.")]


def status(
    ctx: typer.Context,
    watch: Watch = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Say whether jobs are run: exit 0 running, 1 paused, 2 inactive."""
    seen = _show(ctx, watch, as_json, _write_status, status_object)
    raise typer.Exit(CODES[seen.state])


def list_(ctx: typer.Context, watch: Watch = False, as_json: AnArray = False) -> None:
    """List the masters, on every host."""
    _show(ctx, watch, as_json, _write_masters, masters_array)


def supervisors(ctx: typer.Context, watch: Watch = False, as_json: AnArray = False) -> None:
    """List the supervisors, on every host, with their pools."""
    _show(ctx, watch, as_json, _write_supervisors, supervisors_array)


class _Picture(io.StringIO):
    """Text that is written as if to the terminal."""

    def isatty(self) -> bool:
        return True


def _show(
    ctx: typer.Context,
    watch: bool,
    as_json: bool,
    write: Callable[[Overview], None],
    shaped: Callable[[Overview], Any],
) -> Overview:
    if watch and (as_json or not output.on_terminal()):
        raise UsageError("--watch draws on a terminal", hint="Ask again and again with --json instead.")
    jobman = jobman_of(ctx)
    from jobman_cli.operations.supervision import overview

    seen = overview(jobman.records)
    if as_json:
        output.write_json(shaped(seen))
    elif not watch:
        write(seen)
    while watch:
        _draw(write, seen)
        time.sleep(EVERY)
        seen = overview(jobman.records)
    return seen


def _draw(write: Callable[[Overview], None], seen: Overview) -> None:
    """A new picture over the old one, in one go, so that nothing flickers."""
    with redirect_stdout(_Picture()) as picture:
        write(seen)
    body = picture.getvalue().replace("\n", "\x1b[K\n")
    sys.stdout.write(f"\x1b[H{time.strftime('%H:%M:%S')}  Ctrl-C ends this\x1b[K\n\x1b[K\n{body}\x1b[J")
    sys.stdout.flush()


def _write_status(seen: Overview) -> None:
    hosts = {row.host for row in seen.supervisors}
    line = seen.state
    if seen.supervisors:
        line += (
            f": {counted(len(seen.supervisors), 'supervisor', 'supervisors')} on "
            f"{counted(len(hosts), 'host', 'hosts')}, {counted(len(seen.workers), 'worker', 'workers')}"
        )
    output.write(line)
    if seen.paused_queues:
        output.write(f"paused queues: {names(seen.paused_queues)}")
    for row in seen.silent:
        heard = moment_text(row.heartbeat_at)
        output.write(talk.harmless(f"silent: {row.kind} {row.name} on {row.host}, last heard {heard}"))
    if seen.state == "inactive":
        talk.hint("Start workers with `jobman supervise`, or `jobman run-worker`.")


def _columns(seen: Overview) -> list[Column]:
    return [
        Column("name", lambda row: str(row.name)),
        Column("host", lambda row: str(row.host)),
        Column("pid", lambda row: str(row.pid), right=True),
        Column("state", lambda row: state_of(seen, row), lambda state: COLOURS.get(state, "")),
    ]


def _write_masters(seen: Overview) -> None:
    rows = of_kind(seen, "master")
    if not rows:
        talk.say("no master runs")
    else:
        more = [
            Column("environment", lambda row: row.environment or "", rank=2),
            Column("since", lambda row: moment_text(row.started_at), rank=1),
            Column("supervisors", lambda row: ", ".join(supervisors_under(seen, row))),
        ]
        output.write_table(rows, [*_columns(seen), *more])
    if seen.alone:
        there = counted(len(seen.alone), "supervisor has", "supervisors have")
        talk.say(f"{there} no master; see `jobman supervisors`")


def _write_supervisors(seen: Overview) -> None:
    rows: Sequence[Supervisor] = of_kind(seen, "supervisor")
    if not rows:
        talk.say("no supervisor runs")
        return
    more = [
        Column("balance", lambda row: str(row.balance), rank=2),
        Column("since", lambda row: moment_text(row.started_at), rank=1),
        Column("pools", _pools),
    ]
    output.write_table(rows, [*_columns(seen), *more])


def _pools(row: Supervisor) -> str:
    """``default 3, mail 1``; a pool of several queues is ``a,b 2``."""
    return ", ".join(f"{pool} {number}" for pool, number in (row.pools or {}).items()) or ",".join(row.queues)
