"""The one table of allowed moves between a run's states. Every change goes through move()."""

from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from app.clock import now
from app.lab.reservations import settle
from app.runs.tell import tell_of_end
from app.storage import run_path
from app.stored_files import note
from app.tables import FINAL, Run, RunState

S = RunState
MOVES: dict[RunState, tuple[RunState, ...]] = {
    # To unknown, from here and preparing: cancelled after a restore, when a job that no row knows may be there.
    S.QUEUED: (S.PREPARING, S.SCORING, S.CANCELLED, S.FAILED, S.PAUSED, S.UNKNOWN),
    # Back to queued, from here to predicting: the worker's machine that it ran on is lost.
    # A run that only asks a model has nothing to submit.
    S.PREPARING: (S.SUBMITTING, S.PREDICTING, S.QUEUED, S.CANCELLED, S.FAILED, S.PAUSED, S.UNKNOWN),
    S.SUBMITTING: (S.TRAINING, S.QUEUED, S.CANCELLED, S.FAILED, S.UNKNOWN, S.PAUSED),
    # Back to submitting: the process was killed and is started again from its newest checkpoint.
    S.TRAINING: (S.PREDICTING, S.SCORING, S.SUBMITTING, S.QUEUED, S.CANCELLED, S.FAILED, S.PAUSED),
    S.PREDICTING: (S.SCORING, S.SUBMITTING, S.QUEUED, S.CANCELLED, S.FAILED, S.PAUSED),
    S.SCORING: (S.DONE, S.CANCELLED, S.FAILED),
    # Back to submitting: a person, or a service that makes it safe, lets the create be sent once more.
    S.UNKNOWN: (S.TRAINING, S.SUBMITTING, S.CANCELLED, S.FAILED, S.PAUSED),
    # It goes on where it stood: see app/runs/paused.py.
    S.PAUSED: (S.QUEUED, S.UNKNOWN, S.TRAINING, S.PREDICTING, S.CANCELLED, S.FAILED),
    # Items that got no answer from a service are asked again.
    S.DONE: (S.PREDICTING,),
    # A retry is the same run from the start of its life.
    S.FAILED: (S.QUEUED,),
    S.CANCELLED: (S.QUEUED,),
}


def move(session: Session, run: Run, to: RunState, **values: Any) -> bool:
    """Moves `run` from the state that `run` was read in to `to`, writing `values` as well.

    Returns False, changing nothing, when another process has moved it meanwhile. Raises ValueError for a
    move that the table does not allow.
    """
    before = RunState(run.state)
    if to not in MOVES[before]:
        raise ValueError(f"a run cannot go from {before} to {to}")
    if to in FINAL:
        values.setdefault("ended_at", now())
        values.setdefault("seconds_left", None)
    values.setdefault("progress", 0.0)
    values.setdefault("progress_note", "")
    values.setdefault("due_at", None)
    done = session.execute(
        update(Run).where(col(Run.id) == run.id, col(Run.state) == before).values(state=to, **values)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return False
    if to in FINAL:
        settle(session, run.id or 0)
        _keep_files(session, run.id or 0)
    tell_of_end(session, run, to, str(values.get("error", "")))
    # Workers hold a detached copy and read the row anew for their next step.
    if run in session:
        session.refresh(run)
    return True


def _keep_files(session: Session, run_id: int) -> None:
    """A run that is over has all its files; one that never began has none."""
    if (folder := run_path(run_id)).is_dir():
        note(session, folder)
