"""A member's own account: the password, and the browsers that are signed in."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.config import settings
from app.errors import Invalid
from app.lab import members
from app.lab.accounts import change_password
from app.lab.actor import Actor
from app.lab.sign_in_tries import begin_try
from app.lab.university import is_offered
from app.tables import Member
from app.web.forms import Posted, secret
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/lab/account")
def account_page(request: Request, session: Database, actor: Acting, changed: bool = False) -> HTMLResponse:
    """Who one is, how one signs in, and where one is signed in."""
    return _page(request, session, actor, changed=changed)


@router.post("/lab/password")
def new_password(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Changes the actor's password; every other session and every token of theirs ends."""
    # Counted before the session is used: a try commits by itself, and on SQLite only one transaction writes.
    address = request.client.host if request.client else ""
    begin_try(f"password of member {actor.member_id}", address)
    try:
        change_password(session, actor, secret(form, "old")[:1000], secret(form, "password"))
    except Invalid as error:
        return _page(request, session, actor, status=422, errors=error.fields)
    return see("/lab/account?changed=true")


@router.post("/lab/sessions/others/end")
def end_others(session: Database, actor: Acting) -> Response:
    """Signs the actor out everywhere but here."""
    members.end_other_sessions(session, actor)
    return see("/lab/account#sessions")


@router.post("/lab/sessions/{token_id}/end")
def end_one(token_id: int, session: Database, actor: Acting) -> Response:
    """Signs one browser out."""
    members.end_own_session(session, actor, token_id)
    return see("/lab/account#sessions")


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    *,
    status: int = 200,
    changed: bool = False,
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    member = session.get_one(Member, actor.member_id)
    return page(
        request,
        "lab/account.html",
        "Your account",
        status=status,
        name=member.name,
        role=member.role,
        email=member.email or "",
        has_password=bool(member.password_hash),
        university=settings().oidc_label if is_offered() or member.oidc_subject else "",
        linked_to=(member.oidc_subject or "").partition(" ")[0],
        sessions=members.list_sessions(session, actor),
        changed=changed,
        errors=errors or {},
    )
