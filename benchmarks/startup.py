"""How long commands take from start to end, in turns: Jobman's, the peers' help, and `import typer`."""

from __future__ import annotations

import statistics
import subprocess
import time
from typing import Any

from benchmarks.systems import SYSTEMS, Ground, NotMeasured, Place

#: Commands of ours, and the yardstick.
OURS = {
    "python -c 'import typer'": ("python", "-c", "import typer"),
    "jobman --help": ("jobman", "--help"),
    "jobman --version": ("jobman", "--version"),
    "jobman status": ("jobman", "status"),
}
#: `jobman status` exits with 2 when nobody works.
FINE = (0, 2)


def startup(ground: Ground, described: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Median seconds of each command, after a first run that compiled what it imports.

    Args:
        described: What each system said of itself, by name.
    """
    with ground.place(SYSTEMS["jobman-sqlite-database"]) as own:
        own.ask("reset")
        commands = {name: _command(own, words) for name, words in OURS.items()}
        seen = {"jobman"}
        for name, facts in described.items():
            if (peer := SYSTEMS[name].peer) not in seen:
                seen.add(peer)
                with ground.place(SYSTEMS[name]) as place:
                    commands[f"{peer}: {' '.join(facts['help'])}"] = _command(place, facts["help"])
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, (command, environment) in commands.items():
                began = time.perf_counter()
                done = subprocess.run(
                    command, env=environment, cwd=own.directory, capture_output=True, check=False
                )
                if number:
                    taken[name].append(time.perf_counter() - began)
                if done.returncode not in FINE:
                    raise NotMeasured(f"{name}: {done.stderr.decode(errors='replace')[-300:]}")
    return {
        name: {"seconds": statistics.median(times), "least": min(times), "most": max(times)}
        for name, times in taken.items()
    }


def _command(place: Place, words: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    program, *rest = words
    return [str(place.python.with_name(program)), *rest], place.environment
