"""What a plugin may do: the hooks, each with its arguments.

A plugin is a module of functions marked ``@hookimpl``. Each implementation takes the arguments it wants
by name. Hooks gain arguments, never lose them, so an implementation written today goes on working. The
reference for plugin authors is ``docs/reference/hooks.md``; a test keeps the two in step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from jobman_cli.core.context import Context
    from jobman_cli.core.jobtype import JobType
    from jobman_cli.core.outcome import Outcome

#: The entry-point group, and the name under which pluggy keeps its marks.
PROJECT = "jobman"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def jobman_job_types() -> Sequence[JobType]:  # type: ignore[empty-body]  # a specification has no body
    """Give the job types of this plugin.

    Called once, when the plugin is loaded; what it raises makes the plugin broken.

    Returns:
        Functions decorated with ``@job``.
    """


@hookspec
def jobman_commands() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Add commands to ``jobman``.

    Called only when a command is asked for that is not one of Jobman's own, or for the list of them.

    Returns:
        A command's name to a ``typer.Typer`` (a group) or a function that Typer can make a command of.
    """


@hookspec
def jobman_job_started(context: Context) -> None:
    """Observe an attempt that is about to run, in the worker.

    What it raises is logged and changes nothing. It delays the job, so it should be quick.

    Args:
        context: The attempt, as the job sees it.
    """


@hookspec
def jobman_job_finished(context: Context, outcome: Outcome) -> None:
    """Observe an attempt that has ended, in the worker, before its end is recorded.

    What it raises is logged and changes nothing. The record may still be refused, if the job meanwhile
    belongs to another worker; then this attempt does not count.

    Args:
        context: The attempt, as the job saw it.
        outcome: How it ended: its kind, the completed code or the error.
    """


@hookspec
def jobman_around_job(context: Context) -> AbstractContextManager[Any]:  # type: ignore[empty-body]
    """Wrap the job's function, to set something up and take it down again.

    It is part of the attempt: an exception from the wrapper is one from the job. It sees the job's
    exception and may raise another, but cannot make it go away.

    Args:
        context: The attempt, as the job sees it.

    Returns:
        A context manager, entered just before the function is called. The plugin that is listed first
        is the outermost. ``None`` wraps nothing.
    """


@hookspec
def jobman_alert(alert: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Pass an alert on, to a chat or a pager.

    Called once when a trouble begins and once when it is over, by one process of all. What it raises is
    logged and changes nothing. It delays the maintenance of jobs, so it should hand over and return.

    Args:
        alert: ``kind`` (a short slug such as ``long-wait``), ``key`` (names the trouble), ``state``
            (``begun``, ``over`` or ``event``), ``message`` (one line for people), ``queue`` (its name or
            ``None``), ``value`` and ``threshold`` (numbers or ``None``, in the unit that the message
            names), ``count``, ``raised_at``, ``application`` and ``details``. Keys may be added.
        options: What ``plugin_options`` in the configuration says of this plugin.
    """


@hookspec
def jobman_doctor_checks(  # type: ignore[empty-body]
    options: Mapping[str, Any],
) -> Mapping[str, Callable[[], str | None]]:
    """Add checks to ``jobman doctor``.

    Args:
        options: What ``plugin_options`` in the configuration says of this plugin.

    Returns:
        A check's name, as people read it, to a function without arguments. It returns ``None`` if all is
        well, or else one line that says what is wrong and what to do; raising counts as wrong.
    """


@hookspec
def jobman_dashboard_pages(jobman: Any, options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:  # type: ignore[empty-body]
    """Add pages to the dashboard.

    Called once, when the dashboard starts. A page whose ``render`` raises is shown as trouble, with the
    plugin's name; the others go on.

    Args:
        jobman: The application, a ``Jobman``.
        options: What ``plugin_options`` in the configuration says of this plugin.

    Returns:
        For each page ``name`` (its part of the address: letters, digits and hyphens), ``title`` (its
        entry in the menu) and ``render``: a function from the query's parameters, a mapping of strings,
        to HTML for the page's body. The plugin escapes what it shows.
    """
