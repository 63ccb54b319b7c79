"""Finds and loads the plugins and modules that the configuration names, and nothing else.

An installed plugin that is not listed is never imported. Each listed one is loaded in a try of its own
and, until all of it has proved good, apart from the others: a broken one leaves nothing behind in the
registry, is named with its distribution and the remedy, and the rest goes on. Whether that is good
enough to run with is for the caller to say, by ``Registry.broken``.
"""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pluggy

from jobman_cli.core.jobtype import JobType
from jobman_cli.core.suggestion import did_you_mean
from jobman_cli.errors import (
    ConfigurationError,
    DuplicateJobType,
    InvalidJobType,
    JobmanError,
    PluginError,
)
from jobman_cli.hooks import specs
from jobman_cli.hooks.registry import PluginHook, PluginInfo, Registry

logger = logging.getLogger("jobman.hooks")

HOOK_NAMES = tuple(name for name in vars(specs) if name.startswith("jobman_"))


@dataclass
class _Loading:
    """What has been loaded so far."""

    infos: list[PluginInfo] = field(default_factory=list)
    types: dict[str, JobType] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, list[PluginHook]] = field(default_factory=dict)
    namespaces: list[object] = field(default_factory=list)


def load_registry(
    plugins: Sequence[str],
    modules: Sequence[str],
    overrides: Mapping[str, Mapping[str, Any]],
    root: Path | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    check_types: bool = False,
) -> Registry:
    """Load the listed plugins, then the listed modules.

    A module's job types are the ``JobType`` objects in its namespace whose functions are defined in it
    or, if it is a package, below it; one from elsewhere counts if the module's ``__all__`` names it. The
    module's ``@hookimpl`` functions count as a plugin's do.

    Args:
        plugins: Names of entry points in the group ``jobman``. Their order is the order of the hooks.
        modules: Dotted names of modules with jobs that need no package.
        overrides: Job type to options that replace the ones of its ``@job``.
        root: The folder that modules are looked for in; put first on ``sys.path`` if it is not there.
        options: Plugin to its own options, which its hooks are given.
        check_types: Also build each job type's model now, so that an unusable annotation makes its
            plugin broken. It imports pydantic and costs some milliseconds for each type.

    Returns:
        The registry; see its ``broken`` and ``warnings``.

    Raises:
        ConfigurationError: when an override is not a valid option.
    """
    loading = _Loading()
    offered, failure = _find_entry_points()
    for name in dict.fromkeys(plugins):
        _load_one(loading, *_locate_plugin(name, offered, failure), check_types=check_types)
    if modules and root is not None and str(root.resolve()) not in sys.path:
        sys.path.insert(0, str(root.resolve()))
    for name in dict.fromkeys(modules):
        _load_one(loading, PluginInfo(f"module {name}"), _module_importer(name), check_types=check_types)
    listed = set(plugins)
    loading.infos += [_describe(found[0]) for name, found in sorted(offered.items()) if name not in listed]
    types, warnings = _override(loading.types, overrides)
    return Registry(
        types=MappingProxyType(types),
        plugins=loading.infos,
        hooks=MappingProxyType({name: tuple(found) for name, found in loading.hooks.items()}),
        warnings=warnings,
        options=options,
    )


def _find_entry_points() -> tuple[dict[str, list[EntryPoint]], str | None]:
    """The installed plugins by name, without importing any, and why they could not be listed."""
    offered: dict[str, list[EntryPoint]] = {}
    try:
        for entry_point in entry_points(group=specs.PROJECT):
            offered.setdefault(entry_point.name, []).append(entry_point)
    except Exception as error:  # some distribution's metadata cannot be read
        return {}, _say(error)
    return offered, None


def _describe(entry_point: EntryPoint) -> PluginInfo:
    dist = entry_point.dist
    return PluginInfo(
        entry_point.name,
        distribution=dist.name if dist else None,
        version=dist.version if dist else None,
        state="available",
        hint=f"To use it, add {entry_point.name} to `plugins:` in the configuration.",
    )


