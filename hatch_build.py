"""The build hook: a wheel contains what the dashboard's pages take from npm.

An editable install builds nothing and never fails: the pages work without these files, and say how to get
them. Assets that were built from the very same sources are taken as they are, so a machine without npm can
make a wheel of a tree in which ``make frontend`` has run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DASHBOARD = "jobman_cli/dashboard"
#: No script of a package is run.
COMMANDS = (
    ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"),
    ("node", "build.mjs"),
)


class FrontendHook(BuildHookInterface):  # type: ignore[type-arg]  # as hatchling's own documentation has it
    """Builds the front end for a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is packed.

        Args:
            version: ``standard`` or ``editable``.

        Raises:
            RuntimeError: when npm is missing or fails.
        """
        if version == "editable":
            return
        root = Path(self.root) / DASHBOARD
        if not is_built(root):
            build(root / "frontend")
        build_data["artifacts"].append(f"/{DASHBOARD}/static/vendor/**")


def is_built(dashboard: Path) -> bool:
    """True when the assets were made from the sources that are here."""
    made_from = dashboard / "static" / "vendor" / "made-from"
    sources = [dashboard / "frontend" / name for name in ("package-lock.json", "build.mjs")]
    expected = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    return made_from.is_file() and made_from.read_text().strip() == expected


def build(frontend: Path) -> None:
    """Fetch the packages that the lock file names, and write the assets.

    Raises:
        RuntimeError: when npm is missing or fails.
    """
    for command in COMMANDS:
        program = shutil.which(command[0])
        if program is None:
            raise RuntimeError(
                f"the dashboard's front end is not built, and there is no {command[0]} to build it: "
                "install Node.js 18 or newer with npm, or run `make frontend` where it is, then build again"
            )
        done = subprocess.run([program, *command[1:]], cwd=frontend, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"`{' '.join(command)}` failed in {frontend}:\n{done.stdout}{done.stderr}")
