"""Files and pushes made from a run or an experiment: what a person asked for, how far it is, what came of it."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field

from app.tables._base import Json, Leased, Owned


class ExportState(StrEnum):
    """`queued -> working -> ready` or `failed`; asked for again, a failed one is queued anew."""

    QUEUED = "queued"
    WORKING = "working"
    READY = "ready"
    FAILED = "failed"


class Export(Owned, Leased, table=True):
    """One thing to take away. Its file, if it makes one, lies at app.storage.export_file(id)."""

    id: int | None = Field(default=None, primary_key=True)
    kind: str = Field(max_length=40)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    experiment_id: int | None = Field(default=None, foreign_key="experiment.id", index=True)
    dataset_id: int | None = Field(default=None, foreign_key="dataset.id", index=True)
    # What was asked, by name; never a token.
    parameters: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    state: str = Field(default=ExportState.QUEUED, max_length=20, index=True)
    # 0..1 with a sentence.
    progress: float = 0.0
    progress_note: str = Field(default="", max_length=300)
    file_name: str = Field(default="", max_length=300)
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    sha256: str = Field(default="", max_length=64)
    # Where a push went: {"url": ..., "commit": ..., "changed": ...}
    result: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    error: str = Field(default="", max_length=2000)
    hint: str = Field(default="", max_length=2000)
