"""What tables share: column types, names of constraints, and the columns of everything that belongs to someone."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, TypeDecorator
from sqlmodel import Field, SQLModel

from app.clock import now

# Named constraints keep Alembic's diffs readable and let SQLite's batch mode find them.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# Plain JSON on both databases: it keeps the order of keys, which the ledger shows.
Json = JSON()


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware moment; SQLite, which has no zones, gets it as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times need a zone; use app.clock.now()")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Owned(SQLModel):
    """Columns of every row that belongs to someone: its project and its maker."""

    project_id: int = Field(foreign_key="project.id", index=True)
    maker_id: int = Field(foreign_key="member.id")
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]


class Leased(SQLModel):
    """Columns of rows that workers advance: who holds the row until when, and when it is due again."""

    owner: str | None = None
    lease_until: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    due_at: datetime | None = Field(default=None, sa_type=UtcTime, index=True)  # type: ignore[call-overload]
    attempt: int = 0
