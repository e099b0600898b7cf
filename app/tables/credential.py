"""Keys for hosted services, where those services are, and the models that they offer."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Field, SQLModel, UniqueConstraint

from app.tables._base import Json, Leased, Owned, UtcTime


class CredentialState(StrEnum):
    """`checking -> ready` or `failed`; a key that a service refuses later becomes `failed` too. `removed`: the row stays
    for the runs that name it, without its key."""

    CHECKING = "checking"
    READY = "ready"
    FAILED = "failed"
    REMOVED = "removed"


class Credential(Owned, Leased, table=True):
    """One key for one provider, of the whole lab or of one member (`member_id`). It is sent to `host` alone: a base
    URL elsewhere asks for the key again. `from_environment`: the key itself stands in the environment, the row only
    holds what checks of it found."""

    id: int | None = Field(default=None, primary_key=True)
    provider: str = Field(max_length=40, index=True)
    member_id: int | None = Field(default=None, foreign_key="member.id", index=True)
    sealed_key: str = Field(default="", max_length=4000)
    from_environment: bool = False
    # What the service needs beside the key, by the names of the provider's fields.
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # scheme://host:port that the key was entered for.
    host: str = Field(max_length=300)
    state: str = Field(default=CredentialState.CHECKING, max_length=20, index=True)
    # What the last check said, as a sentence, and whose account it is.
    note: str = Field(default="", max_length=1000)
    account: str = Field(default="", max_length=300)
    checked_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    removed_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class ProviderSetting(SQLModel, table=True):
    """What an admin set for a provider; no row: as its file says."""

    provider: str = Field(max_length=40, primary_key=True)
    enabled: bool = True
    base_url: str = Field(default="", max_length=500)
    # Lets the base URL lie at a private address, for this provider by name.
    allow_private: bool = False


class StoredOffer(SQLModel, table=True):
    """One model of a service as its list said with one key; brought up to date at each look."""

    __table_args__ = (UniqueConstraint("credential_id", "model"),)

    id: int | None = Field(default=None, primary_key=True)
    credential_id: int = Field(foreign_key="credential.id", index=True)
    provider: str = Field(max_length=40, index=True)
    model: str = Field(max_length=300)
    # The fields of app.providers._shapes.Offer.
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    looked_at: datetime = Field(sa_type=UtcTime)  # type: ignore[call-overload]
    # False: a person typed its name, no list has it.
    listed: bool = True
    # When more was asked about this model, when that was answered, and why it was not.
    asked_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    answered_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    note: str = Field(default="", max_length=1000)