def _locate_plugin(
    name: str, offered: Mapping[str, Sequence[EntryPoint]], failure: str | None
) -> tuple[PluginInfo, Callable[[], object] | None]:
    """What is known of a listed plugin, and how to import it; ``None`` if that is hopeless."""
    found = offered.get(name, ())
    if len(found) == 1:
        return replace(_describe(found[0]), hint=None), found[0].load
    if found:
        names = " and ".join(sorted({_describe(entry_point).distribution or "?" for entry_point in found}))
        return PluginInfo(
            name,
            state="broken",
            error=f"more than one distribution brings a plugin of this name: {names}",
            hint="Uninstall all but one of them.",
        ), None
    if failure:
        hint = "Repair or reinstall the distribution whose metadata is damaged."
        error = f"the installed plugins cannot be listed: {failure}"
        return PluginInfo(name, state="broken", error=error, hint=hint), None
    distribution = name if name.startswith("jobman-") else f"jobman-{name}"
    by_distribution = [other for other, eps in offered.items() if _describe(eps[0]).distribution == name]
    if by_distribution:
        nearest = f"; the distribution {name} brings {by_distribution[0]!r}"
    else:
        nearest = did_you_mean(name, offered)
    return PluginInfo(
        name,
        state="missing",
        error=f"no installed distribution brings this plugin{nearest}",
        hint=f"Run `pip install {distribution}`, or take {name} off the `plugins:` list.",
    ), None


def _module_importer(name: str) -> Callable[[], object]:
    def load() -> object:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise
            raise PluginError(
                f"there is no module {name!r}",
                hint=f"Correct `modules:` in the configuration, or put {error.name} where Python finds it: "
                "in the project's folder, or installed.",
            ) from error

    return load


def _load_one(
    loading: _Loading, info: PluginInfo, load: Callable[[], object] | None, *, check_types: bool
) -> None:
    """Load one plugin or module; whatever happens, an info of it is added."""
    if load is None:
        loading.infos.append(info)
        return
    try:
        namespace = load()
        manager = _register(namespace, info.name)
        found = _ask_for_types(manager)
        if info.distribution is None and info.name.startswith("module "):
            found += _types_in_module(namespace)
        types = _join(loading, info, found)
        if check_types:
            for job_type in types.values():
                job_type.check()
    except (Exception, SystemExit) as error:
        logger.debug("%s could not be loaded", info.name, exc_info=True)
        loading.infos.append(
            replace(info, state="broken", error=_say(error), hint=_remedy(error, info), job_types=())
        )
        return
    loading.types.update(types)
    loading.owners.update(dict.fromkeys(types, info.name))
    loading.infos.append(replace(info, state="loaded", job_types=tuple(types)))
    if any(namespace is other for other in loading.namespaces):
        return  # listed under two names: its hooks are called once
    loading.namespaces.append(namespace)
    for name in HOOK_NAMES:
        caller = getattr(manager.hook, name)
        if caller.get_hookimpls():
            loading.hooks.setdefault(name, []).append(PluginHook(info.name, caller))


def _register(namespace: object, name: str) -> pluggy.PluginManager:
    """Give a plugin a manager of its own: it cannot half-register, and its failures are its alone."""
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    manager.register(namespace, name)
    known = set(HOOK_NAMES)
    for hook in sorted(set(vars(manager.hook)) - known):
        if hook.startswith("_"):
            continue
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            if not implementation.optionalhook:
                raise PluginError(
                    f"there is no hook {hook!r}{did_you_mean(hook, known)}",
                    hint="Correct the name of the function marked @hookimpl; see docs/reference/hooks.md.",
                )
    manager.check_pending()
    return manager


