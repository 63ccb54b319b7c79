"""The text of `jobman deploy`: what each format can say, and what is refused rather than said wrongly."""

from __future__ import annotations

import configparser
import shlex
from dataclasses import replace

import pytest

from jobman_cli.core.deploy import MARGIN, CannotSay, Service, supervisor_program, systemd_unit

SERVICE = Service(
    name="jobman",
    command=["/srv/app/.venv/bin/jobman", "supervise"],
    directory="/srv/app",
    config="/srv/app/config/jobman.yaml",
    user="app",
    stop_seconds=30.0,
)
ODD = "/srv/my app/100% 'of' $HOME"


def setting(text: str, name: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(f"{name}=")]
    return found.partition("=")[2]


def as_supervisord_reads(text: str) -> dict[str, str]:
    """Its parser, with the same settings; `%(…)s` is replaced later, and `%%` becomes `%`."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    return {name: value.replace("%%", "%") for name, value in parser["program:jobman"].items()}


def test_a_unit() -> None:
    text = systemd_unit(SERVICE)
    said = {name: setting(text, name) for name in ("Type", "KillMode", "KillSignal", "Restart", "OOMPolicy")}
    assert said == {
        "Type": "notify",
        "KillMode": "mixed",
        "KillSignal": "SIGTERM",
        "Restart": "always",
        "OOMPolicy": "continue",
    }
    assert setting(text, "TimeoutStopSec") == str(30 + MARGIN)
    assert setting(text, "User") == "app"
    assert setting(text, "WorkingDirectory") == "/srv/app"
    assert setting(text, "Environment") == "JOBMAN_CONFIG=/srv/app/config/jobman.yaml"
    assert setting(text, "ExecStart") == "/srv/app/.venv/bin/jobman supervise"
    assert "NoNewPrivileges" in text and "\nNoNewPrivileges" not in text


def test_a_program() -> None:
    said = as_supervisord_reads(supervisor_program(replace(SERVICE, stop_seconds=0.5)))
    assert said["stopsignal"] == "TERM"
    assert said["stopwaitsecs"] == str(1 + MARGIN)
    assert (said["stopasgroup"], said["killasgroup"], said["autorestart"]) == ("false", "true", "true")
    assert (said["user"], said["directory"]) == ("app", "/srv/app")
    assert said["environment"] == 'JOBMAN_CONFIG="/srv/app/config/jobman.yaml"'
    assert said["command"] == "/srv/app/.venv/bin/jobman supervise"


def test_without_a_user_or_a_file() -> None:
    bare = replace(SERVICE, user=None, config=None)
    for text in (systemd_unit(bare), supervisor_program(bare)):
        assert "JOBMAN_CONFIG" not in text
        assert not any(line.lower().startswith("user=") for line in text.splitlines())


def test_odd_paths_in_a_unit() -> None:
    odd = replace(
        SERVICE, directory=ODD, config=f"{ODD}/x.yaml", command=[f"{ODD}/jobman", "x", 'a "$b"', "%i"]
    )
    text = systemd_unit(odd)
    escaped = ODD.replace("%", "%%")
    assert setting(text, "WorkingDirectory") == escaped
    assert setting(text, "Environment") == f'"JOBMAN_CONFIG={escaped}/x.yaml"'
    command = setting(text, "ExecStart")
    assert command == f'/usr/bin/env "{escaped.replace("$", "$$")}/jobman" x "a \\"$$b\\"" %%i'


def test_odd_paths_in_a_program() -> None:
    words = ["/srv/my app/100%/jobman", "a 'b'", 'c "d"', "e ;f #g"]
    said = as_supervisord_reads(supervisor_program(replace(SERVICE, directory=ODD, command=words)))
    assert said["directory"] == ODD
    assert shlex.split(said["command"]) == words


def test_a_project_below_usr_stays_writable() -> None:
    assert "ReadWritePaths" not in systemd_unit(SERVICE)
    text = systemd_unit(replace(SERVICE, directory="/usr/local/my app"))
    assert setting(text, "ReadWritePaths") == '"/usr/local/my app"'


@pytest.mark.parametrize("path", ["/srv/a\nExecStart=/bin/sh", "/srv/a\r", "/srv/a ", "/srv/\x1b[1m", "/a\\"])
def test_a_unit_refuses(path: str) -> None:
    with pytest.raises(CannotSay):
        systemd_unit(replace(SERVICE, directory=path))


@pytest.mark.parametrize("path", ["/srv/a\n[program:x]", "/srv/a ;b", "/srv/a\t#b", "/srv/a "])
def test_a_program_refuses(path: str) -> None:
    with pytest.raises(CannotSay):
        supervisor_program(replace(SERVICE, directory=path))
    with pytest.raises(CannotSay):
        supervisor_program(replace(SERVICE, config=f"{path}'"))
