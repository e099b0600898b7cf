"""Who stands at the door, and which model they ask: one short read of the database for both. Called by answer.py and
chat_api.py, in a thread.

A token is looked up at each call, so that a revoked one opens nothing from that moment on. What a name leads to is kept
for two seconds.
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.config import settings
from app.db import new_session
from app.door.target import Target
from app.door.targets import find_target
from app.errors import SignInNeeded
from app.lab.actor import Actor
from app.lab.sign_in import actor_for
from app.tables import Project, TokenKind

KEPT_SECONDS = 2.0
MOST_KEPT = 2000


@dataclass(frozen=True)
class Entry:
    """Who asks which model; `records`: the project keeps what is asked and answered."""

    actor: Actor
    target: Target
    records: bool


_kept: dict[Hashable, tuple[float, Target, bool]] = {}


def enter(secret: str, name: str) -> Entry:
    """The bearer of a token, and the model by its name. Raises SignInNeeded for a token that opens nothing, ModelNotFound
    for a name that is none."""
    with new_session(write=False) as session:
        return _entry(session, acting(session, secret), name)


def enter_as(actor: Actor, name: str) -> Entry:
    """The same for somebody who is known."""
    with new_session(write=False) as session:
        return _entry(session, actor, name)


def acting(session: Session, secret: str) -> Actor:
    """The bearer of a token."""
    actor = actor_for(session, secret, TokenKind.API) if secret else None
    if actor is None:
        raise SignInNeeded("The API token is unknown or over.", "Make a new one with `tunebook token`.")
    return actor


def forget_targets() -> None:
    """What names lead to has changed: the next call looks anew."""
    _kept.clear()


def _entry(session: Session, actor: Actor, name: str) -> Entry:
    key = (settings().data, actor.project_id, name)
    found = _kept.get(key)
    if found is not None and found[0] > time.monotonic():
        return Entry(actor, found[1], found[2])
    target = find_target(session, actor, name)
    records = bool(
        session.exec(select(Project.records_answers).where(col(Project.id) == actor.project_id)).first()
    )
    # A service's target holds a key, which may be another for another member.
    if target.is_free:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = (time.monotonic() + KEPT_SECONDS, target, records)
    return Entry(actor, target, records)
