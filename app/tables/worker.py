"""The worker processes that are there: what each takes, and when it was last alive."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import UtcTime


class Worker(SQLModel, table=True):
    """One worker, written by itself every few seconds; rows that grow old are removed."""

    id: int | None = Field(default=None, primary_key=True)
    # Machine, pid and start time.
    name: str = Field(max_length=300, unique=True)
    # The machine whose processes it can see; "" where there is only one.
    machine: str = Field(default="", max_length=200, index=True)
    # What it takes, joined by commas: cpu, gpu, remote.
    queues: str = Field(max_length=100)
    started_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
    seen_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
