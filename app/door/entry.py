"""Who stands at the door, and which model they ask: one short read of the database for both. Called by answer.py and
chat_api.py.

A token is looked up at each call, so that a revoked one opens nothing from that moment on; only where the database tells
that nothing was written since, the last look counts. Where it cannot tell, what a name leads to is kept for two seconds.
"""

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlmodel import Session, col, select

from app.config import settings
from app.db import new_session
from app.door.target import Target
from app.door.targets import find_target
from app.door.threads import DATABASE, in_thread
from app.door.watch import seen
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


_kept: dict[Hashable, tuple[float, Entry]] = {}
# Who asked for what, as it was when the database stood at a number; and looks that are under way.
_known: dict[Hashable, tuple[int, float, Entry]] = {}
_looks: dict[Hashable, "asyncio.Future[Entry]"] = {}


async def let_in(secret: str, name: str) -> Entry:
    """enter(), in a thread, and only where the database may have changed since the same was asked."""
    number = seen()
    key = (settings().data, sha256(secret.encode("utf-8", "surrogatepass")).digest(), name)
    known = _known.get(key)
    if known is not None and known[0] == number and known[1] > time.monotonic():
        return known[2]
    if number is None:
        return await in_thread(DATABASE, enter, secret, name, True)
    # Many who come at the same moment look once.
    place = (key, number, id(asyncio.get_running_loop()))
    look = _looks.get(place)
    if look is None:
        look = _looks[place] = asyncio.ensure_future(in_thread(DATABASE, enter, secret, name))
        look.add_done_callback(lambda _: _looks.pop(place, None))
    entry = await asyncio.shield(look)
    # A service's target holds a key, which may be another for another member.
    if entry.target.is_free:
        if len(_known) >= MOST_KEPT:
            _known.clear()
        _known[key] = (number, time.monotonic() + KEPT_SECONDS, entry)
    return entry


def enter(secret: str, name: str, keeps: bool = False) -> Entry:
    """The bearer of a token, and the model by its name; with `keeps` as it was up to two seconds ago. Raises SignInNeeded
    for a token that opens nothing, ModelNotFound for a name that is none."""
    with new_session(write=False) as session:
        actor = acting(session, secret)
        return _kept_entry(session, actor, name) if keeps else _entry(session, actor, name)


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
    _known.clear()


def _entry(session: Session, actor: Actor, name: str) -> Entry:
    target = find_target(session, actor, name)
    records = select(Project.records_answers).where(col(Project.id) == actor.project_id)
    return Entry(actor, target, bool(session.exec(records).first()))


def _kept_entry(session: Session, actor: Actor, name: str) -> Entry:
    key = (settings().data, actor.project_id, name)
    found = _kept.get(key)
    if found is not None and found[0] > time.monotonic():
        return replace(found[1], actor=actor)
    entry = _entry(session, actor, name)
    if entry.target.is_free:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = (time.monotonic() + KEPT_SECONDS, entry)
    return entry
