"""Find the file, lay the layers over each other, check the whole."""

from __future__ import annotations

import os
import os.path
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from jobman_cli.errors import ConfigurationError
from jobman_cli.settings.document import MAX_BYTES, Node, parse_yaml
from jobman_cli.settings.layers import CONFIG, environment_layer, flags_layer, merge
from jobman_cli.settings.model import Settings
from jobman_cli.settings.problems import Problems, Where, quoted
from jobman_cli.settings.shape import settings_shape

_NOTHING = Node({}, Where("default"))
#: Checked like a given one, since it depends on the root.
_DEFAULTS = {"database": Node("sqlite:///var/jobman.db", Where("default"))}
_SOUGHT = (Path("config", "jobman.yaml"), Path("jobman.yaml"))


def load_settings(
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Read the configuration and check all of it.

    A flag wins over a variable, a variable over the file, the file over the default. Mappings are merged
    key by key, lists are replaced.

    Args:
        config: The file; without it ``JOBMAN_CONFIG``, else ``config/jobman.yaml`` or ``jobman.yaml`` in
            ``cwd`` or the nearest directory above it that has one, else no file.
        overrides: What flags say, by setting, as Python values; ``None`` means the flag was not given.
        environ: Variables; without it the process's own.
        cwd: Where to look from; without it the current directory.

    Returns:
        The settings, with finished values.

    Raises:
        ConfigurationError: Anything is wrong; the message has one line for each fault.
    """
    environ = os.environ if environ is None else environ
    here = _current(cwd)
    problems = Problems()
    path, shown = _find_file(config, environ, here)
    base = _file_layer(path, shown, problems) if path else _NOTHING
    root = _root(path, here)
    shape = settings_shape(root)
    layers = merge(base, environment_layer(environ, shape, base, problems))
    layers = merge(layers, flags_layer(overrides or {}, problems))
    given = {name: node for name, node in layers.value.items() if node.value is not None}
    values = shape.check(Node({**_DEFAULTS, **given}, layers.where), "", problems)
    _check_lease(values, given, problems)
    if problems:
        problems.give_up()
    return Settings(path=path, root=root, **values, origins=_origins(given))


def _current(cwd: Path | None) -> Path:
    try:
        return _absolute(Path.cwd(), cwd or Path())
    except OSError as error:
        raise ConfigurationError(
            f"the current directory cannot be used: {error.strerror}",
            hint="Change to a directory that exists.",
        ) from None


def _absolute(base: Path, path: str | Path) -> Path:
    # Not resolve(): a project whose file is a symbolic link keeps its own root.
    return Path(os.path.abspath(base / path))  # noqa: PTH100


def _find_file(config: str | Path | None, environ: Mapping[str, str], here: Path) -> tuple[Path | None, str]:
    """Return the file to read, absolute, and as it is called in messages."""
    named = config if config is not None else environ.get(CONFIG) or None
    if named is not None:
        path = _absolute(here, named)
        return path, _called(path, here, str(named))
    for directory in (here, *here.parents):
        for sought in _SOUGHT:
            if os.path.isfile(directory / sought):  # noqa: PTH113 - Path.is_file raises where it may not look
                return directory / sought, _called(directory / sought, here, str(directory / sought))
    return None, ""


def _called(path: Path, here: Path, otherwise: str) -> str:
    return quoted(str(path.relative_to(here)) if path.is_relative_to(here) and path != here else otherwise)


def _root(path: Path | None, here: Path) -> Path:
    if path is None:
        return here
    return path.parent.parent if path.parent.name == "config" else path.parent


def _file_layer(path: Path, shown: str, problems: Problems) -> Node:
    text = _read_file(path, shown, problems)
    node = parse_yaml(text, lambda line: Where(shown, line), problems)
    if node is None or node.value is None:
        return _NOTHING
    if not isinstance(node.value, dict):
        problems.add(node.where, "", "the file must hold a mapping: `setting: value` lines")
        return _NOTHING
    return node


def _read_file(path: Path, shown: str, problems: Problems) -> str:
    where = Where(shown)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        problems.add(where, "", "there is no such file")
    except IsADirectoryError:
        problems.add(where, "", f"is a directory; name a file in it, such as {shown}/jobman.yaml")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        problems.add(where, "", f"cannot be read: {getattr(error, 'strerror', None) or error}")
    else:
        if len(data) > MAX_BYTES:
            problems.add(where, "", f"larger than {MAX_BYTES:,} bytes; a configuration is not that big")
            return ""
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            problems.add(Where(shown, line), "", "not UTF-8; save the file in that encoding")
    return ""


def _check_lease(values: dict[str, Any], given: Mapping[str, Node], problems: Problems) -> None:
    """Two heartbeats, and two looks of a judge, may be late before anybody is taken for dead."""
    defaults = {each.name: each.default for each in fields(Settings)}
    for often, most in (("heartbeat", "less than a third"), ("sweep", "at most a third")):
        named = [name for name in (often, "lease") if name in given]
        if not named or not all(name in values for name in named):
            continue  # one of them is wrong in itself, and said to be
        seconds, lease = (values.get(name, defaults[name]) for name in (often, "lease"))
        if seconds * 3 > lease or (often == "heartbeat" and seconds * 3 == lease):
            problems.add(
                given[named[0]].where,
                named[0],
                f"{often} ({seconds:g} s) must be {most} of lease ({lease:g} s)",
            )


def _origins(given: Mapping[str, Node]) -> dict[str, str]:
    origins = {
        each.name: "default" for each in fields(Settings) if each.name not in ("path", "root", "origins")
    }

    def walk(prefix: str, nodes: Mapping[str, Node]) -> None:
        for name, node in nodes.items():
            origins[prefix + name] = str(node.where)
            if isinstance(node.value, dict):
                walk(f"{prefix}{name}.", node.value)

    walk("", given)
    return origins
