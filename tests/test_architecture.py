"""The house keeps its shape: DESIGN's floors and rooms, checked by reading the imports.

Everything is read with `ast`, so imports inside functions and under TYPE_CHECKING count as well. The last
part feeds small false sources to the checker: a checker that finds nothing anywhere is no checker.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "jobman_cli"

# Imports go down only; rooms on the same floor do not know each other.
FLOORS = {
    "errors": 0,
    "core": 1,
    "settings": 2,
    "hooks": 2,
    "store": 2,
    "engine": 3,
    "operations": 4,
    "runtime": 5,
    "app": 6,
    "dashboard": 7,
    "testing": 7,
    "cli": 8,
}
# These are above all floors: the public names, imported lazily, and `python -m jobman_cli`.
EXEMPT = {PACKAGE, f"{PACKAGE}.__main__"}

# Each foreign library lives in one place; a trailing * stands for the rest of a module's name.
PLACES = {
    **dict.fromkeys(("sqlmodel", "sqlalchemy", "alembic", "psycopg", "pymysql", "sqlite3"), ("store",)),
    **dict.fromkeys(("huey", "redis"), ("engine", "runtime.consumer*")),
    "pluggy": ("hooks",),
    "yaml": ("settings",),
    "watchfiles": ("runtime.reloading",),
    "cronsim": ("core.cron",),
    **dict.fromkeys(("typer", "rich"), ("cli",)),
    **dict.fromkeys(
        ("starlette", "jinja2", "markupsafe", "uvicorn", "itsdangerous", "babel"), ("dashboard",)
    ),
    **dict.fromkeys(("click", "pickle"), ()),
}
# A caller's own Session passes through dispatch: DESIGN, section 4.
PASSES_THROUGH = {
    ("operations.dispatch", "sqlalchemy.orm.Session"),
    ("operations.dispatch", "sqlmodel.Session"),
}

IMPORTERS = {"importlib.import_module", "import_module", "__import__"}
VAGUE_NAMES = {"utils", "helpers", "common"}
MAX_FILE, MAX_FUNCTION = 350, 60
# What may be longer, and why: {"jobman_cli/store/x.py": (400, "reason"), "jobman_cli/x.py:name": (70, "…")}
LONGER: dict[str, tuple[int, str]] = {}


@dataclass(frozen=True, slots=True)
class Source:
    """One module: its dotted name, its path from the root, its text."""

    module: str
    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def inside(self) -> str:
        """Its name within the package: `runtime.consumer`."""
        return self.module.partition(".")[2]

    @property
    def room(self) -> str:
        return self.inside.partition(".")[0]


def read(path: Path) -> Source:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return Source(".".join(parts).removesuffix(".__init__"), str(path.relative_to(ROOT)), path.read_text())


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Each imported dotted name and its line; `from a import b` gives `a.b`, which may be a module."""
    is_package = source.path.endswith("__init__.py")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = source.module.split(".")
                here = here[: len(here) - node.level + is_package]
                base = ".".join([*here, *filter(None, [base])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in IMPORTERS:
            named = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
            yield from ((node.lineno, str(name)) for name in named)


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def floor_faults(source: Source) -> Iterator[str]:
    """Imports that go up, or aside."""
    if source.module in EXEMPT:
        return
    if source.room not in FLOORS:
        yield f"{source.path}: `{source.room}` stands on no floor"
        return
    for line, name in imports(source):
        package, _, inside = name.partition(".")
        room = inside.partition(".")[0]
        if package != PACKAGE or room in (source.room, "__version__"):
            continue
        if room not in FLOORS:
            yield f"{source.path}:{line}: `{name}`: the package's root is for its users, not for its rooms"
        elif FLOORS[room] >= FLOORS[source.room]:
            way = "aside" if FLOORS[room] == FLOORS[source.room] else "up"
            yield f"{source.path}:{line}: `{source.room}` imports {way} from `{room}`"


def place_faults(source: Source) -> Iterator[str]:
    """Foreign libraries outside their place."""
    for line, name in imports(source):
        library = name.partition(".")[0]
        if library not in PLACES or (source.inside, name) in PASSES_THROUGH:
            continue
        if not any(lives_in(source.inside, place) for place in PLACES[library]):
            places = " and ".join(PLACES[library]) or "no place"
            yield f"{source.path}:{line}: `{library}` belongs to {places}"


def lives_in(inside: str, place: str) -> bool:
    if place.endswith("*"):
        return inside.startswith(place[:-1])
    return inside == place or inside.startswith(f"{place}.")


def danger_faults(source: Source) -> Iterator[str]:
    """What turns data into code: evaluation, unsafe YAML, the shell."""
    unsafe = {"eval", "exec", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        if called(node).removeprefix("builtins.") in unsafe:
            yield f"{source.path}:{node.lineno}: {called(node)}()"
        for keyword in node.keywords:
            if keyword.arg == "shell" and not is_false(keyword.value):
                yield f"{source.path}:{node.lineno}: shell={ast.unparse(keyword.value)}"
    for line, name in imports(source):
        if name in unsafe:
            yield f"{source.path}:{line}: {name}"


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def name_faults(source: Source) -> Iterator[str]:
    if VAGUE_NAMES & set(source.module.split(".")):
        yield f"{source.path}: a name that says nothing"


def size_faults(source: Source) -> Iterator[str]:
    """Files and functions that do not fit in a head."""
    lines = len(source.text.splitlines())
    if lines > allowed(source.path, MAX_FILE):
        yield f"{source.path}: {lines} lines"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            if length > allowed(f"{source.path}:{node.name}", MAX_FUNCTION):
                yield f"{source.path}:{node.lineno}: {node.name}() has {length} lines"


def allowed(what: str, usual: int) -> int:
    return LONGER.get(what, (usual, ""))[0]


PACKAGE_SOURCES = [
    read(path)
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
    if "node_modules" not in path.parts  # fetched by `make frontend`
]
PLUGIN_SOURCES = [read(path) for path in sorted((ROOT / "plugins").rglob("*.py"))]
RULES = (floor_faults, place_faults, danger_faults, name_faults, size_faults)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_to_the_design(rule) -> None:
    faults = [fault for source in PACKAGE_SOURCES for fault in rule(source)]
    assert not faults, "\n" + "\n".join(faults)


def test_plugins_do_nothing_dangerous_and_use_public_names_only() -> None:
    faults = [fault for source in PLUGIN_SOURCES for fault in danger_faults(source)]
    for source in PLUGIN_SOURCES:
        for line, name in imports(source):
            inside = name.removeprefix(f"{PACKAGE}.")
            if name.startswith(f"{PACKAGE}.") and inside.partition(".")[0] in FLOORS.keys() - {"testing"}:
                faults.append(f"{source.path}:{line}: `{name}` is not a public name")
    assert not faults, "\n" + "\n".join(faults)


def test_the_package_was_read() -> None:
    assert len(PACKAGE_SOURCES) > 5
    assert {"jobman_cli", "jobman_cli.errors"} <= {source.module for source in PACKAGE_SOURCES}


def test_every_exception_is_needed_and_reasoned() -> None:
    for what, (limit, reason) in LONGER.items():
        path, _, function = what.partition(":")
        assert (ROOT / path).is_file(), f"{what} is gone"
        assert limit > (MAX_FUNCTION if function else MAX_FILE)
        assert len(reason) > 10, f"{what} gives no reason"


# --- the checker is not blind --------------------------------------------------------------------------


def fake(inside: str, text: str, *, package: bool = False) -> Source:
    module = f"{PACKAGE}.{inside}" if inside else PACKAGE
    path = module.replace(".", "/") + ("/__init__.py" if package else ".py")
    return Source(module, path, text)


FAULTY = [
    (floor_faults, "core.states", "from jobman_cli.store import tables", "imports up from `store`"),
    (floor_faults, "core.states", "def f():\n    import jobman_cli.app", "imports up from `app`"),
    (
        floor_faults,
        "core.states",
        "if TYPE_CHECKING:\n    from ..engine import x",
        "imports up from `engine`",
    ),
    (floor_faults, "core.states", "from .. import app", "imports up from `app`"),
    (floor_faults, "hooks.loader", "from jobman_cli import store", "imports aside from `store`"),
    (floor_faults, "testing.rig", "import jobman_cli.dashboard.pages", "imports aside from `dashboard`"),
    (floor_faults, "store.tables", "importlib.import_module('jobman_cli.cli')", "imports up from `cli`"),
    (floor_faults, "core.states", "from jobman_cli import Jobman", "for its users"),
    (floor_faults, "core.states", "import jobman_cli", "for its users"),
    (floor_faults, "attic.trunk", "", "stands on no floor"),
    (
        place_faults,
        "operations.retry",
        "def f():\n    from sqlalchemy.orm import Session",
        "belongs to store",
    ),
    (place_faults, "operations.dispatch", "from sqlalchemy import select", "belongs to store"),
    (place_faults, "runtime.worker", "import huey", "belongs to engine and runtime.consumer*"),
    (place_faults, "engines.x", "import redis", "belongs to engine"),
    (place_faults, "core.x", "import pluggy, yaml", "`yaml` belongs to settings"),
    (place_faults, "operations.x", "from rich.table import Table", "belongs to cli"),
    (place_faults, "cli.x", "import jinja2", "belongs to dashboard"),
    (place_faults, "cli.x", "from click import echo", "belongs to no place"),
    (place_faults, "", "import pickle", "belongs to no place"),
    (danger_faults, "core.x", "eval('1')", "eval()"),
    (danger_faults, "core.x", "builtins.exec('1')", "exec()"),
    (danger_faults, "core.x", "yaml.load(text, Loader=yaml.SafeLoader)", "yaml.load()"),
    (danger_faults, "core.x", "from yaml import load", "yaml.load"),
    (danger_faults, "core.x", "subprocess.run('ls', shell=True)", "shell=True"),
    (danger_faults, "core.x", "subprocess.run('ls', shell=flag)", "shell=flag"),
    (name_faults, "core.utils", "", "says nothing"),
    (name_faults, "helpers.x", "", "says nothing"),
    (size_faults, "core.x", "x = 1\n" * 351, "351 lines"),
    (size_faults, "core.x", "async def long():\n" + "    x = 1\n" * 60, "long() has 61 lines"),
]


@pytest.mark.parametrize(("rule", "inside", "text", "fault"), FAULTY)
def test_the_checker_sees(rule, inside: str, text: str, fault: str) -> None:
    assert any(fault in found for found in rule(fake(inside, text)))


FAULTLESS = [
    (
        "store.lifecycle",
        "from jobman_cli.core import states\nfrom . import tables\nfrom sqlmodel import Session",
    ),
    ("runtime.worker", "from ..operations import rescue\nfrom jobman_cli.runtime import runner"),
    ("runtime.consumer_pool", "from huey.consumer import Consumer\nimport redis"),
    ("operations.dispatch", "from sqlalchemy.orm import Session"),
    ("engine.redis_queue", "client.eval(script)\nimport redis.asyncio"),
    ("settings", "import yaml\nyaml.safe_load(text)\nsubprocess.run(['ls'], shell=False)"),
    ("cli.main", "from jobman_cli import __version__, errors"),
    ("", "from jobman_cli.app import Jobman"),
    ("__main__", "from jobman_cli.cli.main import main"),
]


@pytest.mark.parametrize(("inside", "text"), FAULTLESS)
def test_the_checker_leaves_alone(inside: str, text: str) -> None:
    assert [fault for rule in RULES for fault in rule(fake(inside, text))] == []


def test_relative_imports_of_a_package_start_in_it() -> None:
    source = fake("store", "from . import tables\nfrom .. import cli", package=True)
    assert [name for _, name in imports(source)] == ["jobman_cli.store.tables", "jobman_cli.cli"]
