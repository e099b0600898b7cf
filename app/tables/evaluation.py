"""A run's predictions on one part of its split."""

from typing import Any

from sqlmodel import Field, UniqueConstraint

from app.tables._base import Json, Owned


class Evaluation(Owned, table=True):
    """One set of predictions, under stated decoding. The test part's is made by the run itself."""

    __table_args__ = (UniqueConstraint("run_id", "part"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    part: str = Field(default="test", max_length=20)
    labels: list[str] = Field(default_factory=list, sa_type=Json)
    decoding: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # How imported predictions were matched to items, as a sentence.
    matched_by: str = Field(default="", max_length=500)
    items: int = 0
    # Over the items whose model said them: median time of one answer, and all tokens together.
    latency_ms: float | None = None
    tokens: int | None = None
