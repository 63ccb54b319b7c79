"""``jobman supervise``, and what tells supervisors something.

``pause``, ``continue`` and ``terminate`` go through rows and wait for answers; ``purge`` is for this host.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobman_cli.cli import asking, completion, output, talk
from jobman_cli.cli.asking import counted
from jobman_cli.cli.options import Yes
from jobman_cli.cli.session import jobman_of, verbosity
from jobman_cli.core.values import read_duration, read_queues, read_text
from jobman_cli.errors import EXIT_FAILED, ConfigurationError, InvalidOption, JobmanError, UsageError

if TYPE_CHECKING:
    from jobman_cli.operations.supervision import Answers, Overview
    from jobman_cli.settings import Settings
    from jobman_cli.settings.blocks import Block
    from jobman_cli.store.tables import Supervisor

#: Seconds within which an answer is expected: supervisors look once a second.
ANSWER = 10.0
#: Seconds that an end may take beyond ``shutdown_timeout``.
END = 20.0

Environment = Annotated[
    str | None,
    typer.Option("--environment", metavar="NAME", help="Of `environments:`. [default: `supervisors:`]"),
]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken-plugins", help="Start although a plugin cannot be used.")
]
OfQueue = Annotated[
    str | None,
    typer.Option("--queue", metavar="NAME", help="Only this queue.", autocompletion=completion.queues),
]
OfSupervisor = Annotated[
    str | None, typer.Option("--supervisor", metavar="NAME", help="Only supervisors of this name, or uuid.")
]


def supervise(
    ctx: typer.Context,
    environment: Environment = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The master's name. [default: the host's]")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start supervisors anew when code changes; for development.")
    ] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve the dashboard as well, as `dashboard:` says.")
    ] = False,
    skip_broken_plugins: SkipBroken = False,
) -> None:
    """Run the supervisors of the configuration until told to stop.

    Each has a pool of workers that grows and shrinks. One that dies is started again. SIGTERM, Ctrl-C or
    `jobman terminate` let running jobs finish; SIGHUP starts all supervisors anew, with new code.
    """
    read_text(name, "--name")
    jobman = jobman_of(ctx)
    chosen = _blocks(jobman.settings, environment)
    talk.start_logging(worker=True, verbose=verbosity(ctx))
    from jobman_cli.app import Jobman
    from jobman_cli.runtime.master import Master, dashboard_command, default_name, supervisor_command

    given = ctx.find_root().params
    options = _global_options(given, jobman.settings.path)
    more = ["--environment", environment] if environment is not None else []
    more += ["--skip-broken-plugins"] if skip_broken_plugins else []

    def reread() -> list[Block]:
        flags = {"database": given.get("database"), "queue": given.get("queue_url")}
        return _blocks(Jobman.from_config(jobman.settings.path, **flags).settings, environment)

    master = Master(
        jobman.records,
        chosen,
        (name or default_name())[:100],
        environment,
        supervisor_command(options, *more),
        dashboard=dashboard_command(options) if dashboard else None,
        reread=reread,
        stays=reload,
    )
    if reload:
        from jobman_cli.runtime.reloading import watch_code

        watch_code([jobman.settings.root], master.restart)
    raise typer.Exit(master.run())


def supervisor(
    ctx: typer.Context,
    block: Annotated[str, typer.Argument(metavar="NAME", help="Its name in the configuration.")],
    master: Annotated[str | None, typer.Option("--master", metavar="UUID")] = None,
    parent: Annotated[int | None, typer.Option("--parent", metavar="PID", min=1)] = None,
    environment: Environment = None,
    paused: Annotated[bool, typer.Option("--paused", help="Begin paused.")] = False,
    skip_broken_plugins: SkipBroken = False,
) -> None:
    """Run one supervisor of the configuration: how `supervise` starts each of them."""
    jobman = jobman_of(ctx)
    found = next((each for each in _blocks(jobman.settings, environment) if each.name == block), None)
    if found is None:
        raise ConfigurationError(f"there is no supervisor {block!r} in the configuration")
    talk.start_logging(worker=True, verbose=verbosity(ctx))
    from jobman_cli.runtime.run import run_block

    code = run_block(
        jobman.parts,
        found,
        master,
        environment,
        parent=parent,
        paused=paused,
        skip_broken_plugins=skip_broken_plugins,
    )
    raise typer.Exit(code)


def terminate(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option("--host", metavar="NAME", help="Only those of this very host.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Only the master of this name.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until they have ended.")] = False,
) -> None:
    """Let masters and supervisors end, on every host.

    Running jobs may finish, for `shutdown_timeout` seconds; the others stay in their queues.
    """
    jobman = jobman_of(ctx)
    from jobman_cli.operations.supervision import overview

    seen = overview(jobman.records)
    masters = {row.uuid for row in seen.masters}

    def meant(rows: Sequence[Supervisor]) -> list[Supervisor]:
        return [row for row in rows if host in (None, row.host) and name in (None, row.name)]

    told = meant([*seen.masters, *seen.alone])
    silent = [row for row in meant(seen.silent) if row.master not in masters]
    if not told and not silent:
        talk.say("nothing runs" if host is None and name is None else "nothing of that name runs")
        return
    timeout = jobman.settings.shutdown_timeout + END if wait else ANSWER
    what = "ended" if wait else "will end"
    _tell(ctx, told, silent, "terminate", what, timeout=timeout, ended=wait)


def pause(
    ctx: typer.Context,
    queue: OfQueue = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="With --queue: for so long: 10m, 2h.")
    ] = None,
    supervisor: OfSupervisor = None,
) -> None:
    """Start no more jobs: of everything, a queue, or a supervisor.

    Running jobs go on to their end. A queue stays paused whoever serves it; `jobman continue` ends it.
    """
    _one_of(queue, supervisor)
    if duration is not None and queue is None:
        raise UsageError("--for goes with --queue", hint="Use: jobman pause --queue NAME --for 10m")
    seconds = read_duration(duration, "--for")
    if queue is None:
        _tell_everything(ctx, "pause", "paused", supervisor)
        return
    read_queues([queue])
    jobman = jobman_of(ctx)
    from jobman_cli.operations.supervision import pause as pause_queue

    pause_queue(jobman.records, queue, seconds)
    _wait_for_switches(ctx, f"queue {queue} is paused" + (f" for {duration}" if duration else ""))


def continue_(ctx: typer.Context, queue: OfQueue = None, supervisor: OfSupervisor = None) -> None:
    """Start jobs again: of everything, a queue, or a supervisor.

    A queue that was paused by its name is continued by its name.
    """
    _one_of(queue, supervisor)
    jobman = jobman_of(ctx)
    from jobman_cli.operations.supervision import overview, resume

    if queue is None:
        _tell_everything(ctx, "continue", "continued", supervisor)
        paused = overview(jobman.records).paused_queues
        if paused and supervisor is None:
            talk.say(f"still paused by name: {asking.names(paused)}")
            talk.hint("Continue them with: jobman continue --queue NAME")
        return
    read_queues([queue])
    if not resume(jobman.records, queue):
        talk.say(f"queue {queue} was not paused")
        return
    _wait_for_switches(ctx, f"queue {queue} is continued")


def purge(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Option("--signal", metavar="NAME", help="What to send: TERM, INT, KILL.")
    ] = "TERM",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")] = False,
    yes: Yes = False,
) -> None:
    """End processes here that nobody looks after; asks first.

    Only what is proven by its row, pid and start time to be ours, and whose supervisor or master is gone. It
    touches no jobs' rows: what an ended process ran is rescued by itself. To empty a queue, see `clear`; to
    delete old jobs, see `prune`.
    """
    signum = _signal(name)
    jobman = jobman_of(ctx)
    from jobman_cli.runtime.purge import end, find_orphans

    orphans = find_orphans(jobman.records)
    for orphan in orphans:
        output.write(f"{orphan.kind} {orphan.uuid}, process {orphan.pid}")
    if not orphans:
        talk.say("nothing is orphaned")
    if dry_run or not orphans:
        return
    asking.need_yes(yes, "purge")
    asking.ask(yes, f"Send {signum.name} to {counted(len(orphans), 'process', 'processes')}?")
    sent = sum(end(orphan, signum) for orphan in orphans)
    talk.say(f"sent {signum.name} to {counted(sent, 'process', 'processes')}")
    if sent < len(orphans):
        talk.warn(f"{len(orphans) - sent} had ended, or may not be signalled by this user")


def _blocks(settings: Settings, environment: str | None) -> list[Block]:
    from jobman_cli.settings.blocks import blocks

    found = blocks(settings, environment)
    if not found:
        raise ConfigurationError(
            "supervisors: none is to run here",
            hint="Give one of them a `max_processes` above 0, or name another --environment.",
        )
    return found


def _global_options(given: dict[str, Any], path: Path | None) -> list[str]:
    options = ["-v"] * int(given.get("verbose") or 0)
    for option, value in (
        ("--config", path),
        ("--database", given.get("database")),
        ("--queue-url", given.get("queue_url")),
    ):
        options += [option, str(value)] if value is not None else []
    return options


def _one_of(queue: str | None, supervisor: str | None) -> None:
    if queue is not None and supervisor is not None:
        raise UsageError(
            "--queue and --supervisor exclude each other", hint="Give one of them, or none for all."
        )


def _signal(name: str) -> signal.Signals:
    try:
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except KeyError:
        raise InvalidOption(f"--signal: {name!r} is no signal", hint="Use TERM, INT or KILL.") from None


def _tell_everything(ctx: typer.Context, command: str, what: str, supervisor: str | None) -> None:
    jobman = jobman_of(ctx)
    from jobman_cli.operations.supervision import overview

    seen: Overview = overview(jobman.records)
    told, silent = [*seen.masters, *seen.supervisors], seen.silent
    if supervisor is not None:
        told, silent = (
            [row for row in rows if row.kind == "supervisor" and supervisor in (row.name, row.uuid)]
            for rows in (told, silent)
        )
        if not told and not silent:
            raise JobmanError(
                f"no supervisor named {supervisor!r} runs", hint="`jobman supervisors` lists their names."
            )
    if not told and not silent:
        talk.say("nothing runs")
        return
    _tell(ctx, told, silent, command, what, timeout=ANSWER)


def _tell(
    ctx: typer.Context,
    rows: Sequence[Supervisor],
    silent: Sequence[Supervisor],
    command: str,
    what: str,
    **options: Any,
) -> None:
    """Tell them, wait for their answers, and say who has not answered: then the exit code is 1."""
    from jobman_cli.operations.supervision import tell

    _say_answers(tell(jobman_of(ctx).records, rows, command, deaf=silent, **options), what)


def _wait_for_switches(ctx: typer.Context, done: str) -> None:
    jobman = jobman_of(ctx)
    from jobman_cli.operations.supervision import overview, wait_until_heard

    seen = overview(jobman.records)
    talk.say(done)
    _say_answers(wait_until_heard(jobman.records, seen.supervisors, ANSWER), "")


def _say_answers(answers: Answers, what: str) -> None:
    if what:
        for row in answers.answered:
            talk.say(f"{_called(row)}: {what}")
    for row in answers.silent:
        talk.warn(f"{_called(row)} does not answer; if it wakes up, it will do as it was told")
    if answers.silent:
        hosts = sorted({row.host for row in answers.silent})
        talk.hint(f"Look at {asking.names(hosts)}; `jobman supervisors` shows who was last heard when.")
        raise typer.Exit(EXIT_FAILED)


def _called(row: Supervisor) -> str:
    return f"{row.kind} {row.name} on {row.host} (process {row.pid})"