def _ask_for_types(manager: pluggy.PluginManager) -> list[JobType]:
    caller = manager.hook.jobman_job_types
    answers = caller()
    if len(answers) < len(caller.get_hookimpls()):
        raise PluginError("jobman_job_types returned None", hint="Return a list of functions marked @job.")
    return [job_type for answer in answers for job_type in _read_types(answer)]


def _read_types(answer: Any) -> Iterable[JobType]:
    if isinstance(answer, (str, bytes, Mapping)) or not isinstance(answer, Iterable):
        raise PluginError(
            f"jobman_job_types returned a {type(answer).__name__}, not a list",
            hint="Return a list of functions marked @job.",
        )
    for job_type in answer:
        if not isinstance(job_type, JobType):
            named = getattr(job_type, "__name__", type(job_type).__name__)
            raise PluginError(
                f"jobman_job_types returned a list with {named}, which is not a job type",
                hint=f"Decorate {named} with @job."
                if callable(job_type)
                else "Return functions marked @job only.",
            )
        yield job_type


def _types_in_module(module: object) -> list[JobType]:
    name = getattr(module, "__name__", "")
    exported = set(getattr(module, "__all__", ()))
    return [
        value
        for key, value in vars(module).items()
        if isinstance(value, JobType)
        and (key in exported or f"{value.func.__module__}.".startswith(f"{name}."))
    ]


def _join(loading: _Loading, info: PluginInfo, found: Iterable[JobType]) -> dict[str, JobType]:
    """The types that are new, by name; two different ones of one name are an error."""
    types: dict[str, JobType] = {}
    for job_type in found:
        name = job_type.name
        other = types.get(name) or loading.types.get(name)
        if other is job_type:
            continue  # a module may list what a plugin, or another module, has already brought
        if other is not None:
            owner = loading.owners.get(name, info.name)
            raise DuplicateJobType(
                f"job type {name!r} is registered twice: by {_title(owner)} ({other.origin}), which keeps "
                f"it, and by {_title(info.name)} ({job_type.origin})",
            )
        types[name] = job_type
    return types


def _title(name: str) -> str:
    return name if name.startswith("module ") else f"plugin {name}"


def _override(
    types: Mapping[str, JobType], overrides: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, JobType], list[str]]:
    result = dict(types)
    warnings = []
    for name, options in overrides.items():
        if name not in result:
            warnings.append(f"jobs: there is no job type {name!r} to override{did_you_mean(name, types)}")
            continue
        try:
            result[name] = result[name].with_options(**options)
        except InvalidJobType as error:
            raise ConfigurationError(f"jobs: {error.message}", hint=error.hint) from error
    return result, warnings


def _say(error: BaseException) -> str:
    """An exception on one line, with the place where a plugin's author should look."""
    if isinstance(error, JobmanError):
        return error.message
    if isinstance(error, SystemExit):
        text = f"it ended the program: SystemExit({error.code!r})"
    elif isinstance(error, pluggy.PluginValidationError):
        text = str(error).strip()
    else:
        text = "".join(traceback.format_exception_only(error)[-1:]).strip()
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not _is_machinery(frame.filename)
    ]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return " ".join(text.split()) + where


def _is_machinery(filename: str) -> bool:
    here = str(Path(__file__).parent)
    folders = (here, str(Path(pluggy.__file__).parent), str(Path(importlib.__file__).parent))
    return filename.startswith(folders)


def _remedy(error: BaseException, info: PluginInfo) -> str:
    """What to do: the error's own hint if it has one, else what fits a broken import."""
    if isinstance(error, JobmanError):
        return error.hint
    if info.distribution is None:
        return "Repair the module, or take it off the `modules:` list in the configuration."
    otherwise = f"or take {info.name} off the `plugins:` list."
    if isinstance(error, ImportError):
        again = f"`pip install --force-reinstall {info.distribution}`"
        return f"Install what it needs, reinstall it with {again}, {otherwise}"
    return f"Update {info.distribution}, tell its author, {otherwise}"
