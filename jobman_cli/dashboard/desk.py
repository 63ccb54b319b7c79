"""What every request works with: the application, who may do what, and the secret that signs cookies."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from itsdangerous import URLSafeTimedSerializer

from jobman_cli.app import Jobman
from jobman_cli.operations.journal import database_time

if TYPE_CHECKING:
    from jobman_cli.operations.parts import Parts, Records

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    Attributes:
        name: For the audit.
        may_act: True for those who may do more than look.
    """

    name: str
    may_act: bool


class Desk:
    """One dashboard.

    Args:
        jobman: Whose jobs.
        read_only: Nobody may act; None leaves it to the configuration.
        hosts: More names under which it may be reached.
    """

    def __init__(self, jobman: Jobman, *, read_only: bool | None = None, hosts: Sequence[str] = ()) -> None:
        self.jobman = jobman
        options = jobman.settings.dashboard
        self.read_only = bool(options["read_only"] if read_only is None else read_only)
        own = socket.gethostname()
        self.hosts = frozenset(
            each.lower() for each in (*LOOPBACK, own, options["host"], *options["hosts"], *hosts)
        )
        self.token, self.read_token, self.basic = (options[k] for k in ("token", "read_token", "basic"))

    @property
    def is_open(self) -> bool:
        """True when no credential is set: then whoever reaches it may come in."""
        return not (self.token or self.read_token or self.basic)

    @property
    def records(self) -> Records:
        """What looks work with."""
        return self.jobman.records

    @property
    def parts(self) -> Parts:
        """What actions work with."""
        return self.jobman.parts

    @cached_property
    def signer(self) -> URLSafeTimedSerializer:
        """Signs cookies; another credential, or a new process without one, makes all of them void."""
        known = "\n".join(each or "" for each in (self.token, self.read_token, self.basic))
        key = known.encode() if known.strip() else secrets.token_bytes(32)
        return URLSafeTimedSerializer(hmac.new(key, b"jobman dashboard", hashlib.sha256).hexdigest())

    def visitor_of(self, kind: str, given: str) -> Visitor | None:
        """Who has this credential; None when nobody does.

        Args:
            kind: ``token`` or ``basic``.
        """
        known: list[tuple[str | None, str, bool]] = (
            [(self.basic, (self.basic or "").partition(":")[0], True)]
            if kind == "basic"
            else [(self.token, "token", True), (self.read_token, "read_token", False)]
        )
        for secret, name, may_act in known:
            if secret and hmac.compare_digest(secret.encode(), given.encode()):
                return Visitor(name, may_act and not self.read_only)
        return None

    def now(self) -> datetime:
        """The database's clock."""
        return database_time(self.records)

    def audit(self, visitor: Visitor, address: str, action: str, **entry: Any) -> None:
        """Write down what somebody did; see ``operations.journal``."""
        from jobman_cli.operations.journal import audit

        audit(self.records, actor=visitor.name, address=address, action=action, **entry)

    def close(self) -> None:
        """Close connections."""
        self.jobman.close()
