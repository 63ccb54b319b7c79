"""Files for those who keep a process running: a unit of systemd, a program of supervisord. Pure text.

Both say the same: SIGTERM goes to the one process that answers it, which is given the time that its jobs may
take; what is still there afterwards is killed; and it is started again whenever it ends.

Neither format can say every path. What cannot be said safely is refused, never written in the hope that it
is read as it was meant.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Seconds after ``shutdown_timeout`` in which what was interrupted is given back: 1 s until it is killed,
#: some for the last words with a database that is slow to answer, and the rest for a busy host.
MARGIN = 20
#: Seconds without a sign of life after which systemd starts the process anew.
WATCHDOG = 60
#: Exit codes that another start does not mend: usage, bad configuration.
HOPELESS = "2 78"

_SYSTEM_DIRECTORIES = ("/usr/", "/boot/", "/efi/")


class CannotSay(ValueError):
    """A value that the format has no safe way to write."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is to be kept running.

    Attributes:
        name: Of the program; letters, digits, ``_ . -``.
        command: The program and its arguments; the program by its absolute path.
        directory: Where it runs; absolute.
        config: The configuration file; absolute, or None for what is found from ``directory``.
        user: Whose process it is; None for whoever reads the file (root, as a rule).
        stop_seconds: ``shutdown_timeout``.
    """

    name: str
    command: Sequence[str]
    directory: str
    config: str | None
    user: str | None
    stop_seconds: float

    @property
    def patience(self) -> int:
        """Seconds from SIGTERM to the kill."""
        return int(-(-self.stop_seconds // 1)) + MARGIN


def systemd_unit(service: Service) -> str:
    """A unit for ``/etc/systemd/system/NAME.service``.

    Raises:
        CannotSay: when a path cannot be written safely.
    """
    directory = _unit_path(service.directory)
    lines = [
        "[Unit]",
        f"Description=Jobman ({service.name})",
        "After=network-online.target",
        "Wants=network-online.target",
        "# A database that is away for long is no reason to give up.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        *([f"User={_unit_path(service.user)}"] if service.user else ["# User=app"]),
        f"WorkingDirectory={directory}",
        *([f"Environment={_unit_word('JOBMAN_CONFIG=' + service.config)}"] if service.config else []),
        "# Passwords stand better in a file of their own: JOBMAN_DATABASE=…, JOBMAN_QUEUE=…",
        f"EnvironmentFile=-/etc/jobman/{service.name}.env",
        f"ExecStart={_unit_command(service.command)}",
        "Restart=always",
        "RestartSec=2",
        f"RestartPreventExitStatus={HOPELESS}",
        f"WatchdogSec={WATCHDOG}",
        "",
        "# The signal is for the main process alone, which lets its workers finish; the kill is for all.",
        "KillMode=mixed",
        "KillSignal=SIGTERM",
        f"TimeoutStopSec={service.patience}",
        "# A job that takes too much memory costs its worker, not all of them.",
        "OOMPolicy=continue",
        "",
        "# What jobs do not miss. With NoNewPrivileges they could not use sudo, with PrivateTmp not share",
        "# /tmp with others, with ProtectHome not see /home: add what yours can do without.",
        "ProtectSystem=true",
        *_writable(directory),
        "ProtectControlGroups=true",
        "# NoNewPrivileges=true",
        "# PrivateTmp=true",
        "# ProtectHome=true",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def supervisor_program(service: Service) -> str:
    """A program for ``/etc/supervisor/conf.d/NAME.conf``.

    Raises:
        CannotSay: when a path cannot be written safely.
    """
    lines = [
        f"[program:{service.name}]",
        f"command={_program_value(' '.join(map(_program_word, service.command)))}",
        f"directory={_program_value(_plain(service.directory))}",
        *([f"environment=JOBMAN_CONFIG={_program_quoted(service.config)}"] if service.config else []),
        *([f"user={_program_value(_plain(service.user))}"] if service.user else ["; user=app"]),
        "autostart=true",
        "autorestart=true",
        "startsecs=2",
        "startretries=10",
        "; The signal is for the main process alone, which lets its workers finish; the kill is for all.",
        "stopsignal=TERM",
        f"stopwaitsecs={service.patience}",
        "stopasgroup=false",
        "killasgroup=true",
        "redirect_stderr=true",
        "stdout_logfile=AUTO",
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text of one line."""
    if not text or not text.isprintable() or text != text.strip():
        raise CannotSay(f"{text!r} has characters that no such file can hold")
    return text


def _unit_path(path: str) -> str:
    """A path as the whole value of a setting: only specifiers mean something there."""
    if "\\" in path:
        raise CannotSay(f"{path!r} has a backslash, which would join lines")
    return _plain(path).replace("%", "%%")


def _unit_word(text: str) -> str:
    """One of several words: quoted, with specifiers and escapes taken off."""
    escaped = _plain(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[^\w%@:=/.,+-]", escaped, re.ASCII) else escaped


def _unit_command(command: Sequence[str]) -> str:
    """A command line. Its arguments know variables; its program does not, and may hold no quotation mark."""
    program, *arguments = command
    if re.search(r"""[$"'\\]""", program):
        program, arguments = "/usr/bin/env", [program, *arguments]
    return " ".join([_unit_word(program), *(_unit_word(each).replace("$", "$$") for each in arguments)])


def _writable(directory: str) -> list[str]:
    """Below what ProtectSystem protects, the project stays writable for its own database and files."""
    if not f"{directory}/".startswith(_SYSTEM_DIRECTORIES):
        return []
    return [f"ReadWritePaths={_unit_word(directory.replace('%%', '%'))}"]


def _program_value(text: str) -> str:
    """A value of supervisord's: blanks before ; or # begin a comment, % begins a variable."""
    if re.search(r"\s[;#]", text):
        raise CannotSay(f"{text!r} has a blank before ; or #, which would begin a comment")
    return text.replace("%", "%%")


def _program_word(text: str) -> str:
    """One word of a command, which supervisord takes apart as a shell would."""
    return re.sub(r"(\s)([;#])", r"""\1'"\2"'""", shlex.quote(_plain(text)))


def _program_quoted(text: str) -> str:
    """A value of an environment: within quotes nothing is an escape, so quotes cannot be in it."""
    if '"' in text or "'" in text:
        raise CannotSay(f"{text!r} has a quotation mark")
    return f'"{_program_value(_plain(text))}"'


#: The formats by name.
FORMATS: dict[str, Callable[[Service], str]] = {"systemd": systemd_unit, "supervisor": supervisor_program}
