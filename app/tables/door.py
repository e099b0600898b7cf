"""What passes the OpenAI-compatible door: files, tuning jobs, batches, calls, old names, and questions to share."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlmodel import Field

from app.tables._base import Json, Leased, Owned, UtcTime


class DoorFile(Owned, table=True):
    """A file sent to /v1/files or written by a batch; its bytes lie in the data folder under `path`."""

    __tablename__ = "door_file"

    id: int | None = Field(default=None, primary_key=True)
    # "file-" and 24 characters, as OpenAI's are.
    public_id: str = Field(max_length=40, unique=True)
    purpose: str = Field(max_length=40)
    name: str = Field(max_length=255)
    path: str = Field(max_length=500)
    size_bytes: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    # The dataset that was made of it for a tuning job.
    dataset_id: int | None = Field(default=None, foreign_key="dataset.id")
    # From then on it is as removed; None: it stays.
    expires_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    removed_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class DoorJobState(StrEnum):
    """What there is of a tuning job: its files are looked at, or there is a run, which knows more, or neither."""

    VALIDATING = "validating_files"
    LAUNCHED = "launched"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DoorJob(Owned, Leased, table=True):
    """A tuning job made at the door: an experiment with one run, once its data is checked."""

    __tablename__ = "door_job"
    __table_args__ = (Index("ix_door_job_project_asked", "project_id", "asked_key", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    # "ftjob-" and 24 characters.
    public_id: str = Field(max_length=40, unique=True)
    training_file_id: int = Field(foreign_key="door_file.id")
    validation_file_id: int | None = Field(default=None, foreign_key="door_file.id")
    dataset_id: int | None = Field(default=None, foreign_key="dataset.id")
    experiment_id: int | None = Field(default=None, foreign_key="experiment.id")
    run_id: int | None = Field(default=None, foreign_key="run.id", unique=True)
    model: str = Field(max_length=300)
    suffix: str = Field(default="", max_length=64)
    seed: int
    state: str = Field(default=DoorJobState.VALIDATING, max_length=20, index=True)
    # By whose token it was made, and so in whose budget it stays.
    token_id: int | None = Field(default=None, foreign_key="token.id")
    # SHA-256 of the caller's Idempotency-Key; the same again gives this job.
    asked_key: str | None = Field(default=None, max_length=64)
    # As OpenAI's `method`: {"type": "supervised", "supervised": {"hyperparameters": {...}}}
    method: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # Called `metadata` in the API; the name is taken in SQLModel.
    labels: dict[str, str] = Field(default_factory=dict, sa_type=Json)
    # Set where no run could be made; with a run, the run says what went wrong. `error_param`: what it is about.
    error: str = Field(default="", max_length=2000)
    error_param: str = Field(default="", max_length=60)
    # What was done otherwise than asked, in sentences.
    remarks: list[str] = Field(default_factory=list, sa_type=Json)
    cancel_asked: bool = False
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class DoorBatchState(StrEnum):
    """OpenAI's words for a batch."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class DoorBatch(Owned, Leased, table=True):
    """Many calls in one file, answered by a worker."""

    __tablename__ = "door_batch"
    __table_args__ = (Index("ix_door_batch_project_asked", "project_id", "asked_key", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    # "batch_" and 24 characters.
    public_id: str = Field(max_length=40, unique=True)
    # By whose token it was made, and so in whose budget it stays.
    token_id: int | None = Field(default=None, foreign_key="token.id")
    input_file_id: int = Field(foreign_key="door_file.id")
    output_file_id: int | None = Field(default=None, foreign_key="door_file.id")
    error_file_id: int | None = Field(default=None, foreign_key="door_file.id")
    endpoint: str = Field(max_length=100)
    model: str = Field(default="", max_length=300)
    state: str = Field(default=DoorBatchState.VALIDATING, max_length=20, index=True)
    labels: dict[str, str] = Field(default_factory=dict, sa_type=Json)
    errors: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    total: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    asked_key: str | None = Field(default=None, max_length=64)
    # How long its output and error files stay; None: until somebody removes them.
    output_seconds: int | None = None
    expires_at: datetime = Field(sa_type=UtcTime)  # type: ignore[call-overload]
    started_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    cancel_asked_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class DoorCall(Owned, table=True):
    """One call that passed: who asked which model, what answered, what it cost; its words only where the project
    records them."""

    __tablename__ = "door_call"
    __table_args__ = (
        Index("ix_door_call_project_newest", "project_id", "id"),
        # Sums of money, and paid calls under way: local calls cost nothing and stand in no such index.
        Index(
            "ix_door_call_paid",
            "status",
            "project_id",
            "created_at",
            sqlite_where=text("provider <> ''"),
            postgresql_where=text("provider <> ''"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    # "chatcmpl-" and 24 characters: the `id` of the answer.
    public_id: str = Field(max_length=40, unique=True)
    token_id: int | None = Field(default=None, foreign_key="token.id", index=True)
    batch_id: int | None = Field(default=None, foreign_key="door_batch.id", index=True)
    # The name that was asked for, and the name of what answered; they differ where an old name was mapped.
    asked_model: str = Field(max_length=300)
    model: str = Field(max_length=300)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    # The service that was paid; "" for what answered here.
    provider: str = Field(default="", max_length=40)
    status: int = 0  # HTTP; 0: under way
    finish: str = Field(default="", max_length=40)
    error: str = Field(default="", max_length=2000)
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_ms: float | None = None
    # What it may cost until it is answered, then what it cost.
    reserved_microdollars: int = Field(default=0, sa_type=BigInteger)
    cost_microdollars: int = Field(default=0, sa_type=BigInteger)
    # Only where the project records: the messages and parameters asked, and the message answered.
    request: dict[str, Any] | None = Field(default=None, sa_type=Json)
    response: dict[str, Any] | None = Field(default=None, sa_type=Json)
    # The answer as a person corrected it, and who; None: not looked at or right as it stands.
    corrected: dict[str, Any] | None = Field(default=None, sa_type=Json)
    corrected_by: int | None = Field(default=None, foreign_key="member.id")
    # "good", "bad" or "": what a person says of the answer.
    mark: str = Field(default="", max_length=10)
    # The caller's own `metadata`, to filter by.
    labels: dict[str, str] = Field(default_factory=dict, sa_type=Json)


class ModelAlias(Owned, table=True):
    """A name that scripts still use, and the model that answers to it now."""

    __tablename__ = "model_alias"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=300)
    # A model's name as /v1/models gives it.
    model: str = Field(max_length=300)
    note: str = Field(default="", max_length=500)


class AskedQuestion(Owned, table=True):
    """A question put to several models on the Try page, kept with its answers so that its link shows them."""

    __tablename__ = "asked_question"

    id: int | None = Field(default=None, primary_key=True)
    public_id: str = Field(max_length=40, unique=True)
    messages: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    # The test item that it was picked from, if any.
    dataset_id: int | None = Field(default=None, foreign_key="dataset.id")
    item_number: int | None = None
    decoding: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # [{"model": ..., "text": ..., "p": {label: probability}, "error": ..., "latency_ms": ...}]
    answers: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
