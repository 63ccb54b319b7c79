"""The docs cannot rot: their commands are run, their tables compared, their links followed.

How a page is read. A fenced block whose first line is a comment with a path (`# jobs.py`) is a file: it is
written before the commands below it run. In a `console` block, a line after `$ ` is a command, and the
lines below it are some of what it prints, in order; `…` in them stands for anything, as do runs of blanks.
`jobman` and `python` are the ones under test. Not run: `make`, whose targets are looked up; the making
of a virtual environment; and `pip`, which may name only our own distributions; a plugin's directory is
"installed" by writing the metadata that pip would write. A section that configures PostgreSQL or Redis is run
with real ones.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from processes import ROOT, jobman_environment
from sqlalchemy import JSON, Double, Integer, String

from jobman_cli.cli.commands import COMMANDS
from jobman_cli.cli.main import app
from jobman_cli.core.outcome import OutcomeKind
from jobman_cli.core.states import FINAL, TRANSITIONS, Status
from jobman_cli.dashboard.search import QUALIFIERS
from jobman_cli.settings import load_settings
from jobman_cli.store.lifecycle.rescue import RESCUED
from jobman_cli.store.tables import TABLES, UTCDateTime

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("plugins/*/README.md")],
    key=lambda path: (path.name != "README.md", str(path)),
)
#: Pages whose commands are run, in a directory of their own each.
EXECUTED = [
    "README.md",
    "docs/tutorials/first-job.md",
    "docs/tutorials/first-plugin.md",
    "docs/how-to/redis-and-postgresql.md",
    "docs/how-to/doctor.md",
    "docs/how-to/retry-after-a-fix.md",
    "docs/how-to/requeue.md",
    "docs/how-to/unique-jobs.md",
    "docs/how-to/prune-by-cron.md",
    "docs/how-to/schedule.md",
    "docs/how-to/async-jobs.md",
    "docs/how-to/deploy.md",
    "docs/explanation/scale.md",
]
#: Commands that a plugin of ours brings.
OF_PLUGINS = {("prometheus",)}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^# ([\w./-]+\.\w+)\n")


@dataclass
class Step:
    """A file to write, or commands to run with what they print."""

    path: str = ""
    text: str = ""
    commands: list[tuple[str, list[str]]] = field(default_factory=list)


def sections(page: Path) -> Iterator[str]:
    """The page, cut at its `##` headings."""
    yield from re.split(r"(?=^## )", page.read_text(), flags=re.MULTILINE)


def steps(text: str) -> Iterator[Step]:
    for language, body in FENCE.findall(text):
        if language == "console":
            step = Step()
            for line in body.splitlines():
                if line.startswith("$ "):
                    step.commands.append((line[2:], []))
                else:
                    step.commands[-1][1].append(line)
            yield step
        elif named := NAMED.match(body):
            yield Step(path=named[1], text=body)


def needs_servers(section: str) -> bool:
    return any("redis://" in step.text or "postgresql://" in step.text for step in steps(section))


def scenes() -> Iterator[tuple[str, bool]]:
    """Each page, up to the section that configures servers and from there on, if there are commands."""
    for name in EXECUTED:
        kinds, configured = set(), False
        for section in sections(ROOT / name):
            configured = configured or needs_servers(section)
            if any(step.commands for step in steps(section)):
                kinds.add(configured)
        yield from ((name, servers) for servers in sorted(kinds))


class Stage:
    """A directory in which a page is played."""

    def __init__(self, path: Path) -> None:
        self.path, self.site = path / "work", path / "site"
        programs = path / "bin"
        for directory in (self.path, self.site, programs):
            directory.mkdir()
        for name, call in (("jobman", "-m jobman_cli"), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
            program.chmod(0o755)
        self.env = jobman_environment()
        self.env["PATH"] = f"{programs}{os.pathsep}{self.env['PATH']}"
        self._extend_path(self.site)

    def _extend_path(self, directory: Path) -> None:
        self.env["PYTHONPATH"] = f"{directory}{os.pathsep}{self.env['PYTHONPATH']}"

    def write(self, step: Step, urls: dict[str, str]) -> None:
        text = step.text
        for setting, url in urls.items():
            text = re.sub(rf"^{setting}: \w+://\S+", f"{setting}: {url}", text, flags=re.MULTILINE)
        target = self.path / step.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def play(self, command: str, shown: list[str]) -> None:
        if command.startswith(("make ", "python3 -m venv ", ". ")):
            return
        if command.startswith("pip install "):
            self.install(command)
            return
        if setting := re.fullmatch(r"export (JOBMAN_\w+)=(\S+)", command):
            self.env[setting[1]] = setting[2]
            return
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        lines = iter(done.stdout.splitlines())
        for line in shown:
            pattern = as_pattern(line)
            assert any(pattern.search(each) for each in lines), (
                f"$ {command}\nthe page shows: {line}\nprinted (in this order):\n{done.stdout}"
            )

    def install(self, command: str) -> None:
        what = command.removeprefix("pip install ").replace("'", "")
        if not what.startswith("-e "):
            assert re.fullmatch(r"jobman-cli(\[\w+\])?", what), command
            return
        project = self.path / what.removeprefix("-e ")
        data = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        info = self.site / f"{data['name'].replace('-', '_')}-{data['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {data['name']}\nVersion: {data['version']}\n"
        )
        points = "".join(f"{key} = {value}\n" for key, value in data["entry-points"]["jobman"].items())
        (info / "entry_points.txt").write_text(f"[jobman]\n{points}")
        self._extend_path(project)


def as_pattern(line: str) -> re.Pattern[str]:
    words = [re.escape(word).replace("…", ".*") for word in line.split()]
    return re.compile(r"\s+".join(words))


@pytest.mark.parametrize(
    ("name", "servers"),
    [pytest.param(*scene, id=f"{scene[0]}-{'servers' if scene[1] else 'embedded'}") for scene in scenes()],
)
def test_the_page_does_what_it_says(name, servers, tmp_path, request) -> None:
    urls = {}
    if servers:
        urls = {
            "database": request.getfixturevalue("postgres_url"),
            "queue": request.getfixturevalue("redis_url"),
        }
    stage = Stage(tmp_path)
    played, configured = 0, False
    for section in sections(ROOT / name):
        configured = configured or needs_servers(section)
        for step in steps(section):
            if step.path:
                stage.write(step, urls)
            elif configured == servers:
                for command, shown in step.commands:
                    stage.play(command, shown)
                    played += 1
    assert played


@pytest.mark.parametrize("name", EXECUTED)
def test_shown_configurations_are_valid(name, tmp_path) -> None:
    for number, step in enumerate(steps((ROOT / name).read_text())):
        if step.path.endswith(".yaml"):
            target = tmp_path / str(number) / "jobman.yaml"
            target.parent.mkdir()
            target.write_text(step.text)
            load_settings(target)


def test_a_page_that_is_wrong_is_found(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.play("echo one two", ["one  …"])
    with pytest.raises(AssertionError, match="the page shows"):
        stage.play("echo one", ["two"])
    with pytest.raises(AssertionError):
        stage.play("jobman no-such-command", [])
    with pytest.raises(AssertionError):
        stage.play("pip install something-else", [])


# Commands


def code(text: str) -> str:
    """What of a page is code: blocks that are no drawings, and spans."""
    blocks = [body for language, body in FENCE.findall(text) if language not in ("mermaid", "text")]
    rest = FENCE.sub("", text)
    return "\n".join([*blocks, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest))])


def mentioned(text: str) -> set[tuple[str, ...]]:
    """The commands that a page's code names: `("db", "upgrade")`."""
    found = set()
    for line in code(text).splitlines():
        for match in re.finditer(r"(?:^|[\s/])jobman ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", line):
            groups = isinstance(command(match[1]), typer.core.TyperGroup) and match[1] != "try"
            found.add((match[1], match[2]) if groups and match[2] else (match[1],))
    return found


