"""Budgets on the Settings page: caps with what is used, reserved and left of them."""

import math

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.errors import Invalid
from app.lab import budgets
from app.lab.actor import Actor
from app.web.forms import Posted, text
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()
EMPTY = {"scope": "lab", "cap": "", "period": "total", "allow_unknown": ""}


@router.get("/settings/budgets")
def budgets_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """The caps, and the form for another."""
    return _page(request, session, actor)


@router.post("/settings/budgets")
def add(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Adds a cap."""
    values = {name: text(form, name, standard) for name, standard in EMPTY.items()}
    try:
        dollars = float(values["cap"].replace("$", "").replace(",", ""))
    except ValueError:
        dollars = math.nan
    try:
        budgets.add_budget(
            session,
            actor,
            values["scope"],
            dollars,
            values["period"],
            allow_unknown=values["allow_unknown"] == "on",
        )
    except Invalid as error:
        session.rollback()
        return _page(request, session, actor, 422, values, error.fields)
    return see("/settings/budgets")


@router.post("/settings/budgets/{budget_id}/remove")
def remove(budget_id: int, session: Database, actor: Acting) -> Response:
    """Takes a cap away."""
    budgets.remove_budget(session, actor, budget_id)
    return see("/settings/budgets")


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    status: int = 200,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    return page(
        request,
        "settings/budgets.html",
        "Budgets",
        status=status,
        lines=budgets.list_budgets(session, actor),
        spending=budgets.spending(session, actor),
        scopes=list(budgets.WORDS.items()),
        values=values or EMPTY,
        errors=errors or {},
        admin=actor.role == "admin",
    )
