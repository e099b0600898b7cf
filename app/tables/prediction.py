"""What a run answered for one item."""

from typing import Any

from sqlmodel import Field, SQLModel

from app.tables._base import Json


class Prediction(SQLModel, table=True):
    """The answer as given; how it is read is a Reading's business. `number` is the item's."""

    __table_args__ = {"sqlite_with_rowid": False}

    evaluation_id: int = Field(foreign_key="evaluation.id", primary_key=True)
    number: int = Field(primary_key=True)
    answer: str | None = None
    # Aligned with the evaluation's labels; None where the model gives no probabilities.
    probabilities: list[float] | None = Field(default=None, sa_type=Json)
    logprob: float | None = None
    latency_ms: float | None = None
    tokens: int | None = None
    error: str | None = None

    def by_label(self, labels: list[str]) -> dict[str, Any] | None:
        """{label: probability}, or None."""
        return None if self.probabilities is None else dict(zip(labels, self.probabilities, strict=True))
