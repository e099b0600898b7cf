"""Members and a member's own sessions as lists. Called by the members' and the account page and `tunebook user`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.clock import now
from app.errors import NotFound
from app.lab.actor import Actor
from app.tables import Member, Project, ProjectMember, Token, TokenKind


@dataclass(frozen=True)
class MemberLine:
    """One member; `way` is how they sign in."""

    id: int
    name: str
    email: str
    role: str
    way: str
    projects: tuple[str, ...]
    seen_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True)
class SessionLine:
    """One browser in which the member is signed in."""

    id: int
    created_at: datetime
    expires_at: datetime | None
    current: bool


def list_members(session: Session) -> list[MemberLine]:
    """Every member, those who cannot sign in last."""
    order = (col(Member.disabled_at).is_not(None), func.lower(Member.name), col(Member.id))
    inside: dict[int, list[str]] = {}
    names = select(ProjectMember.member_id, Project.name).join(
        Project, col(Project.id) == ProjectMember.project_id
    )
    for key, name in session.exec(names.order_by(col(Project.name))):
        inside.setdefault(key, []).append(name)
    return [
        MemberLine(
            row.id or 0, row.name, row.email or "", row.role, _way(row), tuple(inside.get(row.id or 0, ())),
            row.seen_at, row.disabled_at,
        )
        for row in session.exec(select(Member).order_by(*order))
    ]  # fmt: skip


def _way(row: Member) -> str:
    ways = [("password", row.password_hash), ("university", row.oidc_subject)]
    return " and ".join(name for name, has in ways if has) or "link"


def list_sessions(session: Session, actor: Actor) -> list[SessionLine]:
    """The actor's live browser sessions, newest first, at most 100."""
    rows = session.exec(select(Token).where(*_mine(actor)).order_by(col(Token.id).desc()).limit(100))
    return [
        SessionLine(row.id or 0, row.created_at, row.expires_at, row.id == actor.token_id) for row in rows
    ]


def end_own_session(session: Session, actor: Actor, token_id: int) -> None:
    """Signs one of the actor's browsers out. Raises NotFound for a session that is not theirs or is over."""
    ended = session.execute(
        update(Token).where(*_mine(actor), col(Token.id) == token_id).values(ended_at=now())
    )
    if ended.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound(f"There is no session {token_id} here.", "Look at the list again.")


def end_other_sessions(session: Session, actor: Actor) -> None:
    """Signs the actor out everywhere but here."""
    others = (*_mine(actor), col(Token.id) != actor.token_id)
    session.execute(update(Token).where(*others).values(ended_at=now()))


def _mine(actor: Actor) -> tuple[Any, ...]:
    return (
        col(Token.member_id) == actor.member_id,
        col(Token.kind) == TokenKind.SESSION,
        col(Token.ended_at).is_(None),
        col(Token.expires_at) > now(),
    )
