"""The lock of the test set: an experiment that chooses on validation hides its test scores until it is unlocked.

Everything that gives test scores or predictions asks here: newest scorings, scored runs, bundles, exports.
"""

from collections.abc import Iterable
from typing import Any

from sqlmodel import Session, col, select

from app.errors import Forbidden
from app.tables import Experiment, Run

VALIDATION = "validation"


def locked(experiment: Experiment) -> bool:
    """Whether the experiment's test scores are hidden now."""
    return experiment.choose_on == VALIDATION and experiment.unlocked_at is None


def not_locked() -> Any:
    """A condition for queries over runs: their test scores may be shown."""
    return col(Run.experiment_id).not_in(_locked_experiments())


def _locked_experiments() -> Any:
    return select(Experiment.id).where(
        Experiment.choose_on == VALIDATION, col(Experiment.unlocked_at).is_(None)
    )


def locked_runs(session: Session, run_ids: Iterable[int]) -> set[int]:
    """Those of the runs whose test scores are hidden now."""
    found = session.exec(
        select(Run.id).where(
            col(Run.id).in_(list(run_ids)), col(Run.experiment_id).in_(_locked_experiments())
        )
    )
    return {run_id or 0 for run_id in found}


def check_unlocked(session: Session, run_ids: Iterable[int]) -> None:
    """Raises Forbidden when any of the runs has hidden test scores."""
    hidden = locked_runs(session, run_ids)
    if hidden:
        raise Forbidden(
            f"The test set of run {min(hidden)} is locked: choose on validation first.",
            "Unlock it on the experiment's page when the choice is made; the unlocking is recorded.",
        )
