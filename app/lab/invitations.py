"""Links that let somebody choose a password: invitations to new members, and resets for those who lost theirs.
Called by the members' pages, the page /invitations and the command."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.errors import Conflict, Invalid, NotFound
from app.lab.accounts import (
    checked_email,
    checked_role,
    find_member,
    make_member,
    open_session,
    set_password,
)
from app.lab.actor import Actor, require_admin
from app.lab.sign_in import SECONDS, digest, new_secret
from app.tables import Member, Project, ProjectMember, Role, Token, TokenKind

MOST = 200


@dataclass(frozen=True)
class InvitationLine:
    """An invitation that is still open; its link is not kept and cannot be shown again."""

    id: int
    email: str
    role: str
    projects: tuple[str, ...]
    inviter: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Opened:
    """What a link is for: `email` chooses a password, as somebody new or as the member `name`."""

    email: str
    role: str
    name: str
    is_new: bool


def invite(session: Session, actor: Actor, email: str, role: str, project_ids: list[int]) -> str:
    """A secret, valid 120 hours, for one person to make their account with. An earlier invitation of the same address
    ends. Raises Forbidden unless the actor is an admin, Invalid with the field that is wrong."""
    require_admin(actor, "invite members")
    email, role = checked_email(session, email), checked_role(role)
    known = set(session.exec(select(Project.id).where(col(Project.id).in_(project_ids))))
    if set(project_ids) - known:
        raise Invalid("There is no such project.", "", {"projects": "Choose projects of the list."})
    live = _live(session)
    if len(live) >= MOST:
        raise Conflict(
            f"{len(live)} invitations are open already.", "Revoke those that are no longer wanted."
        )
    for token in live:
        if token.about.get("email") == email:
            token.ended_at = now()
    about = {"email": email, "role": role, "projects": sorted(project_ids)}
    return _make(session, actor.member_id, TokenKind.INVITE, about)


def list_invitations(session: Session, actor: Actor) -> list[InvitationLine]:
    """The open invitations, newest first. Raises Forbidden unless the actor is an admin."""
    require_admin(actor, "see invitations")
    projects = dict(session.exec(select(Project.id, Project.name)).all())
    members = dict(session.exec(select(Member.id, Member.name)).all())
    return [
        InvitationLine(
            row.id or 0,
            row.about["email"],
            row.about["role"],
            tuple(projects[key] for key in row.about["projects"] if key in projects),
            members.get(row.member_id, ""),
            row.created_at,
            row.expires_at,
        )
        for row in _live(session)
    ]


def revoke_invitation(session: Session, actor: Actor, token_id: int) -> None:
    """The link opens nothing from now on; twice changes nothing."""
    require_admin(actor, "revoke invitations")
    row = session.get(Token, token_id)
    if row is None or row.kind != TokenKind.INVITE:
        raise NotFound(f"There is no invitation {token_id} here.", "Look at the list of invitations.")
    row.ended_at = row.ended_at or now()
    session.flush()


def make_reset(session: Session, actor: Actor, member_id: int) -> str:
    """A secret, valid a day, by which the member chooses a new password; earlier ones end. The old password goes on
    working until then. Raises Forbidden unless the actor is an admin, Conflict for a member without an address."""
    require_admin(actor, "reset passwords")
    member = find_member(session, member_id)
    if not member.email or member.disabled_at:
        reason = "is disabled" if member.disabled_at else "has no e-mail address to sign in with"
        raise Conflict(f"{member.name} {reason}.", "Enable the account, or invite its owner.")
    mine = (col(Token.member_id) == member_id, col(Token.kind) == TokenKind.RESET)
    session.execute(update(Token).where(*mine, col(Token.ended_at).is_(None)).values(ended_at=now()))
    return _make(session, member_id, TokenKind.RESET, {})


def look_at(session: Session, secret: str) -> Opened:
    """What the link is for, before anything is chosen. Raises NotFound when it opens nothing."""
    token = _open(session, secret)
    if token.kind == TokenKind.INVITE:
        return Opened(token.about["email"], token.about["role"], "", True)
    member = session.get_one(Member, token.member_id)
    return Opened(member.email or "", member.role, member.name, False)


def accept(session: Session, secret: str, name: str, password: str) -> str:
    """Makes the invited account, or gives a member a new password and ends what was open; a session's secret.

    Two at once: exactly one wins. Raises NotFound for a link that opens nothing, Invalid with the field.
    """
    token = _open(session, secret)
    mine = (col(Token.id) == token.id, col(Token.ended_at).is_(None))
    taken = session.execute(update(Token).where(*mine).values(ended_at=now(), used_at=now()))
    if taken.rowcount != 1:  # type: ignore[attr-defined]
        raise _over()
    if token.kind == TokenKind.RESET:
        member = find_member(session, token.member_id or 0)
        set_password(session, member, password)
        return open_session(session, member)
    if not password:
        raise Invalid("Choose a password.", "", {"password": "Choose a password."})
    return open_session(session, _welcome(session, token, name, password))


def accept_by_email(session: Session, email: str, name: str) -> Member | None:
    """Makes the account that an open invitation of this address is for, without a password; None where there is no
    such invitation. Whoever calls knows that the address is theirs."""
    for token in _live(session):
        inviter = session.get(Member, token.member_id)
        invites = inviter is not None and inviter.role == Role.ADMIN and inviter.disabled_at is None
        if token.about.get("email") == email and invites:
            token.ended_at = token.used_at = now()
            return _welcome(session, token, name, "")
    return None


def _welcome(session: Session, token: Token, name: str, password: str) -> Member:
    member = make_member(session, name, token.about["email"], token.about["role"], password)
    for key in session.exec(select(Project.id).where(col(Project.id).in_(token.about["projects"]))):
        session.add(ProjectMember(project_id=key or 0, member_id=member.id or 0))
    session.flush()
    return member


def _make(session: Session, member_id: int, kind: TokenKind, about: dict[str, Any]) -> str:
    secret = new_secret()
    ends = in_seconds(SECONDS[kind])
    session.add(Token(member_id=member_id, kind=kind, about=about, digest=digest(secret), expires_at=ends))
    session.flush()
    return secret


def _open(session: Session, secret: str) -> Token:
    # An invitation ends with the right to invite: whoever was demoted or disabled leaves no way in behind.
    token = session.exec(
        select(Token)
        .join(Member, col(Member.id) == Token.member_id)
        .where(
            Token.digest == digest(secret),
            col(Member.disabled_at).is_(None),
            col(Token.ended_at).is_(None),
            col(Token.expires_at) > now(),
            ((Token.kind == TokenKind.INVITE) & (Member.role == "admin")) | (Token.kind == TokenKind.RESET),
        )
    ).first()
    if token is None:
        raise _over()
    return token


def _over() -> NotFound:
    return NotFound("This link was used, revoked or is too old.", "Ask an admin of your lab for a new one.")


def _live(session: Session) -> list[Token]:
    live = (Token.kind == TokenKind.INVITE, col(Token.ended_at).is_(None), col(Token.expires_at) > now())
    return list(session.exec(select(Token).where(*live).order_by(col(Token.id).desc())))
