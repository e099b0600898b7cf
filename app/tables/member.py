"""People and the projects that hold their work."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import UtcTime


class Member(SQLModel, table=True):
    """Somebody who signs in."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    role: str = Field(default="admin", max_length=20)
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]


class Project(SQLModel, table=True):
    """What datasets, experiments and runs belong to."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
