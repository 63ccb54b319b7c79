"""A virtual environment for each peer, made on first use under `.bench-venv/`, anew when its pins change.

A peer that cannot be installed here is no fault of the run: it is named in the report, with pip's last word.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".bench-venv"
PINS = Path(__file__).with_name("requirements-peers.txt")
#: What runs in Jobman's own environment.
OURS = ("jobman", "huey")
#: Seconds that one installation may take.
PATIENCE = 300.0


class NotInstalled(Exception):
    """Why a peer is not there."""


def pins() -> dict[str, list[str]]:
    """The requirements of each environment, by its name."""
    found: dict[str, list[str]] = {}
    for line in PINS.read_text().splitlines():
        if heading := re.fullmatch(r"# (\w+)", line):
            found[heading[1]] = []
        elif line and not line.startswith("#"):
            found[list(found)[-1]].append(line)
    return found


def python_of(name: str) -> Path:
    """The interpreter of the peer's environment, installed if need be.

    Raises:
        NotInstalled: with pip's last lines.
    """
    if name in OURS:
        return Path(sys.executable)
    wanted = "\n".join([sys.version, *pins()[name]])
    home = HOME / name
    stamp = home / "installed.txt"
    if not (stamp.exists() and stamp.read_text() == wanted):
        _install(home, pins()[name])
        stamp.write_text(wanted)
    return home / "bin" / "python"


def _install(home: Path, requirements: list[str]) -> None:
    print(f"  installing {', '.join(requirements)}", file=sys.stderr)
    venv.create(home, with_pip=True, clear=True)
    command = [str(home / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    try:
        done = subprocess.run(
            [*command, *requirements], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"pip took more than {PATIENCE:.0f} s") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstalled(" ".join(errors[-2:]) or done.stderr[-300:])
