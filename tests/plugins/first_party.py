"""First-party plugins, installed as pip would: their folder, and the metadata with the entry point."""

from __future__ import annotations

import tomllib
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def install(name: str, site: Path) -> Path:
    """Write a distribution's metadata into ``site``; the folder that must be on the path beside it."""
    folder = PLUGINS / f"jobman-{name}"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = site / f"jobman_{name}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = "".join(f"{key} = {value}\n" for key, value in project["entry-points"]["jobman"].items())
    (info / "entry_points.txt").write_text(f"[jobman]\n{points}")
    return folder
