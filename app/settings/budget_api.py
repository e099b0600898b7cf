"""Budgets as JSON, in micro-dollars; a cap goes in as dollars."""

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.lab import budgets
from app.web.session import Acting, Database

router = APIRouter()


class BudgetBody(BaseModel):
    """A cap. `period` "month" counts from the first of the month, UTC; `member_id`: one member alone."""

    scope: Literal["lab", "member", "experiment", "run"]
    dollars: float = Field(ge=0, allow_inf_nan=False)
    period: Literal["total", "month"] = "total"
    member_id: int | None = None
    allow_unknown: bool = False


@router.get("/budgets")
def get_budgets(session: Database, actor: Acting) -> dict[str, Any]:
    """The caps with what is used and reserved, and what the lab has spent in all and this month."""
    lines = [{**asdict(line), "left": line.left} for line in budgets.list_budgets(session, actor)]
    return {"budgets": lines, "spending": asdict(budgets.spending(session, actor))}


@router.post("/budgets", status_code=201)
def post_budget(body: BudgetBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Adds a cap."""
    made = budgets.add_budget(
        session, actor, body.scope, body.dollars, body.period, body.member_id, body.allow_unknown
    )
    line = next(line for line in budgets.list_budgets(session, actor) if line.id == made.id)
    return {**asdict(line), "left": line.left}


@router.delete("/budgets/{budget_id}", status_code=204)
def delete_budget(budget_id: int, session: Database, actor: Acting) -> None:
    """Takes a cap away."""
    budgets.remove_budget(session, actor, budget_id)
