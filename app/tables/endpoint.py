"""OpenAI-compatible inference addresses that a lab has entered."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field

from app.tables._base import Leased, Owned, UtcTime


class EndpointState(StrEnum):
    """`new -> checking -> ready` or `failed`; a check can be asked for again."""

    NEW = "new"
    CHECKING = "checking"
    READY = "ready"
    FAILED = "failed"


class Endpoint(Owned, Leased, table=True):
    """Where a model answers. Removed ones stay as rows, without their key, since judgings name them."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=100)
    base_url: str = Field(max_length=500)
    model: str = Field(max_length=200)
    # Sealed by app.vault; "" where the endpoint wants no key.
    sealed_key: str = Field(default="", max_length=2000)
    # Micro-dollars for a million tokens; None: not known.
    input_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    output_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    state: str = Field(default=EndpointState.NEW, max_length=20, index=True)
    # What the last check found, as a sentence.
    note: str = Field(default="", max_length=2000)
    checked_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    removed_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
