"""What is shipped: a wheel has the dashboard's built assets, a source distribution what builds them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from processes import ROOT
from provision import give_up

DASHBOARD = "jobman_cli/dashboard"
ASSETS = {"htmx.js", "htmx-sse.js", "uplot.js", "uplot.css", "htmx.LICENSE.txt", "uplot.LICENSE.txt"}
#: Calls one function of PEP 517 with a directory.
BUILD = "import sys; from hatchling.build import *; print(globals()[sys.argv[1]](sys.argv[2]))"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What is in git, and what would be: nothing that was built."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/", "docs/")):
            target = tmp_path / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    assert not (tmp_path / "tree" / DASHBOARD / "static" / "vendor").exists()
    return tmp_path / "tree"


def build(what: str, tree: Path, *, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    (tree / "out").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{what}", "out"],
        cwd=tree,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )


def built(what: str, tree: Path) -> Path:
    if shutil.which("npm") is None and what == "wheel":
        give_up("npm is not here, so no wheel can be built")
    done = build(what, tree)
    assert done.returncode == 0, done.stderr
    return tree / "out" / done.stdout.splitlines()[-1]


def assert_has_assets(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.file_size for info in archive.infolist()}
        vendor = {Path(name).name for name in files if f"{DASHBOARD}/static/vendor/" in name}
        assert vendor == {*ASSETS, "made-from"}
        assert files[f"{DASHBOARD}/static/vendor/htmx.js"] > 10_000
        assert b"sourceMappingURL" not in archive.read(f"{DASHBOARD}/static/vendor/htmx.js")
    assert {f"{DASHBOARD}/static/jobman.css", f"{DASHBOARD}/templates/base.html"} <= files.keys()
    assert not [name for name in files if "node_modules" in name or "/frontend/" in name]


def test_a_wheel_of_a_clean_tree_has_the_assets(tree: Path) -> None:
    assert_has_assets(built("wheel", tree))


def test_a_source_distribution_has_what_builds_them(tree: Path) -> None:
    sdist = built("sdist", tree)
    with tarfile.open(sdist) as archive:
        archive.extractall(tree.parent, filter="data")
    unpacked = tree.parent / sdist.name.removesuffix(".tar.gz")
    assert sorted(path.name for path in (unpacked / DASHBOARD / "frontend").iterdir()) == [
        "build.mjs",
        "package-lock.json",
        "package.json",
    ]
    assert not (unpacked / DASHBOARD / "static" / "vendor").exists()
    assert_has_assets(built("wheel", unpacked))


def test_without_npm_a_wheel_is_refused_with_what_to_do(tree: Path) -> None:
    done = build("wheel", tree, path="/nowhere")
    assert done.returncode != 0
    assert "there is no npm" in done.stderr and "`make frontend`" in done.stderr
    assert not list((tree / "out").glob("*.whl"))


def test_without_npm_an_editable_install_goes_on(tree: Path) -> None:
    done = build("editable", tree, path="/nowhere")
    assert done.returncode == 0, done.stderr
    assert len(list((tree / "out").glob("*.whl"))) == 1


def test_built_assets_are_taken_without_npm_but_not_when_their_sources_changed(tree: Path) -> None:
    assert_has_assets(built("wheel", tree))  # which leaves them there
    assert build("wheel", tree, path="/nowhere").returncode == 0
    with (tree / DASHBOARD / "frontend" / "build.mjs").open("a") as file:
        file.write("// changed\n")
    assert "there is no npm" in build("wheel", tree, path="/nowhere").stderr
