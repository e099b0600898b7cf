"""Tells a run's maker when it failed or waits, and when its experiment is over. Called by app/runs/lifecycle.py."""

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.clock import now
from app.format import plural
from app.lab.notifications import DONE, FAILED, WAITING, Note, tell
from app.tables import FINAL, Experiment, Run, RunState

WAITS = {
    RunState.PAUSED: "waits",
    RunState.UNKNOWN: "is not confirmed by the service",
}


def tell_of_end(session: Session, run: Run, state: RunState, error: str) -> None:
    """In the transaction that moved the run. What happens to the run again, after a retry, is told again."""
    if state == RunState.FAILED or state in WAITS:
        said = "failed" if state == RunState.FAILED else WAITS[state]
        title = f"Run {run.id} ({run.model}) {said}"
        kind = FAILED if state == RunState.FAILED else WAITING
        key = f"run {run.id} {state} {now():%Y%m%d%H%M}"
        tell(session, run.maker_id, Note(kind, key, title, error, f"/runs/{run.id}", run.project_id))
    if state in FINAL:
        _experiment(session, run)


def _experiment(session: Session, run: Run) -> None:
    # Of two runs that end at the same time the second waits here for the first, and then sees its end.
    name = session.exec(
        select(Experiment.name).where(Experiment.id == run.experiment_id).with_for_update(key_share=True)
    ).one()
    found = session.execute(
        select(Run.state, func.count())
        .where(col(Run.experiment_id) == run.experiment_id)
        .group_by(col(Run.state))
    )
    states = {RunState(state): count for state, count in found}
    if any(state not in FINAL for state in states):
        return
    counts = ", ".join(
        f"{states[state]} {word}"
        for state, word in (
            (RunState.DONE, "done"),
            (RunState.FAILED, "failed"),
            (RunState.CANCELLED, "cancelled"),
        )
        if states.get(state)
    )
    key = f"experiment {run.experiment_id} over {now():%Y%m%d%H%M}"
    title = f"{name}: {plural(sum(states.values()), 'run')} over"
    href = f"/experiments/{run.experiment_id}"
    tell(session, run.maker_id, Note(DONE, key, title, f"{counts.capitalize()}.", href, run.project_id))
