"""Background jobs whose truth is a SQL row.

The public names, each imported when it is first asked for: ``import jobman_cli`` costs nothing, and
neither does a name that is not used.
"""

from __future__ import annotations

# Not from typing: that import would cost more than all the rest. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from jobman_cli.app import Jobman
    from jobman_cli.core.context import Context
    from jobman_cli.core.jobtype import job
    from jobman_cli.core.outcome import Fail, Retry
    from jobman_cli.errors import JobmanError
    from jobman_cli.hooks import hookimpl

    __version__: str

__all__ = ["Context", "Fail", "Jobman", "JobmanError", "Retry", "__version__", "hookimpl", "job"]

_HOMES = {
    "Context": "jobman_cli.core.context",
    "Fail": "jobman_cli.core.outcome",
    "Jobman": "jobman_cli.app",
    "JobmanError": "jobman_cli.errors",
    "Retry": "jobman_cli.core.outcome",
    "hookimpl": "jobman_cli.hooks",
    "job": "jobman_cli.core.jobtype",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _read_version()
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _read_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("jobman-cli")
    except PackageNotFoundError:
        return "0+unknown"  # run from a source tree that is not installed
