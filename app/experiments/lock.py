"""Unlocking the test set of an experiment that chose on validation. Called by routes and API."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Conflict
from app.format import moment, plural
from app.lab.actor import Actor, find, require_member
from app.runs.lock import VALIDATION, locked
from app.tables import Experiment, Member, Run


@dataclass(frozen=True)
class LockView:
    """The lock as it stands: whether there is one, and by whom, when and after how many runs it was opened."""

    choose_on: str
    locked: bool
    unlocked_at: datetime | None
    unlocked_by: str
    unlocked_runs: int

    @property
    def sentence(self) -> str:
        """What pages and exports say; empty for an experiment without a lock."""
        if not self.choose_on:
            return ""
        if self.unlocked_at is None:
            return "Models are chosen on validation. The test set is locked."
        return (
            f"Models were chosen on validation. The test set was unlocked by {self.unlocked_by} on "
            f"{moment(self.unlocked_at)} UTC, when the experiment had {plural(self.unlocked_runs, 'run')}."
        )


def lock_view(session: Session, experiment: Experiment) -> LockView:
    """Reads who unlocked it, too."""
    member = session.get(Member, experiment.unlocked_by) if experiment.unlocked_by else None
    return LockView(
        experiment.choose_on,
        locked(experiment),
        experiment.unlocked_at,
        member.name if member else "",
        experiment.unlocked_runs,
    )


def unlock_test(session: Session, actor: Actor, experiment_id: int) -> Experiment:
    """Shows the test scores from now on; recorded for good. Raises Conflict when nothing is locked."""
    require_member(actor, "unlock the test items")
    experiment: Experiment = find(session, actor, Experiment, experiment_id)
    runs = session.exec(select(func.count()).select_from(Run).where(Run.experiment_id == experiment_id)).one()
    done = session.execute(
        update(Experiment)
        .where(
            col(Experiment.id) == experiment_id,
            col(Experiment.choose_on) == VALIDATION,
            col(Experiment.unlocked_at).is_(None),
        )
        .values(unlocked_at=now(), unlocked_by=actor.member_id, unlocked_runs=runs)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("The test set of this experiment is not locked.", "Look at its page again.")
    session.refresh(experiment)
    return experiment
