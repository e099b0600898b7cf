"""What a run has at a hosted service: its job, its batches, its deployment, and the answers as they come."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel, UniqueConstraint

from app.tables._base import Json, Leased, UtcTime


class Sent(StrEnum):
    """How far a paid create is: `no -> sending -> yes`, or `refused`. A row that is found `sending` was sent by a
    call whose answer nobody has: it is looked for and never sent again blindly."""

    NO = "no"
    SENDING = "sending"
    YES = "yes"
    REFUSED = "refused"


class RemoteJobRow(SQLModel, table=True):
    """A run's training at a service. The job's own JSON lies in the run's folder (service/job-first.json and
    job-last.json)."""

    __tablename__ = "remotejob"

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    provider: str = Field(max_length=40, index=True)
    credential_id: int | None = Field(default=None, foreign_key="credential.id", index=True)
    # Where it was sent; a base URL that changes later does not move a running job.
    base_url: str = Field(max_length=500)
    model: str = Field(max_length=300)
    # {part: {"id", "sha256", "ready"}} of the files that the service has.
    files: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    sent: str = Field(default=Sent.NO, max_length=20)
    sent_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    # Looks for the launch key since the answer was lost; after the last one a person decides.
    looks: int = 0
    not_confirmed: bool = False
    # How many create calls were ever sent, and what people decided: [{"at", "who", "what"}].
    creates: int = 0
    decisions: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    # The id that a person says is the run's job; it is asked about before it is believed.
    claimed_id: str = Field(default="", max_length=300)
    # Other jobs that carry the run's key, which are cancelled: [{"id", "state", "ended"}].
    doubles: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    # What must be said loudly on the run's page.
    alarm: str = Field(default="", max_length=2000)
    # Price and acceptance were asked for; where create and start are two calls, when the start was answered.
    checked: bool = False
    start_sent_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    remote_id: str = Field(default="", max_length=300, index=True)
    state: str = Field(default="", max_length=100)
    phase: str = Field(default="", max_length=20)
    message: str = Field(default="", max_length=1000)
    # The last answer that could be read; and no call before `wait_until`, which a service asked for or a failure set.
    heard_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    wait_until: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    tuned_model: str = Field(default="", max_length=500)
    log_cursor: str = Field(default="", max_length=500)
    # Bytes of out/log.txt that go with the cursor: a killed worker may have written more.
    log_bytes: int = Field(default=0, sa_type=BigInteger)
    metrics_cursor: str = Field(default="", max_length=500)
    trained_tokens: int | None = Field(default=None, sa_type=BigInteger)
    cancel_sent_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    # Calls that failed in a row, for the pause between them; and what the last one met.
    failures: int = 0
    trouble: str = Field(default="", max_length=1000)
    rescued_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class OrphanState(StrEnum):
    """`found -> cancelling -> ended`, or `adopted` by its run, or `dismissed` by a person."""

    FOUND = "found"
    CANCELLING = "cancelling"
    ENDED = "ended"
    ADOPTED = "adopted"
    DISMISSED = "dismissed"


class OrphanJob(SQLModel, table=True):
    """A job at a service that carries a key of Tunebook's and is no run's job. Shown until somebody decides."""

    __tablename__ = "orphan"
    __table_args__ = (UniqueConstraint("provider", "base_url", "remote_id"),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    # The run with whose key it was found, and the run that the launch key belongs to, if any.
    account_run_id: int = Field(foreign_key="run.id")
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    provider: str = Field(max_length=40)
    base_url: str = Field(max_length=500)
    remote_id: str = Field(max_length=300)
    launch_key: str = Field(max_length=64)
    state: str = Field(default=OrphanState.FOUND, max_length=20, index=True)
    remote_state: str = Field(default="", max_length=100)
    phase: str = Field(default="", max_length=20)
    message: str = Field(default="", max_length=1000)
    found_at: datetime = Field(sa_type=UtcTime)  # type: ignore[call-overload]
    looked_at: datetime = Field(sa_type=UtcTime)  # type: ignore[call-overload]


class RemoteBatchRow(SQLModel, table=True):
    """One batch of questions, sent by the same rules as a job."""

    __tablename__ = "remotebatch"
    __table_args__ = (UniqueConstraint("run_id", "part", "piece"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    part: str = Field(max_length=20)
    # Large parts go in several pieces; a second try of what failed is a piece of its own.
    piece: int
    launch_key: str = Field(max_length=64, unique=True)
    sent: str = Field(default=Sent.NO, max_length=20)
    sent_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    looks: int = 0
    remote_id: str = Field(default="", max_length=300)
    state: str = Field(default="", max_length=100)
    phase: str = Field(default="", max_length=20)
    done: int = 0
    total: int = 0
    message: str = Field(default="", max_length=1000)
    read_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class DeploymentState(StrEnum):
    """`starting -> running -> stopping -> stopped`; `unknown`: the create's answer was lost."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class DeploymentRow(Leased, SQLModel, table=True):
    """A tuned model that is served and costs money by the hour. Watched until it is stopped, whatever becomes of its
    run."""

    __tablename__ = "deployment"

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    provider: str = Field(max_length=40)
    credential_id: int | None = Field(default=None, foreign_key="credential.id")
    base_url: str = Field(max_length=500)
    launch_key: str = Field(max_length=64, unique=True)
    sent: str = Field(default=Sent.NO, max_length=20)
    looks: int = 0
    remote_id: str = Field(default="", max_length=300)
    # The name that the model is called by while it is served.
    model: str = Field(default="", max_length=500)
    state: str = Field(default=DeploymentState.STARTING, max_length=20, index=True)
    remote_state: str = Field(default="", max_length=100)
    message: str = Field(default="", max_length=1000)
    hourly_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    asked_at: datetime = Field(sa_type=UtcTime)  # type: ignore[call-overload]
    running_since: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    # The idle guard stops it when nothing was asked for `idle_minutes`.
    last_used_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    idle_minutes: int = 30
    stopped_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    raw: dict[str, Any] = Field(default_factory=dict, sa_type=Json)


class RescueState(StrEnum):
    """`asked -> done`, or `failed` with a note."""

    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


class RescueRow(Leased, SQLModel, table=True):
    """A person's wish to fetch the weights of a finished run, whose first fetch was given up. One for a run."""

    __tablename__ = "rescue"

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True, unique=True)
    state: str = Field(default=RescueState.ASKED, max_length=20, index=True)
    # Calls that failed in a row, and what the last one met.
    failures: int = 0
    note: str = Field(default="", max_length=1000)


class ReplyState(StrEnum):
    """`waiting -> answered` or `failed` (no answer; a person may ask again)."""

    WAITING = "waiting"
    ANSWERED = "answered"
    FAILED = "failed"


class ReplyRow(SQLModel, table=True):
    """What a service answered for one item of a run, written once; at the end it becomes the run's prediction."""

    __tablename__ = "reply"
    __table_args__ = (Index("ix_reply_waiting", "run_id", "state"), {"sqlite_with_rowid": False})

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    part: str = Field(max_length=20, primary_key=True)
    number: int = Field(primary_key=True)
    state: str = Field(default=ReplyState.WAITING, max_length=20)
    attempts: int = 0
    answer: str | None = None
    # {label: probability}, made from the likeliest tokens.
    p: dict[str, Any] | None = Field(default=None, sa_type=Json)
    logprob: float | None = None
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None
    batch_id: int | None = Field(default=None, foreign_key="remotebatch.id")
