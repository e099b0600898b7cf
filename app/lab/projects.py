"""Projects: who sees which, and changes to them, which are an admin's. Called by the projects' pages and the API."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.lab.actor import Actor, open_to, require_admin
from app.lab.audit import record
from app.tables import Member, Project, ProjectMember, Role, Token, TokenKind

NAME_SIZE = 100
MOST = 200


@dataclass(frozen=True)
class ProjectLine:
    """One project that the actor may enter; `members` counts those that were added to it, admins see it anyway."""

    id: int
    name: str
    members: int
    archived_at: datetime | None
    current: bool
    # What is asked and answered at the door is kept.
    records_answers: bool


@dataclass(frozen=True)
class ProjectView:
    """A project with (id, name, role) of its members, and of those who could be added; admins need not be."""

    line: ProjectLine
    members: list[tuple[int, str, str]]
    others: list[tuple[int, str, str]]


def list_projects(session: Session, actor: Actor) -> list[ProjectLine]:
    """The projects that are open to the actor, archived ones last."""
    members = (
        select(func.count())
        .select_from(ProjectMember)
        .where(ProjectMember.project_id == Project.id)
        .scalar_subquery()
    )
    rows = session.exec(
        select(Project, members)
        .where(open_to(actor.member_id, actor.role))
        .order_by(col(Project.archived_at).is_not(None), func.lower(Project.name), col(Project.id))
        .limit(MOST)
    )
    return [_line(actor, row, count) for row, count in rows]


def _line(actor: Actor, row: Project, members: int) -> ProjectLine:
    current = row.id == actor.project_id
    return ProjectLine(row.id or 0, row.name, members, row.archived_at, current, row.records_answers)


def find_project(session: Session, actor: Actor, project_id: int) -> Project:
    """The project, if it is open to the actor; else NotFound, which does not tell whether it exists."""
    mine = open_to(actor.member_id, actor.role)
    row = session.exec(select(Project).where(Project.id == project_id, mine)).first()
    if row is None:
        raise NotFound(f"There is no project {project_id} here.", "Look at the list of projects.")
    return row


def view_project(session: Session, actor: Actor, project_id: int) -> ProjectView:
    """A project and its members. Only admins are told whom they could add."""
    row = find_project(session, actor, project_id)
    inside = select(ProjectMember.member_id).where(ProjectMember.project_id == project_id)
    people = select(Member.id, Member.name, Member.role).order_by(func.lower(Member.name), col(Member.id))
    live = col(Member.disabled_at).is_(None)
    members = _people(session, people.where(col(Member.id).in_(inside)))
    others = people.where(col(Member.id).not_in(inside), live, col(Member.role) != Role.ADMIN)
    more = _people(session, others) if actor.is_admin else []
    return ProjectView(_line(actor, row, len(members)), members, more)


def _people(session: Session, query: Any) -> list[tuple[int, str, str]]:
    return [(key, name, role) for key, name, role in session.exec(query)]


def make_project(session: Session, actor: Actor, name: str) -> Project:
    """A new, empty project. Raises Invalid for a name that cannot be used."""
    require_admin(actor, "make projects")
    row = Project(name=_checked(session, name))
    session.add(row)
    session.flush()
    record(session, actor, "changed", "project: made", row.id, name=row.name)
    return row


def rename_project(session: Session, actor: Actor, project_id: int, name: str) -> Project:
    """Gives it another name. Raises Invalid for one that cannot be used."""
    require_admin(actor, "rename projects")
    row = find_project(session, actor, project_id)
    row.name = _checked(session, name, project_id)
    session.flush()
    record(session, actor, "changed", "project: renamed", row.id, name=row.name)
    return row


def record_answers(session: Session, actor: Actor, project_id: int, records: bool) -> Project:
    """From now on the questions and answers at the door are kept, or no longer; what was kept stays."""
    require_admin(actor, "have answers recorded")
    row = find_project(session, actor, project_id)
    if row.records_answers != records:
        row.records_answers = records
        session.flush()
        record(session, actor, "changed", "project: records answers", row.id, records=records)
    return row


def _checked(session: Session, name: str, own: int = 0) -> str:
    name, wrong = name.strip(), ""
    if not name:
        wrong = "Give the project a name."
    elif len(name) > NAME_SIZE or not name.isprintable():
        wrong = f"Use at most {NAME_SIZE} characters that can be printed."
    elif any(
        other.casefold() == name.casefold() and key != own
        for key, other in session.exec(select(Project.id, Project.name))
    ):
        wrong = "There is a project of this name."
    if wrong:
        raise Invalid(f"The project's name cannot be used: {wrong}", "", {"name": wrong})
    return name


def archive_project(session: Session, actor: Actor, project_id: int, archived: bool) -> Project:
    """Closes a project to changes, or opens it again. What is under way there runs to its end."""
    require_admin(actor, "archive projects")
    row = find_project(session, actor, project_id)
    live = select(func.count()).select_from(Project)
    others = session.exec(live.where(col(Project.archived_at).is_(None), col(Project.id) != project_id)).one()
    if archived and not others:
        raise Conflict(f"{row.name} is the only project that is open.", "Make another one first.")
    row.archived_at = (row.archived_at or now()) if archived else None
    session.flush()
    record(session, actor, "changed", "project: archived" if archived else "project: reopened", row.id)
    return row


def add_to_project(session: Session, actor: Actor, project_id: int, member_id: int) -> None:
    """Opens the project to a member; twice changes nothing."""
    require_admin(actor, "say who is in a project")
    find_project(session, actor, project_id)
    member = session.get(Member, member_id)
    if member is None or member.disabled_at is not None:
        raise Invalid("There is no such member.", "Choose somebody of the list.", {"member": "choose one"})
    if session.get(ProjectMember, (project_id, member_id)) is None:
        session.add(ProjectMember(project_id=project_id, member_id=member_id))
        session.flush()
        record(session, actor, "changed", "project: member added", project_id, member=member.name)


def remove_from_project(session: Session, actor: Actor, project_id: int, member_id: int) -> None:
    """Closes the project to a member at once, and ends their API tokens for it. What they made stays."""
    require_admin(actor, "say who is in a project")
    find_project(session, actor, project_id)
    row = session.get(ProjectMember, (project_id, member_id))
    if row is None:
        raise NotFound(f"Member {member_id} is not in this project.", "Look at the page again.")
    session.delete(row)
    member = session.get_one(Member, member_id)
    if member.role != Role.ADMIN:
        session.execute(
            update(Token)
            .where(
                col(Token.member_id) == member_id,
                col(Token.project_id) == project_id,
                col(Token.kind).in_((TokenKind.API, TokenKind.SHARE)),
                col(Token.ended_at).is_(None),
            )
            .values(ended_at=now())
        )
    session.flush()
    record(session, actor, "changed", "project: member removed", project_id, member=member.name)


def enter_project(session: Session, actor: Actor, project_id: int) -> Project:
    """The browser's session works in that project from now on. Raises Forbidden for an API token."""
    row = find_project(session, actor, project_id)
    mine = (col(Token.id) == actor.token_id, col(Token.kind) == TokenKind.SESSION)
    moved = session.execute(update(Token).where(*mine).values(project_id=row.id))
    if moved.rowcount != 1:  # type: ignore[attr-defined]
        raise Forbidden("An API token works in the project it was made in.", "Make a token in that project.")
    session.flush()
    return row
