"""One-time sign-in links, browser sessions and API tokens; only hashes are stored."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import UtcTime


class TokenKind(StrEnum):
    """What a token opens."""

    SIGN_IN = "sign_in"
    SESSION = "session"
    API = "api"


class Token(SQLModel, table=True):
    """A secret of 256 random bits, kept as its SHA-256 (a fast hash is enough at that entropy)."""

    id: int | None = Field(default=None, primary_key=True)
    member_id: int = Field(foreign_key="member.id", index=True)
    kind: str = Field(max_length=20)
    name: str = Field(default="", max_length=200)
    digest: str = Field(max_length=64, unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
    expires_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
