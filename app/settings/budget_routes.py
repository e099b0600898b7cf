"""Budgets on the Settings page: caps with what is used, reserved and left of them."""

import math
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session, col, select

from app.errors import Invalid
from app.lab import budgets
from app.lab.actor import Actor
from app.lab.money_notes import answer_request, ask_for_more, list_requests
from app.lab.spending import spending
from app.tables import Member
from app.web.forms import Posted, text, whole
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
    dollars = _dollars(values["cap"])
    scope, _, member = values["scope"].partition(":")
    try:
        budgets.add_budget(
            session,
            actor,
            scope,
            dollars,
            values["period"],
            _member_id(member),
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


@router.post("/settings/budgets/more")
def more(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Asks the admins for more."""
    asked = {name: text(form, name) for name in ("more", "reason", "budget")}
    try:
        ask_for_more(session, actor, whole(form, "budget"), _dollars(asked["more"]), asked["reason"])
    except Invalid as error:
        session.rollback()
        return _page(request, session, actor, 422, errors=error.fields, asked=asked)
    return see("/settings/budgets#requests")


@router.post("/settings/budgets/requests/{request_id}/{answer}")
def answer_more(
    request_id: int, answer: Literal["allow", "decline"], session: Database, actor: Acting
) -> Response:
    """An admin raises the cap by what was asked, or declines."""
    answer_request(session, actor, request_id, answer == "allow")
    return see("/settings/budgets#requests")


def _dollars(written: str) -> float:
    """Dollars as people write them; NaN, which no check accepts, for anything else."""
    try:
        return float(written.replace("$", "").replace(",", ""))
    except ValueError:
        return math.nan


def _member_id(chosen: str) -> int | None:
    """The id behind a choice; 0, which is nobody's, for one that cannot be read."""
    if not chosen:
        return None
    return int(chosen) if chosen.isdecimal() and len(chosen) < 10 else 0


def _members(session: Session) -> list[tuple[str, str]]:
    """A choice for each member, where there are several."""
    members = session.exec(select(Member).order_by(col(Member.name))).all()
    return [(f"{budgets.MEMBER}:{each.id}", each.name) for each in members] if len(members) > 1 else []


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    status: int = 200,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    asked: dict[str, str] | None = None,
) -> HTMLResponse:
    return page(
        request,
        "settings/budgets.html",
        "Budgets",
        status=status,
        lines=(lines := budgets.list_budgets(session, actor)),
        requests=list_requests(session, actor),
        askable=[(str(line.id), line.words) for line in lines],
        asked=asked or {"more": "", "reason": "", "budget": ""},
        spending=spending(session, actor),
        scopes=[*budgets.WORDS.items(), *_members(session)],
        values=values or EMPTY,
        errors=errors or {},
        admin=actor.role == "admin",
    )
