"""Members as JSON, for admins: who they are, invitations, roles, resets, sign-outs and closed accounts."""

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from sqlmodel import Session

from app.errors import NotFound
from app.lab import accounts, invitations
from app.lab.actor import Actor, require_admin
from app.lab.link_mail import mail_link
from app.lab.members import list_members
from app.web.own_address import own_address
from app.web.session import Acting, Database, commit_now

router = APIRouter()
RoleName = Literal["admin", "member", "viewer"]


class InvitationBody(BaseModel):
    """Whom to invite, as what, and into which projects."""

    email: str = Field(max_length=300)
    role: RoleName = "member"
    projects: list[int] = Field([], max_length=500)


class MemberChange(BaseModel):
    """What changes of a member; the rest stays. Both end the member's sessions and API tokens."""

    role: RoleName | None = None
    disabled: bool | None = None


@router.get("/members")
def get_members(session: Database, actor: Acting) -> dict[str, Any]:
    """Everybody in the lab: role, ways to sign in, projects, last sign-in. For admins."""
    require_admin(actor, "list members over the API")
    return {"members": [asdict(line) for line in list_members(session)]}


@router.get("/members/invitations")
def get_invitations(session: Database, actor: Acting) -> dict[str, Any]:
    """The open invitations, newest first; never their links."""
    return {"invitations": [asdict(line) for line in invitations.list_invitations(session, actor)]}


@router.post("/members/invitations", status_code=201)
def post_invitation(
    request: Request, body: InvitationBody, session: Database, actor: Acting
) -> dict[str, Any]:
    """Invites somebody. `mailed` says whether an e-mail went out; if none did, `link` is shown this once."""
    secret = invitations.invite(session, actor, body.email, body.role, body.projects)
    made = asdict(invitations.list_invitations(session, actor)[0])
    return {"invitation": made, **_sent(request, session, actor, secret, made["email"], is_new=True)}


@router.delete("/members/invitations/{invitation_id}", status_code=204)
def delete_invitation(invitation_id: int, session: Database, actor: Acting) -> None:
    """Revokes an invitation, at once."""
    invitations.revoke_invitation(session, actor, invitation_id)


@router.get("/members/{member_id}")
def get_member(member_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """One member. For admins."""
    require_admin(actor, "look at members over the API")
    for line in list_members(session):
        if line.id == member_id:
            return asdict(line)
    raise NotFound(f"There is no member {member_id} here.", "Look at the list of members.")


@router.patch("/members/{member_id}")
def patch_member(member_id: int, body: MemberChange, session: Database, actor: Acting) -> dict[str, Any]:
    """Gives a member another role, closes the account or opens it again."""
    require_admin(actor, "change members")
    accounts.find_member(session, member_id)
    if body.role is not None:
        accounts.change_role(session, actor, member_id, body.role)
    if body.disabled is not None:
        change = accounts.disable_member if body.disabled else accounts.enable_member
        change(session, actor, member_id)
    return get_member(member_id, session, actor)


@router.post("/members/{member_id}/sign-out", status_code=204)
def post_sign_out(member_id: int, session: Database, actor: Acting) -> None:
    """Ends every session, API token and link of a member, at once; they can sign in again."""
    accounts.sign_out_member(session, actor, member_id)


@router.post("/members/{member_id}/reset", status_code=201)
def post_reset(request: Request, member_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """A link by which the member chooses a new password: mailed to them, else `link`, shown this once."""
    secret = invitations.make_reset(session, actor, member_id)
    email = accounts.find_member(session, member_id).email or ""
    return _sent(request, session, actor, secret, email, is_new=False)


def _sent(
    request: Request, session: Session, actor: Actor, secret: str, email: str, *, is_new: bool
) -> dict[str, Any]:
    link = f"{own_address(request)}/invitations?token={secret}"
    commit_now(session, request)
    why_not = mail_link(email, link, actor.name, is_new)
    return {"mailed": not why_not, "note": why_not, "link": link if why_not else ""}