def command(name: str, child: str | None = None):
    root = typer.main.get_command(app)
    found = root.get_command(typer.Context(root), name) if name in COMMANDS else None
    return found if found is None or child is None else found.commands.get(child)


def not_yet() -> set[tuple[str, ...]]:
    """What the README says is not there yet."""
    section = next(text for text in sections(ROOT / "README.md") if text.startswith("## Not there yet"))
    spans = [" ".join(span.split()) for span in re.findall(r"`(jobman\s[^`]+)`", section)]
    return {tuple(span.split()[1:]) for span in spans}


def test_no_page_names_a_command_that_is_not_there() -> None:
    missing = {
        f"{page.relative_to(ROOT)}: jobman {' '.join(names)}"
        for page in PAGES
        for names in mentioned(page.read_text()) - not_yet() - OF_PLUGINS
        if command(*names) is None
    }
    assert not missing, "\n".join(sorted(missing))


def test_what_the_readme_misses_is_missing() -> None:
    there = [" ".join(names) for names in not_yet() if command(*names) is not None]
    assert not there, f"take off the README's list, for it is there now: {there}"


def test_options_shown_with_a_command_are_its_own() -> None:
    wrong = []
    for page in PAGES:
        for line in code(page.read_text()).splitlines():
            match = re.search(r"(?:^|[\s/])jobman ([a-z-]+)( [^|#]*)", line)
            found = command(match[1]) if match and match[1] != "try" else None
            if found is None or isinstance(found, typer.core.TyperGroup):
                continue
            known = set(itertools.chain.from_iterable(param.opts for param in found.params)) | {"--help"}
            used = set(re.findall(r"(?<=\s)--[a-z-]+", re.sub(r"'[^']*'", "", match[2])))
            wrong += [f"{page.relative_to(ROOT)}: jobman {match[1]} {option}" for option in used - known]
    assert not wrong, "\n".join(wrong)


