"""Budgets as JSON, in micro-dollars; a cap goes in as dollars."""

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.lab import budgets
from app.lab.money_notes import answer_request, ask_for_more, list_requests
from app.lab.spending import spending
from app.web.session import Acting, Database

router = APIRouter()


class BudgetBody(BaseModel):
    """A cap. `period` "month" counts from the first of the month, UTC; `member_id`: one member alone."""

    scope: Literal["lab", "project", "member", "experiment", "run"]
    dollars: float = Field(ge=0, allow_inf_nan=False)
    period: Literal["total", "month"] = "total"
    member_id: int | None = None
    allow_unknown: bool = False


@router.get("/budgets")
def get_budgets(session: Database, actor: Acting) -> dict[str, Any]:
    """The caps with what is used and reserved, and what the lab has spent in all and this month."""
    lines = [{**asdict(line), "left": line.left} for line in budgets.list_budgets(session, actor)]
    return {"budgets": lines, "spending": asdict(spending(session, actor))}


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


class MoreBody(BaseModel):
    """A request for more money under one cap."""

    dollars: float = Field(gt=0, allow_inf_nan=False)
    reason: str


@router.get("/budget-requests")
def get_requests(session: Database, actor: Acting) -> list[dict[str, Any]]:
    """For an admin the open requests, for others their own; `more` in micro-dollars."""
    return [asdict(line) for line in list_requests(session, actor)]


@router.post("/budgets/{budget_id}/requests", status_code=201)
def post_request(budget_id: int, body: MoreBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Asks the admins for more under a cap."""
    return {"id": ask_for_more(session, actor, budget_id, body.dollars, body.reason).id}


@router.post("/budget-requests/{request_id}/{answer}", status_code=204)
def post_answer(
    request_id: int, answer: Literal["allow", "decline"], session: Database, actor: Acting
) -> None:
    """An admin raises the cap by what was asked, or declines."""
    answer_request(session, actor, request_id, answer == "allow")
