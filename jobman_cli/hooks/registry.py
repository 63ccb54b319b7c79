"""What the rest of Jobman asks of plugins: job types, and hooks that never break the caller.

It is made by the loader and does not change afterwards. It knows hooks only as named functions, one for
each plugin, in the order in which the plugins are listed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from jobman_cli.core.context import Context
from jobman_cli.core.jobtype import JobType
from jobman_cli.core.outcome import Outcome
from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import UnknownJobType

logger = logging.getLogger("jobman.hooks")

PluginState = Literal["loaded", "broken", "available", "missing"]

#: A part of a page's address.
_PAGE_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_NO_WRAPPER: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin, or one entry of ``modules:``, as ``jobman plugins`` shows it.

    Attributes:
        name: The entry point's name; ``module myapp.jobs`` for a module.
        distribution: The distribution that brings it; ``None`` for a module.
        version: That distribution's version.
        state: ``loaded``; ``broken``: listed, but cannot be used; ``missing``: listed, but not installed;
            ``available``: installed, but not listed, and so not imported.
        error: What is wrong, on one line.
        hint: What to do about it.
        job_types: The names of the job types it registered.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    state: PluginState = "loaded"
    error: str | None = None
    hint: str | None = None
    job_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PluginHook:
    """One plugin's implementation of a hook.

    Attributes:
        plugin: The plugin's name.
        call: Takes the hook's arguments by name; returns pluggy's list of results.
    """

    plugin: str
    call: Callable[..., Any]


class Registry:
    """The job types and plugins of one application.

    Attributes:
        types: Name to job type, with the configuration's overrides applied.
        plugins: Every plugin and module that was listed, and the plugins that are only installed.
        broken: Those that were listed and cannot be used.
        warnings: What the configuration says in vain, one line each.
        has_observers: False if no plugin observes or wraps jobs: then the runner need not call
            ``job_started``, ``job_finished`` and ``around_job``.
    """

    def __init__(
        self,
        types: Mapping[str, JobType],
        plugins: Sequence[PluginInfo],
        hooks: Mapping[str, Sequence[PluginHook]],
        warnings: Sequence[str] = (),
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.types = types
        self.plugins = tuple(plugins)
        self.broken = tuple(info for info in plugins if info.state in ("broken", "missing"))
        self.warnings = tuple(warnings)
        self._hooks = hooks
        self._options = options or {}
        self._started = tuple(hooks.get("jobman_job_started", ()))
        self._finished = tuple(hooks.get("jobman_job_finished", ()))
        self._around = tuple(hooks.get("jobman_around_job", ()))
        self.has_observers = bool(self._started or self._finished or self._around)

    def find(self, name: str) -> JobType:
        """The job type of that name.

        Raises:
            UnknownJobType: with the nearest name, and the broken plugins that may have brought it.
        """
        found = self.types.get(name)
        if found is not None:
            return found
        hint = None
        if self.broken:
            names = ", ".join(repr(info.name) for info in self.broken)
            hint = f"It may belong to what could not be loaded: {names}. See `jobman plugins`."
        raise UnknownJobType(f"there is no job type {name!r}{did_you_mean(name, self.types)}", hint=hint)

    def job_started(self, context: Context) -> None:
        """Tell the observers that an attempt is about to run. Their failures are logged."""
        for hook in self._started:
            try:
                hook.call(context=context)
            except (Exception, SystemExit):
                _log_failure(hook, "jobman_job_started")

    def job_finished(self, context: Context, outcome: Outcome) -> None:
        """Tell the observers that an attempt has ended. Their failures are logged."""
        for hook in self._finished:
            try:
                hook.call(context=context, outcome=outcome)
            except (Exception, SystemExit):
                _log_failure(hook, "jobman_job_finished")

    def around_job(self, context: Context) -> AbstractContextManager[None]:
        """All plugins' wrappers as one context manager, to be entered around the job's function.

        It raises what a wrapper or the job raises; no wrapper can make the job's exception go away.
        """
        return _wrap(self._around, context) if self._around else _NO_WRAPPER

    def commands(self) -> Mapping[str, Any]:
        """The plugins' commands: name to ``typer.Typer`` or function. The first plugin keeps a name."""
        return self._collect_mapping("jobman_commands")

    def alert(self, alert: Mapping[str, Any]) -> None:
        """Pass an alert to the plugins. Their failures are logged."""
        for hook in self._hooks.get("jobman_alert", ()):
            try:
                hook.call(alert=alert, options=self._options.get(hook.plugin, {}))
            except (Exception, SystemExit):
                _log_failure(hook, "jobman_alert")

    def doctor_checks(self) -> Mapping[str, Callable[[], str | None]]:
        """The plugins' checks: ``plugin: name`` to a function that returns what is wrong, or ``None``."""
        return {
            f"{hook.plugin}: {name}": check
            for hook, checks in self._ask("jobman_doctor_checks", Mapping, with_options=True)
            for name, check in checks.items()
        }

    def dashboard_pages(self, jobman: Any) -> tuple[Mapping[str, Any], ...]:
        """The plugins' pages, each with ``plugin`` added to ``name``, ``title`` and ``render``.

        Args:
            jobman: The application, handed to the plugins.
        """
        pages = []
        for hook, found in self._ask("jobman_dashboard_pages", Sequence, jobman=jobman, with_options=True):
            for page in found:
                if _is_page(page):
                    pages.append({**page, "plugin": hook.plugin})
                else:
                    logger.warning(
                        "plugin %r: a page of jobman_dashboard_pages lacks a name (A-Z a-z 0-9 -), "
                        "a title or a render",
                        hook.plugin,
                    )
        return tuple(pages)

    def _collect_mapping(self, name: str) -> dict[str, Any]:
        collected: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for hook, found in self._ask(name, Mapping):
            for key, value in found.items():
                if key in collected:
                    logger.warning(
                        "plugin %r: %s gives %r, which plugin %r has already given; the first one stays",
                        hook.plugin,
                        name,
                        key,
                        owners[key],
                    )
                    continue
                collected[key] = value
                owners[key] = hook.plugin
        return collected

    def _ask(
        self, name: str, expected: type, *, with_options: bool = False, **arguments: Any
    ) -> Iterator[tuple[PluginHook, Any]]:
        """Each plugin's answer to a hook that gives a collection; failures are logged."""
        for hook in self._hooks.get(name, ()):
            own = {"options": self._options.get(hook.plugin, {})} if with_options else {}
            try:
                answers = hook.call(**arguments, **own)
            except (Exception, SystemExit):
                _log_failure(hook, name)
                continue
            for answer in answers:
                if isinstance(answer, expected) and not isinstance(answer, str):
                    yield hook, answer
                else:
                    logger.warning(
                        "plugin %r: %s returned a %s, not a %s",
                        hook.plugin,
                        name,
                        type(answer).__name__,
                        expected.__name__.lower(),
                    )


def _is_page(page: Any) -> bool:
    return (
        isinstance(page, Mapping)
        and isinstance(name := page.get("name"), str)
        and _PAGE_NAME.fullmatch(name) is not None
        and isinstance(page.get("title"), str)
        and callable(page.get("render"))
    )


@contextmanager
def _wrap(hooks: Sequence[PluginHook], context: Context) -> Iterator[None]:
    failure: BaseException | None = None
    with ExitStack() as stack:
        for hook in hooks:
            for wrapper in hook.call(context=context):
                stack.enter_context(wrapper)
        try:
            yield
        except BaseException as error:
            failure = error
            raise
    if failure is not None:
        # A wrapper swallowed it; a failed job must not look completed.
        raise failure


def _log_failure(hook: PluginHook, name: str) -> None:
    logger.warning("plugin %r: %s failed", hook.plugin, name, exc_info=True)
