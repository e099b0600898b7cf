"""How often a test set was looked at while choosing. Pure reads note that test scores were given; what was noted
is stored by the web once the request is over (app/web/session.py).

A look counts when another experiment was launched on the same split after it. Opening scores again before the
next launch is the same look: nothing more can have been chosen by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from app.clock import now
from app.db import is_sqlite, session_scope
from app.lab.actor import Actor
from app.lab.audit import BY, not_read_yet, record
from app.tables import Experiment, Look

NOTED = "looked"


@dataclass(frozen=True)
class Looks:
    """Looks followed by a launch, on one split: before one experiment's launch, and before the last one's."""

    before_this: int
    before_last: int

    @property
    def sentence(self) -> str:
        """In words, as the experiment page and the Methods paragraph say it."""
        how_often = f"looked at {times(self.before_last)}" if self.before_last else "never looked at"
        said = f"The test set was {how_often} before the last launch on this split"
        if self.before_this == self.before_last:
            return f"{said}."
        return f"{said}, {times(self.before_this)} before this one."


def times(number: int) -> str:
    """ "3 times", "once", "never"; a number of times in words."""
    return ("never", "once")[number] if number < 2 else f"{number:,} times"


def note_look(session: Session, experiment_ids: Iterable[int]) -> None:
    """Remembers with the session that test scores of these experiments were given."""
    session.info.setdefault(NOTED, set()).update(experiment_ids)


def store_looks(session: Session, actor: Actor) -> None:
    """Stores what was noted, in a transaction of its own and only where it is not stored yet: the look, and in the
    audit log that this member read the experiment's test set."""
    noted = session.info.pop(NOTED, set())
    if not noted:
        return
    with session_scope(write=False) as reading:
        fresh, unread = _fresh(reading, noted), not_read_yet(reading, actor, noted)
    if not fresh and not unread:
        return
    with session_scope() as writing:
        writing.info[BY] = session.info.get(BY, "")
        for experiment_id in unread:
            record(writing, actor, "read", "test set", experiment_id)
        for split_id, newest in _fresh(writing, noted):
            values = {"split_id": split_id, "newest_experiment_id": newest, "member_id": actor.member_id}
            _insert(writing, values)


def _insert(session: Session, values: dict[str, int]) -> None:
    insert: Any = sqlite.insert if is_sqlite(session) else postgresql.insert
    # Two requests at once may note the same look.
    session.execute(insert(Look).values(**values, at=now()).on_conflict_do_nothing())


def _fresh(session: Session, experiment_ids: Iterable[int]) -> list[tuple[int, int]]:
    """(split, its newest experiment) of looks that are not stored yet."""
    splits = select(Experiment.split_id).where(col(Experiment.id).in_(list(experiment_ids)))
    newest = session.exec(
        select(Experiment.split_id, func.max(Experiment.id))
        .where(col(Experiment.split_id).in_(splits))
        .group_by(col(Experiment.split_id))
    ).all()
    stored = set(
        session.exec(
            select(Look.split_id, Look.newest_experiment_id).where(
                col(Look.split_id).in_([split for split, _ in newest])
            )
        )
    )
    return [(split, experiment or 0) for split, experiment in newest if (split, experiment) not in stored]


def count_looks(session: Session, experiment: Experiment) -> Looks:
    """Looks that were followed by a launch on the experiment's split."""
    last = session.exec(
        select(func.max(Experiment.id)).where(Experiment.split_id == experiment.split_id)
    ).one()
    found = session.exec(select(Look.newest_experiment_id).where(Look.split_id == experiment.split_id)).all()
    return Looks(
        sum(newest < (experiment.id or 0) for newest in found), sum(newest < (last or 0) for newest in found)
    )
