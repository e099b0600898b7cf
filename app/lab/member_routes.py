"""The members' page: who is in the lab, invitations, roles, resets and closed accounts. Changes are an admin's."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.config import settings
from app.errors import Invalid
from app.lab import accounts, invitations
from app.lab.actor import Actor
from app.lab.link_mail import mail_link
from app.lab.members import list_members
from app.lab.projects import list_projects
from app.tables import Role
from app.web.forms import Posted, text, texts
from app.web.own_address import own_address
from app.web.pages import page, see
from app.web.session import Acting, Database, commit_now

router = APIRouter()
ROLES = {
    Role.MEMBER: "member: launches and changes in their projects",
    Role.VIEWER: "viewer: looks and downloads",
    Role.ADMIN: "admin: everything, in every project",
}


@router.get("/lab/members")
def members_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """Everybody in the lab; for an admin also the open invitations and the forms."""
    return _page(request, session, actor)


@router.post("/lab/members/invite")
def invite(request: Request, session: Database, actor: Acting, form: Posted) -> HTMLResponse:
    """Invites somebody by e-mail, or shows the link, this once: nothing keeps it, so there is nothing to redirect to."""
    email, role = text(form, "email"), text(form, "role", Role.MEMBER)
    chosen = [int(each) for each in texts(form, "projects") if each.isascii() and each.isdigit()][:500]
    chosen = [each for each in chosen if each < 2**31]
    try:
        secret = invitations.invite(session, actor, email, role, chosen)
    except Invalid as error:
        return _page(request, session, actor, status=422, email=email, role=role, errors=error.fields)
    return _made(request, session, actor, secret, email, is_new=True)


@router.post("/lab/members/invitations/{token_id}/revoke")
def revoke_invitation(token_id: int, session: Database, actor: Acting) -> Response:
    """Ends an invitation."""
    invitations.revoke_invitation(session, actor, token_id)
    return see("/lab/members#invitations")


@router.post("/lab/members/{member_id}/role")
def change_role(member_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Gives a member another role and signs them out."""
    accounts.change_role(session, actor, member_id, text(form, "role"))
    return see("/lab/members")


@router.post("/lab/members/{member_id}/sign-out")
def sign_out_member(member_id: int, session: Database, actor: Acting) -> Response:
    """Ends every session and API token of a member."""
    accounts.sign_out_member(session, actor, member_id)
    return see("/lab/members")


@router.post("/lab/members/{member_id}/disable")
def disable_member(member_id: int, session: Database, actor: Acting) -> Response:
    """Closes an account at once."""
    accounts.disable_member(session, actor, member_id)
    return see("/lab/members")


@router.post("/lab/members/{member_id}/enable")
def enable_member(member_id: int, session: Database, actor: Acting) -> Response:
    """Opens it again."""
    accounts.enable_member(session, actor, member_id)
    return see("/lab/members")


@router.post("/lab/members/{member_id}/reset")
def reset_password(request: Request, member_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """Mails a link by which the member chooses a new password, or shows it, this once."""
    secret = invitations.make_reset(session, actor, member_id)
    email = accounts.find_member(session, member_id).email or ""
    return _made(request, session, actor, secret, email, is_new=False)


def _made(
    request: Request, session: Session, actor: Actor, secret: str, email: str, *, is_new: bool
) -> HTMLResponse:
    """The page after a link was made: mailed to its owner, else shown this once."""
    link = f"{own_address(request)}/invitations?token={secret}"
    commit_now(session, request)
    why_not = mail_link(email, link, actor.name, is_new)
    shown = {"link": link, "why_not": why_not} if why_not else {"mailed": True}
    return _page(request, session, actor, status=201, link_for=email, **shown)


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    *,
    status: int = 200,
    link: str = "",
    link_for: str = "",
    why_not: str = "",
    mailed: bool = False,
    email: str = "",
    role: str = Role.MEMBER,
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    session.flush()
    open_projects = [line for line in list_projects(session, actor) if not line.archived_at]
    return page(
        request,
        "lab/members.html",
        "Members",
        status=status,
        actor=actor,
        members=list_members(session),
        invitations=invitations.list_invitations(session, actor) if actor.is_admin else [],
        projects=open_projects,
        roles=list(ROLES.items()),
        link=link,
        why_not=why_not if settings().smtp_url else "",
        mailed=mailed,
        mails=bool(settings().smtp_url),
        link_for=link_for,
        email=email,
        role=role,
        errors=errors or {},
    )
