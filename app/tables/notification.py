"""What members are told: in the app, by e-mail and by webhook; and their requests for more money."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import Leased, Owned, UtcTime


class Notification(SQLModel, table=True):
    """One line in a member's list. `key` makes telling twice impossible: "run 12 done"."""

    id: int | None = Field(default=None, primary_key=True)
    member_id: int = Field(foreign_key="member.id", index=True)
    project_id: int | None = Field(default=None, foreign_key="project.id")
    key: str = Field(max_length=200, unique=True)
    kind: str = Field(max_length=40)
    title: str = Field(max_length=300)
    text: str = Field(default="", max_length=2000)
    href: str = Field(default="", max_length=500)
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
    read_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class Channel(Owned, table=True):
    """Where a member wants to be told beside the app: an e-mail address or a webhook, for chosen kinds."""

    id: int | None = Field(default=None, primary_key=True)
    member_id: int = Field(foreign_key="member.id", index=True)
    # "email" or "webhook"; the target is sealed, since a webhook's address is a secret.
    medium: str = Field(max_length=20)
    sealed_target: str = Field(max_length=2000)
    kinds: str = Field(default="", max_length=300)
    note: str = Field(default="", max_length=1000)


class DeliveryState(StrEnum):
    """A delivery waits, went out, or was given up."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Delivery(Leased, table=True):
    """One notification on its way through one channel."""

    id: int | None = Field(default=None, primary_key=True)
    notification_id: int = Field(foreign_key="notification.id", index=True)
    channel_id: int = Field(foreign_key="channel.id", index=True)
    state: str = Field(default=DeliveryState.QUEUED, max_length=20, index=True)
    note: str = Field(default="", max_length=1000)


class BudgetRequest(Owned, table=True):
    """A member asks for more money; an admin allows or declines it."""

    __tablename__ = "budget_request"

    id: int | None = Field(default=None, primary_key=True)
    budget_id: int | None = Field(default=None, foreign_key="budget.id")
    more_microdollars: int = Field(sa_type=BigInteger)
    reason: str = Field(default="", max_length=1000)
    state: str = Field(default="open", max_length=20, index=True)
    answered_by: int | None = Field(default=None, foreign_key="member.id")
    answered_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
