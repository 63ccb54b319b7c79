"""What people did, and what repair did: small tables that only grow, and are tidied by age."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, String
from sqlmodel import Field, SQLModel

from jobman_cli.store.tables.columns import AUTO, BIGINT, DOCUMENT, NAME, long_text, moment


class Audit(SQLModel, table=True):
    """One action that somebody took on the dashboard."""

    __tablename__ = "jobman_audit"
    __table_args__ = (Index("ix_jobman_audit_at", "at"), AUTO)

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    at: datetime | None = moment(required=True)
    #: Who: the name that the credential gives, and the address the request came from.
    actor: str = Field(sa_column=Column(NAME, nullable=False))
    address: str = Field(sa_column=Column(String(64), nullable=False))
    #: The action's name, such as ``retry``, and what it was asked for.
    action: str = Field(sa_column=Column(String(64), nullable=False))
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column(DOCUMENT, nullable=False))
    #: ``done``, or ``refused`` with the reason in ``message``.
    outcome: str = Field(sa_column=Column(String(16), nullable=False))
    #: How many rows it touched.
    number: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    message: str | None = long_text()


class Reconciliation(SQLModel, table=True):
    """One round of repair that pushed something into the queue."""

    __tablename__ = "jobman_reconciliations"
    __table_args__ = (Index("ix_jobman_reconciliations_at", "at"), AUTO)

    id: int | None = Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))
    at: datetime | None = moment(required=True)
    #: ``pending`` (pushes that had failed), ``overtaken`` (single losses), ``rebuild`` (a queue that was
    #: lost), ``by-hand`` (``requeue --unqueued``).
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    host: str = Field(sa_column=Column(String(255), nullable=False))
    #: How many rows it pushed.
    pushed: int = Field(sa_column=Column(BIGINT, nullable=False))
