"""The lab page: who is signed in, API tokens, and this machine."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.errors import Invalid
from app.lab import account_routes, audit_routes, member_routes, notification_routes, project_routes
from app.lab.actor import Actor
from app.lab.audit import last_backup
from app.lab.machine import this_machine
from app.lab.page import machine_rows
from app.lab.tokens import DAYS, end_api_token, list_api_tokens, make_api_token
from app.tables import Scope
from app.web.forms import Posted, text, whole
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(account_routes.router)
router.include_router(audit_routes.router)
router.include_router(member_routes.router)
router.include_router(notification_routes.router)
router.include_router(project_routes.router)


@router.get("/lab")
def lab_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """Who is signed in, what opens the API, and what this machine has."""
    return _lab(request, session, actor)


@router.post("/lab/tokens")
def make_token(request: Request, session: Database, actor: Acting, form: Posted) -> HTMLResponse:
    """Makes an API token and shows its secret, this once: nothing keeps it, so there is nothing to redirect to."""
    try:
        name, scope = text(form, "name"), text(form, "scope", Scope.WRITE)
        days, budget = whole(form, "days", DAYS), _dollars(text(form, "budget"))
        secret = make_api_token(session, actor, name, scope, days, budget)
    except Invalid as error:
        typed = {"name": text(form, "name"), "budget": text(form, "budget")}
        return _lab(request, session, actor, status=422, errors=error.fields, **typed)
    return _lab(request, session, actor, status=201, secret=secret)


@router.post("/lab/tokens/{token_id}/end")
def end_token(token_id: int, session: Database, actor: Acting) -> Response:
    """Ends a token."""
    end_api_token(session, actor, token_id)
    return see("/lab#tokens")


def _lab(
    request: Request,
    session: Session,
    actor: Actor,
    *,
    status: int = 200,
    secret: str = "",
    name: str = "",
    budget: str = "",
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    return page(
        request,
        "lab/page.html",
        "Lab",
        status=status,
        actor=actor,
        tokens=list_api_tokens(session, actor),
        secret=secret,
        name=name,
        budget=budget,
        errors=errors or {},
        groups=machine_rows(this_machine(), last_backup(session)),
        address=str(request.base_url).rstrip("/"),
    )


def _dollars(written: str) -> float | None:
    """A budget as it was typed; None for none. What is no number is no budget that a token can have."""
    try:
        return float(written.replace("$", "").replace(",", "")) if written else None
    except ValueError:
        return -1.0
