"""How much the door is used: calls, tokens and cost by model. Read by the Connect page."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import case, func
from sqlmodel import Session, col, select

from app.clock import now
from app.lab.actor import Actor
from app.tables import DoorCall

DAYS = 30
MOST = 20


@dataclass(frozen=True)
class UsageLine:
    """One model's calls; `refused` are those without an answer, tokens those that are known, cost in micro-dollars."""

    model: str
    calls: int
    refused: int
    input_tokens: int
    output_tokens: int
    cost: int


def door_usage(session: Session, actor: Actor) -> list[UsageLine]:
    """The project's calls of the last DAYS days, the most asked model first, at most MOST models."""
    calls = func.count()
    query = (
        select(
            DoorCall.model,
            calls,
            func.sum(case((col(DoorCall.status) == 200, 0), else_=1)),
            func.coalesce(func.sum(DoorCall.input_tokens), 0),
            func.coalesce(func.sum(DoorCall.output_tokens), 0),
            func.sum(DoorCall.cost_microdollars),
        )
        .where(DoorCall.project_id == actor.project_id, DoorCall.created_at >= now() - timedelta(days=DAYS))
        .group_by(DoorCall.model)
        .order_by(calls.desc())
        .limit(MOST)
    )
    return [UsageLine(row[0], *(int(value) for value in row[1:])) for row in session.execute(query)]
