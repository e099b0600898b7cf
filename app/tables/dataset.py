"""Uploaded files."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field

from app.tables._base import Json, Leased, Owned


class DatasetState(StrEnum):
    """`queued -> checking -> ready` or `refused` (its report is kept, its file is not)."""

    QUEUED = "queued"
    CHECKING = "checking"
    READY = "ready"
    REFUSED = "refused"


class Dataset(Owned, Leased, table=True):
    """An uploaded file, immutable once ready, known by its SHA-256."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    file_name: str = Field(default="", max_length=300)
    sha256: str = Field(default="", max_length=64, index=True)
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    state: str = Field(default=DatasetState.QUEUED, max_length=20, index=True)
    progress: float = 0.0
    format: str = Field(default="", max_length=30)
    # How the rows of the stored file read: a name in app.datasets.rows.FORMATS. Equal to `format` for JSON
    # Lines; for CSV and Parquet, the form that was written when the file was checked.
    row_format: str = Field(default="", max_length=30)
    # How columns of a CSV or Parquet file are read: {"prompt": "question", "answer": "label", ...}
    mapping: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    task: str = Field(default="", max_length=20)
    task_detected: str = Field(default="", max_length=20)
    labels: list[str] = Field(default_factory=list, sa_type=Json)
    items: int = 0
    problems: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    problem_count: int = 0
    warnings: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    # Histograms, token counts and label counts, as the dataset page shows them.
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # Where the file is still to be fetched from: {"repo": ..., "revision": ..., "file": ...}; {} for uploads.
    source: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # For a built-in sample the paragraph that says how it was made, for a fetched file where it came from.
    origin: str = Field(default="", max_length=2000)
