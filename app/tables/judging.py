"""Answers marked by a judge model, and by hand to see how far the judge can be trusted."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.clock import now
from app.tables._base import Json, Leased, Owned, UtcTime


class JudgingState(StrEnum):
    """`queued -> working -> done`, `failed` or `cancelled`; a failed one can go on."""

    QUEUED = "queued"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class MarkState(StrEnum):
    """`waiting -> marked`, `unreadable` (the judge answered, but not as asked) or `failed` (no answer)."""

    WAITING = "waiting"
    MARKED = "marked"
    UNREADABLE = "unreadable"
    FAILED = "failed"


class Judging(Owned, Leased, table=True):
    """One judge, one prompt, the answers of one run, or of two side by side."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    evaluation_id: int = Field(foreign_key="evaluation.id")
    other_run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    other_evaluation_id: int | None = Field(default=None, foreign_key="evaluation.id")
    endpoint_id: int = Field(foreign_key="endpoint.id")
    # As they were at the start: the endpoint may change.
    base_url: str = Field(max_length=500)
    model: str = Field(max_length=200)
    input_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    output_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    # "points", "right" or "pair": what the prompt asks for.
    scale: str = Field(max_length=20)
    prompt: str
    prompt_sha256: str = Field(max_length=64)
    decoding: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # Items judged, of how many, and the seed of the sample; None where all are judged.
    items: int
    of_items: int
    seed: int | None = None
    # The judging stops before its cost passes this; None: no cap.
    cap_microdollars: int | None = Field(default=None, sa_type=BigInteger)
    state: str = Field(default=JudgingState.QUEUED, max_length=20, index=True)
    cancel_asked: bool = False
    # Counts, score and interval, written with the marks' last change; {} before.
    result: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    error: str = Field(default="", max_length=2000)
    hint: str = Field(default="", max_length=2000)
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]


class JudgeMark(SQLModel, table=True):
    """The judge's answer for one item, written once. `side` is 0, or for pairs 0 and 1: which run's answer was
    shown first."""

    __table_args__ = (Index("ix_judgemark_waiting", "judging_id", "state"), {"sqlite_with_rowid": False})

    judging_id: int = Field(foreign_key="judging.id", primary_key=True)
    number: int = Field(primary_key=True)
    side: int = Field(default=0, primary_key=True)
    state: str = Field(default=MarkState.WAITING, max_length=20)
    # 0 to 1: points out of ten, right or wrong; for pairs 1 where the run's own answer is preferred, 0 the other's.
    value: float | None = None
    # What the judge wrote, cut.
    reply: str | None = None
    error: str | None = None
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: float | None = None


class HandLabel(SQLModel, table=True):
    """What a member said of one item's answer (or two answers) without seeing whose it was. `sheet` names the
    evaluations, so that every judging of the same answers is held against the same labels."""

    sheet: str = Field(max_length=60, primary_key=True)
    member_id: int = Field(foreign_key="member.id", primary_key=True)
    number: int = Field(primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    # 1 right, 0 wrong; for pairs 1 the run's own answer, 0 the other's, 0.5 equal; None: cannot say.
    value: float | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
