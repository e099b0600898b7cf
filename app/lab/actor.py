"""The acting member: what their role lets them do, and the rows of their project. Every service and query takes
one first."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, true
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.errors import Forbidden, NotFound
from app.tables import Member, Project, ProjectMember, Role, Scope


@dataclass(frozen=True)
class Actor:
    """Who acts, and the project they work in (0: none is open to them)."""

    member_id: int
    project_id: int
    name: str
    role: str
    # Of an API token; a browser's session has WRITE.
    scope: str = Scope.WRITE
    # Nothing in an archived project changes any more.
    archived: bool = False
    # The session or API token by which they came; 0 for workers and the command line.
    token_id: int = 0

    @property
    def is_admin(self) -> bool:
        """Whether the role is admin, whatever the token's scope."""
        return self.role == Role.ADMIN


def require_admin(actor: Actor, what: str) -> None:
    """Raises Forbidden unless the actor is an admin; `what` is what only an admin may do."""
    if actor.role != Role.ADMIN:
        raise Forbidden(f"Only an admin may {what}.", "Ask an admin of your lab.")


def require_member(actor: Actor, what: str) -> None:
    """Raises Forbidden unless the actor may change things in their project; `what` is what they were about to do."""
    reason, hint = why_not(actor)
    if reason:
        raise Forbidden(f"You may not {what}: {reason}.", hint)


def why_not(actor: Actor) -> tuple[str, str]:
    """Why the actor may change nothing in their project, and how to mend it; two empty texts when they may."""
    if actor.role not in (Role.ADMIN, Role.MEMBER):
        return "your role is viewer", "A viewer looks and downloads. Ask an admin to make you a member."
    if actor.scope != Scope.WRITE:
        return "this API token only reads", "Make a token that may also launch and change."
    if not actor.project_id:
        return "you are in no project", "Ask an admin to add you to one."
    if actor.archived:
        return "this project is archived", "Switch to another project, or ask an admin to bring it back."
    return "", ""


def first_actor(session: Session) -> Actor:
    """The one admin and project that a laptop has; made on first use."""
    member = session.exec(select(Member).order_by(Member.id)).first()  # type: ignore[arg-type]
    project = session.exec(select(Project).order_by(Project.id)).first()  # type: ignore[arg-type]
    if member is None or project is None:
        member = member or Member(name="Lab", role="admin")
        project = project or Project(name="Lab")
        session.add_all([member, project])
        session.flush()
    return Actor(member.id or 0, project.id or 0, member.name, member.role)


def owned(actor: Actor, table: type[Any]) -> SelectOfScalar[Any]:
    """A select over the rows of `table` that the actor may see."""
    return select(table).where(table.project_id == actor.project_id)


def find(session: Session, actor: Actor, table: type[Any], row_id: int) -> Any:
    """The row, if the actor may see it; else NotFound, which does not tell whether it exists."""
    row = session.exec(owned(actor, table).where(table.id == row_id)).first()
    if row is None:
        raise missing(session, actor, table, row_id)
    return row


def missing(session: Session, actor: Actor, table: type[Any], row_id: int) -> NotFound:
    """The error for a row that is not in the actor's project; it offers another project of theirs that has it."""
    noun = table.__name__.lower()
    place = session.exec(
        select(Project)
        .join(table, table.project_id == Project.id)
        .where(table.id == row_id, open_to(actor.member_id, actor.role))
    ).first()
    if place is None:
        return NotFound(f"There is no {noun} {row_id} here.", f"Look for it in the list of {noun}s.")
    error = NotFound(
        f"The {noun} {row_id} is in another project of yours, {place.name}.",
        f"Switch to {place.name} to see it.",
    )
    error.project = (place.id or 0, place.name)
    return error


def open_to(member_id: int, role: str) -> ColumnElement[bool]:
    """A condition on Project: the member may enter it."""
    if role == Role.ADMIN:
        return true()
    mine = select(ProjectMember.project_id).where(ProjectMember.member_id == member_id)
    return col(Project.id).in_(mine)
