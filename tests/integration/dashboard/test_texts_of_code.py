"""Each English text of code that a page can show is a saying, also if no test provokes it."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from processes import ROOT
from pydantic_core._pydantic_core import list_all_errors
from test_sayings import CHINESE

from jobman_cli import errors
from jobman_cli.core import storable
from jobman_cli.dashboard.languages import translations
from jobman_cli.dashboard.sayings import SAYINGS, translated
from jobman_cli.operations import chores

JOBMAN = ROOT / "jobman_cli"
#: What the dashboard says, and what it calls or looks at, by its room.
SPEAKERS: Mapping[str, tuple[str, ...]] = {
    "dashboard/actions": ("*",),
    "dashboard/pages": ("*",),
    "dashboard": ("access", "entrance", "forms", "live", "search"),
    "dashboard/api": ("deeds",),
    "core": ("attribs", "jobtype", "signature", "values"),
    "hooks": ("loader", "registry"),
    "engine": ("redis_queue",),
    "operations": ("cancel", "chores", "delete", "dispatch", "filters", "housekeeping", "look", "pulse"),
    "operations/": ("alerts", "schedule", "supervision"),
    "store": ("database", "lifecycle/insert", "lifecycle/unique"),
}
#: What makes a text that is shown, beside all that is called …Error and the like: the places of its texts.
MAKERS: Mapping[str, tuple[int, ...]] = {
    "Done": (0,),
    "Question": (0, 1),
    "Acted": (1,),
    "refusal": (2, 3),
    "PluginInfo": (),
    **dict.fromkeys(("NothingDone", "NotHere", "PluginPageFailed", "UnknownTopic", "JobNotFound"), (0,)),
    **dict.fromkeys(("InvalidOption", "InvalidAttribs", "InvalidJobType", "UnknownJobType"), (0,)),
    **dict.fromkeys(("StoreUnavailable", "QueueUnavailable"), (0,)),
}
#: Texts that stand under these names, too, when a function is called or a name is given one.
NAMED = ("error", "hint", "message", "FAULTY", "TOO_LARGE")
#: Only the command line, Python code and programs see these.
NOT_SHOWN = (
    *("read_object", "_parse", "_refuse", "not_so", "missing"),
    *("dispatch_each", "_encode_batch"),
    *("check_schedule", "_announce", "announce", "_describe_failures", "_describe_deaths"),
)
#: Only an address of the API asks these; their hints are for programs.
HINTS_FOR_PROGRAMS = ("api/deeds.py",)
#: Texts whose end is a text of its own: what they come to is in other tests; and those of a start that fails.
LEFT = (
    *("job 7 (7) 7", "job 7 7", "Give 7.", "there is no entry 7 in the schedule7"),
    "no installed distribution brings this plugin7",
    *("database: the URL cannot be read", "database: the driver for 7 is not installed"),
    "pip install 'jobman-cli[7]'",
)


def test_each_text_of_the_code_is_a_saying() -> None:
    texts = [(path, text) for path in paths() for text in texts_of(path)]
    assert len(texts) > 180, "it did look"
    assert {(path.name, text) for path, text in texts if not is_said(text) and text not in LEFT} == set()


def test_what_errors_say_of_themselves_is_a_saying() -> None:
    shown = [each for each in vars(errors).values() if isinstance(each, type)]
    ours = [each for each in shown if issubclass(each, errors.JobmanError)]
    of_jobs = (errors.AttemptLost, errors.WorkerLost, errors.UniqueKeyTaken)  # raised where jobs run
    assert len(ours) > 12
    assert [each.hint for each in ours if each not in of_jobs and each.hint not in SAYINGS] == []


def test_whatever_pydantic_says_is_a_saying() -> None:
    """Of attribs, which are JSON: it says more of arguments of functions and of frozen instances."""
    others = re.compile(
        r"argument|frozen_(field|instance)|_sentinel|ellipsis|callable|is_subclass|python_object|default_factory"
    )
    found = [each for each in list_all_errors() if not others.search(each["type"])]
    assert len(found) > 80
    for each in found:
        template = each["message_template_python"].replace("{expected_plural}", "s")
        for kind in ("List", "Tuple", "Set", "Frozenset", "Dictionary", "Value"):
            text = re.sub(r"{\w+}", "7", template.replace("{field_type}", kind))
            assert is_said(f"hello: items[0].name: {text}; and 3 more"), text
            assert is_said(text) and is_said(text.replace("7 items", "1 item")), text


def test_what_no_database_can_hold_is_said() -> None:
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    nan, big = float("nan"), 2**70
    for value in (deep, nan, big, "\x00", "\ud800", object(), {1: 2}, {"\x00": 1}):
        complaint = storable.find_unstorable({"a": value})
        assert complaint is not None and is_said(complaint), complaint
    assert is_said(storable.find_unstorable({"\x00": 1}) or "")


def test_what_operations_want_is_said() -> None:
    for name, chore in chores.CHORES.items():
        for option, (_, what) in chore.options.items():
            assert is_said(f"{option}: expected {what}, found 'x'"), (name, option)


def paths() -> Iterator[Path]:
    for room, names in SPEAKERS.items():
        for name in names:
            yield from sorted((JOBMAN / room).glob(f"{name}.py"))


def is_said(text: str) -> bool:
    """Also where a 7 stands for a word that is translated by itself."""
    say = translations("zh-TW").gettext
    readings = (text, text.replace("7", "failed"), text.replace("7", "master"), text.replace("7", "never"))
    return any(CHINESE.search(translated(each, say)) for each in readings)


def texts_of(path: Path) -> Iterator[str]:
    """The texts that a module's calls of ``MAKERS`` are given, a 7 for each value in them."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name not in NOT_SHOWN:
            for node in ast.walk(function):
                for value in given(node, str(path)):
                    yield from readings(value)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "_bad_option":
                    yield from (f"Give {each}." for each in readings(node.args[2]))


def given(node: ast.AST, path: str) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assign) and any(ast.unparse(each) in NAMED for each in node.targets):
        yield node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and is_maker(node.func.id):
        yield from (node.args[at] for at in MAKERS.get(node.func.id, (0,)) if at < len(node.args))
        if not path.endswith(HINTS_FOR_PROGRAMS):
            yield from (each.value for each in node.keywords if each.arg in NAMED)


def is_maker(name: str) -> bool:
    return name in MAKERS or (
        name.endswith(("Error", "Unfinished", "Conflict")) and not hasattr(builtins, name)
    )


def readings(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from readings(value.body)
        yield from readings(value.orelse)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
        yield value.value
    elif isinstance(value, ast.JoinedStr) and "_jobs(" not in ast.unparse(value):  # the sweep has those
        parts = [each.value if isinstance(each, ast.Constant) else "7" for each in value.values]
        if any(isinstance(each, str) and each.strip(" ?:;.7") for each in parts):
            yield "".join(parts)
