"""The environment and the flags as nodes, and how one layer lies over another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobman_cli.settings.checks import Choice, Converted, Kind, ListOf, MapOf, Record, Text
from jobman_cli.settings.document import MAX_DEPTH, Node, parse_yaml, resolve
from jobman_cli.settings.problems import Problems, Where, quoted

PREFIX = "JOBMAN_"
CONFIG = "JOBMAN_CONFIG"
#: Read by other parts of Jobman or by its tests, never settings.
FOREIGN = ("JOBMAN_TEST_", "JOBMAN_FAULT_", "JOBMAN_BENCH_", "JOBMAN_FAILPOINT")

#: Flags that are spelt otherwise than the setting they give: `--queue` names one queue.
_FLAGS = {"queue": "--queue-url"}


def merge(low: Node, high: Node) -> Node:
    """Lay one layer over another: mappings key by key, anything else is replaced."""
    if not isinstance(low.value, dict) or not isinstance(high.value, dict):
        return high
    merged = dict(low.value)
    for key, node in high.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return Node(merged, high.where)


def environment_layer(environ: Mapping[str, str], shape: Record, base: Node, problems: Problems) -> Node:
    """Return the settings that variables give.

    Args:
        environ: All variables; only ``JOBMAN_…`` are looked at. An empty one counts as not set.
        shape: What the settings may be; it decides how a variable's text is read.
        base: The layer below, whose names (`jobs.send-mail`) a variable (`…__SEND_MAIL__…`) can mean.
        problems: Takes unknown names and texts that cannot be read.
    """
    layer = Node({}, Where("environment"))
    names = [name for name in environ if name.startswith(PREFIX) and not name.startswith(FOREIGN)]
    for name in sorted(names, key=lambda name: (name.count("__"), name)):  # a whole before its parts
        if name == CONFIG:
            continue
        where = Where(f"environment {quoted(name)}")
        found = _find(name, shape, merge(base, layer), where, problems)
        if found and environ[name].strip():
            path, kind = found
            node = _read(environ[name], kind, where, ".".join(path), problems)
            if node:
                _put(layer, path, node)
    return layer


def _find(
    name: str, shape: Record, below: Node, where: Where, problems: Problems
) -> tuple[list[str], Kind] | None:
    """Return the setting that a variable names, and its kind."""
    path: list[str] = []
    kind: Kind = shape
    parts = name.removeprefix(PREFIX).split("__")
    for part in parts:
        if isinstance(kind, Record):
            match = {known.upper(): known for known in kind.fields}
            if part not in match:
                stem = name[: len(name) - len("__".join(parts[len(path) :]))]
                problems.unknown(where, "", name.upper(), [stem + known for known in match], "variable")
                return None
            path.append(match[part])
            kind = kind.fields[match[part]]
        elif isinstance(kind, MapOf):
            names = below.value if isinstance(below.value, dict) else {}
            meant = _meant(part, names)
            if len(meant) > 1:
                problems.add(where, ".".join(path), f"can mean {' or '.join(meant)}; set it in the file")
                return None
            path.append(meant[0])
            kind = kind.value
        else:
            whole = PREFIX + "__".join(path).upper()
            problems.add(where, ".".join(path), f"has no parts; set {whole} as a whole")
            return None
        children = below.value if isinstance(below.value, dict) else {}
        below = children.get(path[-1], Node({}, where))
    return path, kind


def _meant(part: str, names: Mapping[str, Any]) -> list[str]:
    """Return the user-given names that a part of a variable's name can stand for."""
    if part in names:
        return [part]
    same = [name for name in names if re.sub(r"[^A-Za-z0-9]", "_", name).upper() == part.upper()]
    return same or [part.lower() if part.isupper() else part]


def _read(text: str, kind: Kind, where: Where, setting: str, problems: Problems) -> Node | None:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        problems.add(where, setting, "not valid UTF-8")
        return None
    text = text.strip()
    if isinstance(kind, Text | Converted | Choice):
        return Node(text, where)
    if isinstance(kind, ListOf) and not text.startswith(("[", "- ", "{")) and "\n" not in text:
        items = [item.strip() for item in text.split(",") if item.strip()]
        texts = isinstance(kind.item, Text)
        return Node([Node(item if texts else resolve(item), where) for item in items], where)
    return parse_yaml(text, lambda _: where, problems, setting)


def _put(layer: Node, path: list[str], node: Node) -> None:
    here = layer
    for key in path[:-1]:
        if not isinstance(here.value, dict):
            return  # the variable for the whole holds no mapping, which its check will say
        here = here.value.setdefault(key, Node({}, node.where))
    if isinstance(here.value, dict):
        here.value[path[-1]] = node


def flags_layer(overrides: Mapping[str, Any], problems: Problems) -> Node:
    """Return the settings that flags give: plain Python values by setting; ``None`` is a flag not given."""
    layer = Node({}, Where("flags"))
    for name, value in overrides.items():
        if value is not None:
            where = Where(_FLAGS.get(name, "--" + name.replace("_", "-")))
            layer.value[name] = _node(value, where, name, problems, 0)
    return layer


def _node(value: Any, where: Where, setting: str, problems: Problems, depth: int) -> Node:
    if depth > MAX_DEPTH:
        problems.add(where, setting, f"nested deeper than {MAX_DEPTH} levels")
        return Node(None, where)
    if isinstance(value, Mapping):
        return Node(
            {str(k): _node(v, where, f"{setting}.{k}", problems, depth + 1) for k, v in value.items()}, where
        )
    if isinstance(value, list | tuple):
        return Node([_node(v, where, setting, problems, depth + 1) for v in value], where)
    if isinstance(value, Path):
        return Node(str(value), where)
    if value is not None and not isinstance(value, str | int | float):
        problems.add(where, setting, f"a {type(value).__name__} cannot be a setting")
        return Node(None, where)
    return Node(value, where)
