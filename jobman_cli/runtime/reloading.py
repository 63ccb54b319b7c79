"""Tell when code or configuration changes, for development; the one place that knows ``watchfiles``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jobman_cli.errors import UsageError

logger = logging.getLogger("jobman.master")

#: What is code or configuration.
SUFFIXES = (".py", ".yaml", ".yml", ".toml")


def watch_code(paths: Iterable[Path], changed: Callable[[], object]) -> None:
    """Call ``changed``, in a thread of its own, whenever a file below ``paths`` changes.

    Raises:
        UsageError: when ``watchfiles`` is not installed.
    """
    try:
        import watchfiles
    except ImportError:
        raise UsageError(
            "--reload needs the package watchfiles, which is not installed",
            hint="Install it with: pip install 'jobman-cli[reload]'",
        ) from None

    class Code(watchfiles.DefaultFilter):
        def __call__(self, change: Any, path: str) -> bool:
            return path.endswith(SUFFIXES) and super().__call__(change, path)

    def watch() -> None:
        for changes in watchfiles.watch(*paths, watch_filter=Code(), debounce=400):
            logger.info("changed: %s", ", ".join(sorted(Path(path).name for _, path in changes)))
            changed()

    threading.Thread(target=watch, name="reload", daemon=True).start()
