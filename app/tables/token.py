"""What opens something: sign-in links, invitations, resets, sessions, API tokens, shares; only hashes are stored."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import Json, UtcTime


class TokenKind(StrEnum):
    """What a token opens."""

    SIGN_IN = "sign_in"
    SESSION = "session"
    API = "api"
    SETUP = "setup"
    INVITE = "invite"
    RESET = "reset"
    SHARE = "share"


class Scope(StrEnum):
    """How far an API token goes: look, or also launch and change. Never farther than its member's role."""

    READ = "read"
    WRITE = "write"


class Token(SQLModel, table=True):
    """A secret of 256 random bits, kept as its SHA-256 (a fast hash is enough at that entropy)."""

    id: int | None = Field(default=None, primary_key=True)
    # Who acts by it. Of a setup token nobody yet; of an invitation whoever invites.
    member_id: int | None = Field(default=None, foreign_key="member.id", index=True)
    # The project that a session is in, that an API token works in, or that a share shows.
    project_id: int | None = Field(default=None, foreign_key="project.id")
    scope: str = Field(default=Scope.WRITE, max_length=20)
    # What the kind needs beside: an invitation's {email, role, projects}, a share's {address, title}.
    about: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # What may be spent by it at the door, in all; None: only the budgets say.
    budget_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    kind: str = Field(max_length=20)
    name: str = Field(default="", max_length=200)
    digest: str = Field(max_length=64, unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
    expires_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    used_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
