"""Ends the processes of this machine's runs when Tunebook stops, so that they go on when it starts again.

Called by the supervisor once the worker is gone, which would start them anew.
"""

from concurrent.futures import ThreadPoolExecutor

from sqlmodel import Session, col, select

from app.compute import local
from app.config import settings
from app.db import new_session, session_scope
from app.runs import outputs
from app.runs.lifecycle import move
from app.storage import run_folder
from app.tables import Run, RunState, Slot

STARTED = (RunState.SUBMITTING, RunState.TRAINING, RunState.PREDICTING)
NOTE = "stopped with Tunebook; it goes on from its newest checkpoint when Tunebook starts again"


def interrupt_runs(grace_seconds: float) -> int:
    """Ends every run's process on this machine, all at once, and says how many there were.

    Such a run is submitted again at the next start. Unlike a kill from outside, this does not count towards
    the kills after which a run is given up.
    """
    with new_session(write=False) as session:
        # What holds a place of another machine is not for us to look at.
        here = select(Slot.run_id).where(Slot.machine == settings().machine_name)
        runs = list(session.exec(select(Run).where(col(Run.state).in_(STARTED), col(Run.id).in_(here))))
    with ThreadPoolExecutor(max_workers=max(1, len(runs))) as pool:
        return sum(pool.map(lambda run: _interrupt(run, grace_seconds), runs))


def _interrupt(run: Run, grace_seconds: float) -> bool:
    folder = run_folder(run.id or 0)
    handle = local.find(folder, run.launch_key)
    if handle is None:
        return False
    local.cancel(handle, grace_seconds)
    if run.state != RunState.SUBMITTING and outputs.read_exit_code(folder) is None:
        with session_scope() as session:
            _back_to_submitting(session, run)
    return True


def _back_to_submitting(session: Session, run: Run) -> None:
    move(session, run, RunState.SUBMITTING, progress_note=NOTE, owner=None, lease_until=None)