def test_every_qualifier_of_a_search_is_described() -> None:
    page = (ROOT / "docs/how-to/find-jobs.md").read_text()
    rows = re.findall(r"^\| `(\w+):` \|.*\| `(.+)` \|$", page, re.MULTILINE)
    assert dict(rows) == {name: example for name, (_, example) in QUALIFIERS.items()}


def test_make_targets_are_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|[`$] ?)make ([a-z]+)", code(page.read_text()), re.MULTILINE))
        assert named <= targets, f"{page}: {named - targets}"


def test_the_makefile_can_be_read() -> None:
    done = subprocess.run(["make", "-n", "help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nobody_is_told_to_install_somebody_elses_package() -> None:
    for page in PAGES:
        for name in re.findall(r"pip3? install[^\n`]*?\b(jobman[\w-]*)", page.read_text()):
            assert name.startswith("jobman-"), f"{page}: {name}"


# Links


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pictures_are_small_and_shown() -> None:
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", page.read_text())
    }
    there = set((ROOT / "docs/images").iterdir())
    assert there == shown, "`make screenshots` takes those that a page shows"
    assert [path.name for path in there if path.stat().st_size > 150_000] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_reachable_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text())
        waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert {page for page in PAGES if "plugins" not in page.parts} <= seen


# Tables and drawings


def rows(text: str, heading: str) -> list[list[str]]:
    """The body of the first table whose first heading is `heading`."""
    body = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert body, heading
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in body[1].splitlines()]


def test_the_drawing_shows_the_transitions() -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    drawing = next(body for language, body in FENCE.findall(text) if language == "mermaid")
    arrows = re.findall(r"^\s+(\S+) --> (\S+?):? ", drawing, re.MULTILINE)
    drawn = {(source, target) for source, target in arrows if source != "[*]"}
    assert drawn == {(str(source), str(target)) for source in Status for target in TRANSITIONS[source]}
    assert {target for source, target in arrows if source == "[*]"} == {Status.QUEUED, Status.SCHEDULED}
    assert len(arrows) == len(set(arrows))


def test_the_states_reference_is_in_step() -> None:
    text = (ROOT / "docs/reference/states.md").read_text()
    states = {name: final for name, _, final in rows(text, "state")}
    assert states == {str(status): "yes" if status in FINAL else "no" for status in Status}
    moves = [(source, target.strip("`")) for source, target, _ in rows(text, "from")]
    assert sorted(moves) == sorted((str(a), str(b)) for a in Status for b in TRANSITIONS[a])
    outcomes = {kind.value for kind in OutcomeKind} - {OutcomeKind.COMPLETED, OutcomeKind.RELEASED}
    assert {name for name, *_ in rows(text, "outcome")} == outcomes | {RESCUED}


KINDS = {UTCDateTime: "time", JSON: "JSON", Integer: "integer", Double: "number", String: "text"}


def kind(column) -> str:
    return next(name for type_, name in KINDS.items() if isinstance(column.type, type_))


def test_the_tables_reference_is_in_step() -> None:
    page = ROOT / "docs/reference/tables.md"
    documented = {}
    for section in sections(page):
        if named := re.match(r"## `(\w+)`", section):
            documented[named[1]] = section
    assert list(documented) == [table.name for table in TABLES]
    for table in TABLES:
        columns = [
            [column.name, kind(column), "yes" if column.nullable else "no"] for column in table.columns
        ]
        written = [row[:3] for row in rows(documented[table.name], "column")]
        assert written == columns, table.name
        indexes = {index.name: [column.name for column in index.columns] for index in table.indexes}
        shown = rows(documented[table.name], "index") if indexes else []
        assert {name: re.findall(r"\w+", names) for name, names in shown} == indexes, table.name


def requirement_name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower()


def test_every_dependency_has_its_reason_and_no_other_has() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = data["project"]
    needed = [*data["build-system"]["requires"], *project["dependencies"]]
    needed += itertools.chain.from_iterable(project["optional-dependencies"].values())
    text = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    reasons = re.findall(r"^\| `([\w.-]+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert sorted(reasons) == sorted({requirement_name(each) for each in needed} - {project["name"]})


def test_the_house_in_contributing_is_the_one_that_is_checked() -> None:
    from test_architecture import FLOORS

    table = rows((ROOT / "CONTRIBUTING.md").read_text(), "floor")
    shown = {room: int(floor) for floor, rooms, _ in table for room in re.findall(r"\w+", rooms)}
    assert shown == FLOORS


def test_the_decisions_are_numbered_and_complete() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    for number, page in enumerate(decisions, 1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_changelog_has_room_for_what_comes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 160
