"""Every error that Jobman raises on purpose.

A class's docstring is its default message, ``hint`` says what to do about it, ``exit_code`` is what
the command line exits with. Nothing here knows a database, a queue or a terminal.

Exit codes follow DESIGN: 1 failed, 2 usage, 69 a server is unreachable, 78 bad configuration.
"""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130


class JobmanError(Exception):
    """Jobman could not do what was asked."""

    exit_code: int = EXIT_FAILED
    hint: str = "Run the command with --help, or `jobman doctor`, to find out more."

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        doc = (type(self).__doc__ or "").strip().splitlines()
        self.message = message or (doc[0] if doc else type(self).__name__)
        if hint is not None:
            self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class ConfigurationError(JobmanError):
    """The configuration is not valid."""

    exit_code = EXIT_CONFIG
    hint = "Correct the configuration, then run `jobman config check`."


class PluginError(ConfigurationError):
    """A plugin could not be used."""

    hint = "See `jobman plugins` for what is wrong, then repair it or take it off the `plugins:` list."


class DuplicateJobType(PluginError):
    """Two places register a job type under the same name."""

    hint = "Rename one of the two, or take one of the plugins off the `plugins:` list."


class InvalidJobType(PluginError):
    """A function cannot be a job type."""

    hint = "Correct the function's signature or its @job options."


class UsageError(JobmanError):
    """The request does not make sense."""

    exit_code = EXIT_USAGE
    hint = "See `jobman --help`."


class UnknownJobType(UsageError):
    """There is no such job type."""

    hint = "See `jobman types`; a job type must come from a module or plugin that the configuration names."


class InvalidAttribs(UsageError):
    """The attribs do not fit the job type's signature.

    Attributes:
        problems: One line for each attrib at fault, that begins with its name; empty when it is not about
            one attrib.
    """

    hint = "See `jobman types TYPE` for the names and types it takes."
    problems: tuple[str, ...] = ()


class InvalidOption(UsageError):
    """An option of the dispatch is out of its bounds."""


class JobNotFound(JobmanError):
    """There is no job with that id."""

    hint = "See `jobman jobs`; the job may have been pruned."


class UniqueKeyTaken(JobmanError):
    """A job that is not finished has this unique key already."""

    hint = "Wait until that job has ended (`jobman wait`), or cancel it."


class StoreUnavailable(JobmanError):
    """The database cannot be reached."""

    exit_code = EXIT_UNAVAILABLE
    hint = "Check that the database runs and that `database:` in the configuration names it; then try again."


class QueueUnavailable(JobmanError):
    """The queue's server cannot be reached."""

    exit_code = EXIT_UNAVAILABLE
    hint = "Check that Redis runs and that `queue:` in the configuration names it; then try again."


class SchemaError(ConfigurationError):
    """The database's tables do not fit this version of Jobman."""

    hint = "Run `jobman db upgrade`."


class AttemptLost(JobmanError):
    """This attempt was given to somebody else; nothing it did in `completing()` was kept."""

    hint = "Nothing to do: the job is run by another worker."


class WorkerLost(JobmanError):
    """This worker was taken for dead and its jobs were given to others."""

    hint = "Nothing to do: it stops and is started anew by its supervisor."
