"""The acting member. Every service and query takes one first, so that roles need no rewrite later."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, select
from sqlmodel.sql.expression import SelectOfScalar

from app.errors import Forbidden, NotFound
from app.tables import Member, Project


@dataclass(frozen=True)
class Actor:
    """Who acts, and the project they work in."""

    member_id: int
    project_id: int
    name: str
    role: str


def require_admin(actor: Actor, what: str) -> None:
    """Raises Forbidden unless the actor is an admin; `what` is what only an admin may do."""
    if actor.role != "admin":
        raise Forbidden(f"Only an admin may {what}.", "Ask an admin of your lab.")


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
        noun = table.__name__.lower()
        raise NotFound(f"There is no {noun} {row_id} here.", f"Look for it in the list of {noun}s.")
    return row
