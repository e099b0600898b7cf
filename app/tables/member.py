"""People, the projects that hold their work, and who may see which."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import UtcTime


class Role(StrEnum):
    """What a member may do: an admin everything, a member launch and change in their projects, a viewer look."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Member(SQLModel, table=True):
    """Somebody who signs in: by a one-time link, by address and password, or through a university's sign-in."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    role: str = Field(default=Role.ADMIN, max_length=20)
    # In small letters; none on a laptop, where the one member signs in by a link.
    email: str | None = Field(default=None, max_length=254, unique=True, index=True)
    # An argon2id hash; "" opens nothing.
    password_hash: str = Field(default="", max_length=200)
    # Issuer and subject of OpenID Connect, joined by a space.
    oidc_subject: str | None = Field(default=None, max_length=500, unique=True, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
    seen_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    disabled_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class Project(SQLModel, table=True):
    """What datasets, experiments and runs belong to."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    # Whether questions and answers that pass the door are kept.
    records_answers: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
    archived_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class ProjectMember(SQLModel, table=True):
    """Who may see a project. Admins see all of them without a row here."""

    __tablename__ = "project_member"

    project_id: int = Field(foreign_key="project.id", primary_key=True)
    member_id: int = Field(foreign_key="member.id", primary_key=True, index=True)


class SignInTry(SQLModel, table=True):
    """A try to sign in that failed, kept for counting: `key` is `address ...` or `account ...` as a SHA-256."""

    __tablename__ = "sign_in_try"

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(max_length=64, index=True)
    at: datetime = Field(default_factory=now, sa_type=UtcTime, index=True)  # type: ignore[call-overload]
