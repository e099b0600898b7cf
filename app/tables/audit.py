"""Who did what, and when. Append-only: rows are written and read, never changed."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import Json, UtcTime


class AuditEntry(SQLModel, table=True):
    """One thing somebody did: launched, spent, read a test set, downloaded, changed."""

    __tablename__ = "audit_entry"

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(default_factory=now, sa_type=UtcTime, index=True)  # type: ignore[call-overload]
    project_id: int | None = Field(default=None, foreign_key="project.id", index=True)
    # Who, and their name at that time; none for somebody who had not signed in.
    member_id: int | None = Field(default=None, foreign_key="member.id", index=True)
    member_name: str = Field(default="", max_length=200)
    # By what: "session", "token <name>", "sign-in", "command line".
    by: str = Field(default="", max_length=200)
    # A verb and its object: "launched", "experiment", 12.
    action: str = Field(max_length=40, index=True)
    noun: str = Field(max_length=40)
    object_id: int | None = None
    about: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
