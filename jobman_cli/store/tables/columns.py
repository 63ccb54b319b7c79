"""Types and pieces that all tables share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Dialect, Index, Integer, String, Text, text
from sqlalchemy import DateTime as SQLDateTime
from sqlalchemy.dialects.mysql import DATETIME as MYSQL_DATETIME
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field


def as_utc(value: datetime) -> datetime:
    """The same moment, aware, in UTC; a naive value is taken as UTC already."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database (timestamptz, DATETIME(6), ISO text)."""

    impl = SQLDateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """MySQL's family needs the fraction spelled out."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(MYSQL_DATETIME(fsp=6))
        return dialect.type_descriptor(SQLDateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; without the zone where the database keeps none."""
        if value is None:
            return None
        utc = as_utc(value)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        return None if value is None else as_utc(value)


BIGINT = BigInteger().with_variant(Integer, "sqlite")
LONG = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
DOCUMENT = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
NAME = String(190)

#: Names are told apart by case on every database.
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
AUTO = {"sqlite_autoincrement": True, **MYSQL}  # ids are not given again after a prune

#: Conditions of the partial indexes. One text each, because a partial index only serves a query that
#: repeats its condition. MySQL's family has no partial indexes: there the same index covers every row.
IN_LINE = "status IN ('pending', 'queued')"
DUE = "status = 'scheduled'"
RUNNING = "status = 'running'"
#: Rows whose unique key nobody else may bear. Every row without a key fails at the first word of it.
HOLDS_KEY = "unique_key IS NOT NULL AND status NOT IN ('completed', 'failed', 'cancelled')"


def partial_index(name: str, *columns: str, only: str, unique: bool = False) -> Index:
    """An index of the rows for which ``only`` is true, where the database has such indexes."""
    return Index(name, *columns, unique=unique, postgresql_where=text(only), sqlite_where=text(only))


def moment(*, required: bool = False) -> Any:
    """A column for a time."""
    return Field(default=None, sa_column=Column(UTCDateTime(), nullable=not required))


def long_text() -> Any:
    """A column for text of any length."""
    return Field(default=None, sa_column=Column(LONG, nullable=True))
