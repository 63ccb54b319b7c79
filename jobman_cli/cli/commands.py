"""The list of commands, and the group that imports a command's module when it is asked for.

Plugins are asked only for a name that is not in the list, and for the list of all names.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from jobman_cli.cli.session import jobman_of
from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import JobmanError, PluginError, UsageError


class Command(NamedTuple):
    """Where a command is, and what the list says of it.

    Attributes:
        module: In ``jobman_cli.cli``.
        attribute: A function, or a ``Typer`` or group class with commands of its own.
        help: One line: the first of its docstring.
    """

    module: str
    attribute: str
    help: str


SECTIONS: Mapping[str, Mapping[str, Command]] = {
    "Run jobs": {
        "try": Command("trying", "app", "Dispatch a job with options from its signature, and follow it."),
        "dispatch": Command("dispatching", "dispatch", "Dispatch a job, or many, with attribs as JSON."),
        "run-worker": Command("work", "run_worker", "Run workers until they are told to stop."),
        "supervise": Command(
            "supervising", "supervise", "Run the supervisors of the configuration until told to stop."
        ),
        "pause": Command(
            "supervising", "pause", "Start no more jobs: of everything, a queue, or a supervisor."
        ),
        "continue": Command(
            "supervising", "continue_", "Start jobs again: of everything, a queue, or a supervisor."
        ),
        "terminate": Command("supervising", "terminate", "Let masters and supervisors end, on every host."),
    },
    "Look": {
        "status": Command(
            "overviewing", "status", "Say whether jobs are run: exit 0 running, 1 paused, 2 inactive."
        ),
        "list": Command("overviewing", "list_", "List the masters, on every host."),
        "supervisors": Command(
            "overviewing", "supervisors", "List the supervisors, on every host, with their pools."
        ),
        "jobs": Command("jobs", "jobs", "List jobs, the newest first."),
        "show": Command("jobs", "show", "Show all that is known of jobs."),
        "logs": Command("jobs", "logs", "Print what a job has logged."),
        "wait": Command("jobs", "wait", "Wait until jobs have ended."),
        "failed": Command("failed", "failed", "List failed jobs, the newest first."),
        "metrics": Command("metrics", "metrics", "Show throughput, runtimes and waits by type and queue."),
        "alerts": Command("alerts", "alerts", "List the troubles that go on, the oldest first."),
        "monitor": Command("metrics", "monitor", "Monitor tags: how many jobs bear them, how they ended."),
        "types": Command("dispatching", "types", "List the job types, or show what one of them takes."),
    },
    "Repair": {
        "retry": Command("failed", "retry", "Run failed jobs again, with fresh tries."),
        "requeue": Command("repair", "requeue", "Push what is not in its queue, or run finished jobs again."),
        "cancel": Command(
            "repair", "cancel", "Keep waiting jobs from running, and ask running ones to stop."
        ),
        "clear": Command("repair", "clear", "Cancel all jobs that wait in a queue; asks first."),
        "forget": Command("failed", "forget", "Take failed jobs off the list, without running them."),
        "flush": Command("failed", "flush", "Take all failed jobs off the list, or old ones; asks first."),
        "prune": Command("repair", "prune", "Delete old finished jobs, in short transactions."),
    },
    "Administer": {
        "snapshot": Command("metrics", "snapshot", "Thin old metrics now, and say what there is."),
        "plugins": Command(
            "plugins", "plugins", "List plugins and modules: loaded, broken, available, missing."
        ),
        "dashboard": Command("dashboard", "dashboard", "Serve the dashboard until told to stop."),
        "purge": Command("supervising", "purge", "End processes here that nobody looks after; asks first."),
        "rescue": Command(
            "rescuing", "rescue", "Take jobs back from workers that are gone: one round by hand."
        ),
        "schedule": Command("schedule", "app", "Look at what runs by the clock; run, pause and continue it."),
        "deploy": Command(
            "deploy", "deploy", "Print a file for systemd or supervisord that keeps it running."
        ),
        "config": Command("config", "app", "Look at the configuration."),
        "doctor": Command("doctor", "doctor", "Check the whole installation, and say what is to be done."),
        "db": Command("database", "app", "Look after the database's tables."),
    },
}

#: For Jobman itself: in no list.
HIDDEN: Mapping[str, Command] = {
    "supervisor": Command("supervising", "supervisor", "Run one supervisor of the configuration.")
}

COMMANDS: Mapping[str, Command] = {
    name: command for section in SECTIONS.values() for name, command in section.items()
}


class RootGroup(TyperGroup):
    """The commands of ``jobman``."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours, then those of plugins."""
        return [*COMMANDS, *(name for name in plugin_commands(ctx, listing=True)[0] if name not in COMMANDS)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; None if nobody knows it."""
        if (known := COMMANDS.get(cmd_name) or HIDDEN.get(cmd_name)) is not None:
            return as_command(
                cmd_name, getattr(import_module(f"jobman_cli.cli.{known.module}"), known.attribute)
            )
        found = plugin_commands(ctx)[0].get(cmd_name)
        if found is None:
            return None
        try:
            return as_command(cmd_name, found)
        except Exception as error:
            raise PluginError(f"the command {cmd_name!r} of a plugin cannot be used: {error}") from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer's, but an unknown name gets a hint, and says whether plugins could be asked."""
        if ctx.resilient_parsing or args[0].startswith("-") or self.get_command(ctx, args[0]) is not None:
            return super().resolve_command(ctx, args)
        found, trouble = plugin_commands(ctx)
        hint = "See `jobman --help`."
        if trouble is not None:
            hint = f"If a plugin brings it: {trouble}; see `jobman plugins` and `jobman config check`."
        nearest = did_you_mean(args[0], [*COMMANDS, *found])
        raise UsageError(f"there is no command {args[0]!r}{nearest}", hint=hint)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in sections; nothing of ours is imported for it."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, command.help) for name, command in section.items()], col_max=16)
        found, trouble = plugin_commands(ctx, listing=True)
        rows = [(name, _short_help(name, value)) for name, value in found.items() if name not in COMMANDS]
        if rows:
            with formatter.section("From plugins"):
                formatter.write_dl(rows, col_max=16)
        if trouble is not None:
            formatter.write_paragraph()
            formatter.write_text(f"Commands of plugins are not listed: {trouble}.")


def as_command(name: str, value: Any) -> Any:
    """A function or a ``Typer`` as Typer's command object."""
    if not isinstance(value, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(name)(value)
        value = single
    command: Any = typer.main.get_command(value)
    command.name = name
    command.params = [param for param in command.params if param.name not in _COMPLETION]
    return command


_COMPLETION = ("install_completion", "show_completion")


def plugin_commands(ctx: Any, *, listing: bool = False) -> tuple[Mapping[str, Any], str | None]:
    """The plugins' commands, and why they could not be asked. A broken plugin breaks none of ours.

    Args:
        listing: For the list of all names: then ``modules:``, the application's own code, which may be
            slow to import, is left alone.
    """
    key = f"jobman_cli.plugin_commands.{listing}"
    if key not in ctx.meta:
        try:
            ctx.meta[key] = (_ask_plugins(ctx, listing), None)
        except JobmanError as error:
            ctx.meta[key] = ({}, error.message.partition("\n")[0])
    found: tuple[Mapping[str, Any], str | None] = ctx.meta[key]
    return found


def _ask_plugins(ctx: Any, listing: bool) -> Mapping[str, Any]:
    jobman = jobman_of(ctx)
    settings = jobman.settings
    if not settings.plugins and (listing or not settings.modules):
        return {}
    if listing:
        from jobman_cli.hooks.loader import load_registry

        return load_registry(settings.plugins, (), {}, root=settings.root).commands()
    return jobman.registry.commands()


def _short_help(name: str, value: Any) -> str:
    try:
        return str(as_command(name, value).get_short_help_str(60))
    except Exception:
        return "(cannot be used)"
