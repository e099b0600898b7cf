"""Which project a session or an API token works in now, and as whom. Called by app/lab/sign_in.py."""

from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlmodel import Session, col, select

from app.lab.actor import Actor, open_to
from app.tables import Member, Project, ProjectMember, Role, Token, TokenKind


def actor_of(session: Session, token: Token, member: Member) -> Actor | None:
    """The actor that a live token stands for: with the role that the member has now, in the token's project.

    A session whose project is closed to the member goes on in their first project, or in none (project 0); an API
    token works in the project it was made in and nowhere else. None for a disabled member.
    """
    if member.disabled_at is not None:
        return None
    project = _project(session, token, member)
    if project is None and token.kind == TokenKind.API:
        return None
    return Actor(
        member.id or 0,
        (project.id or 0) if project else 0,
        member.name,
        member.role,
        token.scope,
        bool(project and project.archived_at),
        token.id or 0,
    )


def _project(session: Session, token: Token, member: Member) -> Project | None:
    found = select(Project).where(open_to(member.id or 0, member.role))
    if token.kind == TokenKind.API and token.project_id is not None:
        return session.exec(found.where(Project.id == token.project_id)).first()
    wanted = col(Project.id) == (token.project_id or 0)
    return session.exec(
        found.order_by(wanted.desc(), col(Project.archived_at).is_not(None), col(Project.id)).limit(1)
    ).first()


def in_own_project(project: Any, digest: Any, moment: Any) -> ColumnElement[bool]:
    """A condition on a column of projects: the session whose secret has this digest is live at `moment` and works there.

    The same as actor_of() in one query, but for a session that goes on in another project than it was in.
    """
    theirs = select(ProjectMember.member_id).where(
        ProjectMember.project_id == project, ProjectMember.member_id == Member.id
    )
    return (
        select(Token.id)
        .join(Member, col(Member.id) == Token.member_id)
        .where(
            Token.digest == digest,
            Token.kind == TokenKind.SESSION,
            Token.project_id == project,
            col(Token.ended_at).is_(None),
            col(Token.expires_at) > moment,
            col(Member.disabled_at).is_(None),
            or_(col(Member.role) == Role.ADMIN, theirs.exists()),
        )
        .exists()
    )
