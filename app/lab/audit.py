"""The audit log: who launched, spent, read a test set, downloaded, changed. Services call `record`; what they do not
record by themselves the web layer does (app/web/audit.py), so that no change goes without a line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.lab.actor import Actor, require_admin
from app.tables import AuditEntry, Member, Project

PAGE = 50
CSV_PIECE = 1000
ACTIONS = ("launched", "spent", "read", "downloaded", "changed", "signed in", "refused")
# What a session remembers while it is open: that something was recorded, and by what the actor came.
RECORDED, BY = "audit recorded", "audit by"


@dataclass(frozen=True)
class AuditFilter:
    """What the list is narrowed to; empty values narrow nothing. Days are UTC, both included."""

    member_id: int = 0
    project_id: int = 0
    action: str = ""
    noun: str = ""
    first_day: str = ""
    last_day: str = ""


@dataclass(frozen=True)
class AuditLine:
    """One entry as the page, the CSV and the API show it."""

    id: int
    at: datetime
    member: str
    by: str
    project: str
    action: str
    noun: str
    object_id: int | None
    about: dict[str, Any]

    @property
    def said(self) -> str:
        """What else is known, in one line."""
        told = [(name, value) for name, value in self.about.items() if value not in ("", None)]
        return ", ".join(str(value) if name == "name" else f"{name} {value}" for name, value in told)


def record(
    session: Session, actor: Actor | None, action: str, noun: str, object_id: int | None = None, **about: Any
) -> None:
    """Adds one entry to the caller's transaction, so that it stands exactly when the change does."""
    # What follows from a change does not stand for the change itself.
    session.info[RECORDED] = session.info.get(RECORDED, False) or action not in ("spent", "read")
    session.add(
        AuditEntry(
            project_id=(actor.project_id or None) if actor else None,
            member_id=actor.member_id if actor else None,
            member_name=actor.name if actor else "",
            by=session.info.get(BY, ""),
            action=action,
            noun=noun,
            object_id=object_id,
            about=about,
        )
    )


def list_audit(
    session: Session, actor: Actor, chosen: AuditFilter, before: int | None = None
) -> list[AuditLine]:
    """The newest PAGE entries, or those before an id. Raises Forbidden for anybody but an admin."""
    require_admin(actor, "read the audit log")
    return _lines(session, chosen, before, PAGE)


def all_audit(session: Session, actor: Actor, chosen: AuditFilter) -> Iterator[AuditLine]:
    """Every entry, newest first, read in pieces. Raises Forbidden, at once, for anybody but an admin."""
    require_admin(actor, "read the audit log")
    return _pieces(session, chosen)


def last_backup(session: Session) -> datetime | None:
    """When `tunebook backup` was last done; None for never, as far as this database knows."""
    made = (AuditEntry.action == "downloaded", AuditEntry.noun == "backup")
    return session.exec(select(func.max(AuditEntry.at)).where(*made)).one()


def members_and_projects(session: Session) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """What the filter offers: (id, name) of every member and of every project."""
    members = session.exec(select(Member.id, Member.name).order_by(col(Member.name))).all()
    projects = session.exec(select(Project.id, Project.name).order_by(col(Project.name))).all()
    return [(row or 0, name) for row, name in members], [(row or 0, name) for row, name in projects]


def not_read_yet(session: Session, actor: Actor, experiment_ids: Iterable[int]) -> list[int]:
    """Those of the experiments whose test scores this member has not read so far."""
    asked = sorted(experiment_ids)
    read = select(AuditEntry.object_id).where(
        col(AuditEntry.member_id) == actor.member_id,
        col(AuditEntry.action) == "read",
        col(AuditEntry.object_id).in_(asked),
    )
    known = set(session.exec(read))
    return [experiment_id for experiment_id in asked if experiment_id not in known]


def _pieces(session: Session, chosen: AuditFilter) -> Iterator[AuditLine]:
    before: int | None = None
    while lines := _lines(session, chosen, before, CSV_PIECE):
        yield from lines
        before = lines[-1].id


def _lines(session: Session, chosen: AuditFilter, before: int | None, most: int) -> list[AuditLine]:
    found = (
        select(AuditEntry, Project.name)
        .join(Project, col(Project.id) == col(AuditEntry.project_id), isouter=True)
        .where(*_where(chosen))
        .order_by(col(AuditEntry.id).desc())
        .limit(most)
    )
    if before is not None:
        found = found.where(col(AuditEntry.id) < before)
    return [
        AuditLine(
            row.id or 0, row.at, row.member_name, row.by, project or "", row.action, row.noun,
            row.object_id, row.about,
        )
        for row, project in session.exec(found)
    ]  # fmt: skip


def _where(chosen: AuditFilter) -> list[Any]:
    same = {
        AuditEntry.member_id: chosen.member_id,
        AuditEntry.project_id: chosen.project_id,
        AuditEntry.action: chosen.action,
        AuditEntry.noun: chosen.noun,
    }
    where = [col(column) == value for column, value in same.items() if value]
    if first := _day(chosen.first_day):
        where.append(col(AuditEntry.at) >= first)
    if last := _day(chosen.last_day):
        where.append(col(AuditEntry.at) < last + timedelta(days=1))
    return where


def _day(text: str) -> datetime | None:
    """Midnight of a day written as 2026-11-25; None for anything else, which narrows nothing."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None
    except ValueError:
        return None
