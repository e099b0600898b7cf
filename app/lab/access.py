"""Which project a session or an API token works in now, and as whom. Called by app/lab/sign_in.py."""

from sqlmodel import Session, col, select

from app.lab.actor import Actor, open_to
from app.tables import Member, Project, Token, TokenKind


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
