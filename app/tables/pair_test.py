"""Paired tests of two models: computed by the worker, and kept, as scorings never change."""

from enum import StrEnum
from typing import Any

from sqlmodel import Field, UniqueConstraint

from app.tables._base import Json, Leased, Owned


class PairTestState(StrEnum):
    """`queued -> ready` or `failed`; asked for again, a failed one is queued anew."""

    QUEUED = "queued"
    READY = "ready"
    FAILED = "failed"


class PairTest(Owned, Leased, table=True):
    """Model A against model B by all metrics. `a` and `b` are scoring ids, one for each seed: "12,15,18",
    and behind semicolons the number of the methods and a hash of a judge's scores, which may come later."""

    __table_args__ = (UniqueConstraint("a", "b", "subset"),)

    id: int | None = Field(default=None, primary_key=True)
    a: str = Field(max_length=300)
    b: str = Field(max_length=300)
    subset: str = Field(default="all", max_length=20)
    state: str = Field(default=PairTestState.QUEUED, max_length=20, index=True)
    # The tests as app.comparisons.paired.PairedTest, in the order of display.
    tests: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    error: str = Field(default="", max_length=2000)
    hint: str = Field(default="", max_length=2000)
