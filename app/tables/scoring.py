"""Evaluations read under answer rules, and the scores of that reading."""

from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.tables._base import Json, Owned


class Scoring(Owned, table=True):
    """Append-only: new rules make a new scoring; exports and comparisons name theirs."""

    id: int | None = Field(default=None, primary_key=True)
    evaluation_id: int = Field(foreign_key="evaluation.id", index=True)
    rules: dict[str, Any] = Field(default_factory=dict, sa_type=Json)


class Reading(SQLModel, table=True):
    """One answer as read under the scoring's rules, and whether it is right."""

    __table_args__ = {"sqlite_with_rowid": False}

    scoring_id: int = Field(foreign_key="scoring.id", primary_key=True)
    number: int = Field(primary_key=True)
    answer_read: str | None = None
    correct: bool


class Score(SQLModel, table=True):
    """One metric of one scoring with its 95 % interval, on all items or on a subset of them."""

    # Runs ordered by a metric are read off this index, a page at a time.
    __table_args__ = (Index("ix_score_ranking", "name", "subset", "value", "scoring_id"),)

    scoring_id: int = Field(foreign_key="scoring.id", primary_key=True)
    name: str = Field(max_length=40, primary_key=True)
    # "all" items, or those "unseen": not in train too. The latter only where some are.
    subset: str = Field(default="all", max_length=20, primary_key=True)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
