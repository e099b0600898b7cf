"""Places for training other than this machine, and the jobs that runs have there."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Field, SQLModel, UniqueConstraint

from app.tables._base import Json, Leased, Owned, UtcTime


class MachineState(StrEnum):
    """`checking -> ready` or `failed`; looked at again now and then. `removed`: the row stays for the runs that name it,
    without its key."""

    CHECKING = "checking"
    READY = "ready"
    FAILED = "failed"
    REMOVED = "removed"


class Machine(Owned, Leased, table=True):
    """One place of one kind (app/compute) as a lab entered it."""

    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    # How it is named on pages and in experiments' files.
    name: str = Field(max_length=60)
    kind: str = Field(max_length=40)
    # By the names of the compute's fields; what a look learned (a host's key) among them.
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # Sealed by app.vault; "" where it wants none.
    sealed_secret: str = Field(default="", max_length=20000)
    allow_private: bool = False
    # Runs at the same time, and the hours after which a run's job ends by itself.
    slots: int = 1
    deadline_hours: float = 24.0
    state: str = Field(default=MachineState.CHECKING, max_length=20, index=True)
    note: str = Field(default="", max_length=2000)
    # What the last look found: gpus, python, hourly_microdollars, balance_microdollars, ...
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # Jobs there that carry a key of ours and belong to no run under way: [{"launch_key", "run_id", "state", "note"}].
    orphans: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    # Launch keys of orphans that a person wants stopped.
    stopping: list[str] = Field(default_factory=list, sa_type=Json)
    checked_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class JobState(StrEnum):
    """`new -> sending -> sent -> leaving -> over`. A row found `sending` was sent by a call whose answer nobody has.
    `leaving`: what the run left there is to be removed, until it is."""

    NEW = "new"
    SENDING = "sending"
    SENT = "sent"
    LEAVING = "leaving"
    OVER = "over"


class MachineJob(Leased, SQLModel, table=True):
    """A run's job on a machine. Its files there and at home have the same names."""

    __tablename__ = "machinejob"

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", unique=True)
    machine_id: int = Field(foreign_key="machine.id", index=True)
    state: str = Field(default=JobState.NEW, max_length=20, index=True)
    sent_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    # How often it was submitted, and the looks for its launch key since an answer was lost.
    submits: int = 0
    looks: int = 0
    not_confirmed: bool = False
    # How its compute finds it again.
    handle: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # The place's own word for how it stands, and its sentence.
    remote_state: str = Field(default="", max_length=100)
    message: str = Field(default="", max_length=1000)
    heard_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    # When the process was first seen to run: what is paid for begins here.
    running_since: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    # Calls that failed in a row, and what the last one met.
    failures: int = 0
    trouble: str = Field(default="", max_length=1000)
