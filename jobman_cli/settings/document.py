"""YAML text → nodes that know their line. The only module that knows yaml.

Nodes are built from the parser's events, so no tag can construct an object, no recursion can overflow,
and duplicate keys are seen. Scalars follow YAML 1.2: ``off`` and ``yes`` are words, ``010`` is ten, a date
is text. Everything is bounded: bytes, depth, and values after aliases are expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import yaml

from jobman_cli.settings.problems import Problems, Where, quoted

MAX_BYTES = 1_048_576
MAX_DEPTH = 50
MAX_VALUES = 20_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}|0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,1000}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,1000}|[0-9]{1,1000}(?:\.[0-9]{0,1000})?)(?:[eE][-+]?[0-9]{1,6})?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


@dataclass(slots=True)
class Node:
    """A value and where it stands: a scalar, a list of nodes, or a dict of nodes."""

    value: Any
    where: Where
    size: int = 1
    height: int = 0


class _Refused(Exception):
    """The text cannot be used at all."""

    def __init__(self, line: int, text: str) -> None:
        self.line, self.text = line, text
        super().__init__(text)


def parse_yaml(text: str, at: Callable[[int], Where], problems: Problems, setting: str = "") -> Node | None:
    """Return the text's one document, or ``None`` if it is empty or cannot be used.

    Args:
        text: YAML.
        at: Makes a place from a line, counted from 1.
        problems: Takes every fault.
        setting: The dotted setting the text is the value of; empty for a whole file.
    """
    bad = _FORBIDDEN.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        problems.add(at(line), setting, f"the character U+{ord(bad[0]):04X} is not allowed in YAML")
        return None
    builder = _Builder(at, problems, setting)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _Refused as refused:
        problems.add(at(refused.line), setting, refused.text)
        return None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "the text cannot be read"
        problems.add(at(mark.line + 1 if mark else 1), setting, f"not valid YAML: {reason}")
        return None
    return builder.root


def resolve(text: str) -> Any:
    """Return what an unquoted word means: null, a boolean, a number, or the word itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    return float(text) if _FLOAT.fullmatch(text) else text


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is still open; ``key`` is the one that waits for its value."""

    node: Node
    anchor: str | None
    key: str | None = None
    key_where: Where | None = None


class _Builder:
    """Takes the parser's events, one by one, and keeps the tree."""

    def __init__(self, at: Callable[[int], Where], problems: Problems, setting: str) -> None:
        self.root: Node | None = None
        self._at, self._problems, self._setting = at, problems, setting
        self._open: list[_Frame] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise _Refused(line, "a second document begins here; one file holds one")
        if isinstance(event, yaml.CollectionEndEvent):
            frame = self._open.pop()
            self._place(frame.node, frame.anchor, line)
        elif isinstance(event, yaml.NodeEvent):
            self._begin(event, line)

    def _begin(self, event: Any, line: int) -> None:
        tag = getattr(event, "tag", None)  # an alias has none
        if tag not in _PLAIN_TAGS:
            raise _Refused(line, f"the tag {quoted(str(tag))} is not supported; values are plain YAML")
        top = self._open[-1] if self._open else None
        if top and isinstance(top.node.value, dict) and top.key is None:
            self._take_key(top, event, line)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Refused(line, f"*{quoted(str(event.anchor))} refers to nothing that is complete here")
            self._place(self._anchors[str(event.anchor)], None, line)
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.tag is None
            self._place(
                Node(resolve(event.value) if plain else event.value, self._at(line)), event.anchor, line
            )
        else:
            if len(self._open) >= MAX_DEPTH:
                raise _Refused(line, f"nested deeper than {MAX_DEPTH} levels")
            empty: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._open.append(_Frame(Node(empty, self._at(line)), event.anchor))

    def _take_key(self, top: _Frame, event: Any, line: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise _Refused(line, "a key must be a plain word")
        key = event.value
        if key == "<<" and event.implicit[0]:
            raise _Refused(line, "merge keys (<<) are not supported; write the values out")
        if event.anchor:
            self._anchors[event.anchor] = Node(key, self._at(line))
        earlier = top.node.value.get(key)
        if earlier is not None:
            first = f", first on line {earlier.where.line}" if earlier.where.line else ""
            self._problems.add(self._at(line), self._path(key), f"set twice{first}")
        top.key, top.key_where = key, self._at(line)

    def _place(self, node: Node, anchor: str | None, line: int) -> None:
        """Put a complete node where it belongs."""
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        frame = self._open[-1]
        parent = frame.node
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if parent.size > MAX_VALUES:
            raise _Refused(line, f"more than {MAX_VALUES} values")
        if len(self._open) + node.height > MAX_DEPTH:
            raise _Refused(line, f"nested deeper than {MAX_DEPTH} levels")
        if frame.key is None or frame.key_where is None:
            parent.value.append(node)
            return
        # A setting stands where its key stands, also if its value begins on a later line.
        parent.value[frame.key] = replace(node, where=frame.key_where)
        frame.key = frame.key_where = None

    def _path(self, key: str) -> str:
        keys = [frame.key for frame in self._open if frame.key is not None]
        return ".".join(filter(None, (self._setting, *map(quoted, (*keys, key)))))
