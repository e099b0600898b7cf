"""What members are told: that runs ended, failed or wait, that money runs low. Services call `tell`; pages list.

A notification has a key, so that telling the same thing twice is impossible. It stands in the app at once; what goes
out by e-mail or webhook is a row of its own (app/lab/channels.py) that a worker sends.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.clock import now
from app.db import is_sqlite
from app.lab.actor import Actor
from app.queue import DELIVER, enqueue
from app.tables import Channel, Delivery, Member, Notification, Role

MOST = 100
DONE, FAILED, WAITING, MONEY, LAB = KINDS = ("done", "failed", "waiting", "money", "lab")
WORDS = {
    DONE: "experiments that are done",
    FAILED: "runs that failed",
    WAITING: "runs that wait for a person",
    MONEY: "money that runs low, and requests for more",
    LAB: "members and projects",
}


@dataclass(frozen=True)
class Note:
    """What is to be told. `key` is the same for the same event, whoever tells it again."""

    kind: str
    key: str
    title: str
    text: str = ""
    href: str = ""
    project_id: int | None = None


@dataclass(frozen=True)
class NoteLine:
    """One line of a member's list."""

    id: int
    kind: str
    title: str
    text: str
    href: str
    created_at: datetime
    read: bool


def tell(session: Session, member_id: int, note: Note, through: Channel | None = None) -> bool:
    """Tells a member, in the app and through the channels that want this kind, or through one alone. False when they
    know already."""
    insert: Any = sqlite.insert if is_sqlite(session) else postgresql.insert
    made = session.execute(
        insert(Notification)
        .values(
            member_id=member_id, project_id=note.project_id, key=f"{member_id} {note.key}"[:200],
            kind=note.kind, title=note.title[:300], text=note.text[:2000], href=note.href[:500],
            created_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(Notification.id)
    ).scalar()  # fmt: skip
    if made is None:
        return False
    channels = session.exec(select(Channel).where(Channel.member_id == member_id)).all()
    wanting = [channel for channel in channels if note.kind in channel.kinds.split()]
    for channel in [through] if through else wanting:
        delivery = Delivery(notification_id=made, channel_id=channel.id or 0)
        session.add(delivery)
        session.flush()
        enqueue(session, DELIVER, delivery.id or 0)
    return True


def tell_admins(session: Session, note: Note, but: int = 0) -> None:
    """Tells every admin who is not disabled, except the member `but`."""
    admins = select(Member.id).where(Member.role == Role.ADMIN, col(Member.disabled_at).is_(None))
    for member_id in session.exec(admins).all():
        if member_id != but:
            tell(session, member_id or 0, note)


def list_notes(session: Session, actor: Actor, kinds: Iterable[str] = KINDS) -> list[NoteLine]:
    """The member's newest notifications, at most MOST."""
    rows = session.exec(
        select(Notification)
        .where(Notification.member_id == actor.member_id, col(Notification.kind).in_(list(kinds)))
        .order_by(col(Notification.id).desc())
        .limit(MOST)
    )
    return [
        NoteLine(
            row.id or 0, row.kind, row.title, row.text, row.href, row.created_at, row.read_at is not None
        )
        for row in rows
    ]


def unread(session: Session, actor: Actor) -> int:
    """How many notifications the member has not read."""
    return session.exec(unread_of(actor)).one()


def unread_of(actor: Actor) -> SelectOfScalar[int]:
    """The query of that number, for pages that ask several things at once."""
    return select(func.count()).select_from(Notification).where(*_unread(actor))


def mark_read(session: Session, actor: Actor, note_id: int | None = None) -> None:
    """One, or all of the member's notifications, are read from now on; repeating it changes nothing."""
    where = [*_unread(actor), *([Notification.id == note_id] if note_id is not None else [])]
    session.execute(update(Notification).where(*where).values(read_at=now()))


def _unread(actor: Actor) -> list[Any]:
    return [Notification.member_id == actor.member_id, col(Notification.read_at).is_(None)]
