"""What becomes of a hosted run when a step meets an error that it did not foresee. Called by workers/runs.py.

While a job may run at the service the run is never given up for a fault of ours: it would cost money unseen.
"""

from app.clock import in_seconds
from app.db import session_scope
from app.providers._shapes import ENDED
from app.runs.hosted import Save, find_row, pause_seconds, put, set_run
from app.runs.hosted_submit import lost
from app.runs.lifecycle import move
from app.tables import Run, RunState, Sent


def fail(run: Run, save: Save, message: str, hint: str) -> None:
    """Fails the run where nothing can be running; looks for a job that may have been made; else tries again."""
    with session_scope(write=False) as session:
        row = find_row(session, run.id)
    if row is None or row.sent in (Sent.NO, Sent.REFUSED) or row.phase in ENDED:
        with save() as session:
            move(session, run, RunState.FAILED, error=message[:2000], hint=hint[:2000])
        return
    with save() as session:
        if row.sent == Sent.SENDING and run.state == RunState.SUBMITTING:
            lost(session, run, message)
            return
        later = in_seconds(pause_seconds(row.failures))
        put(session, run, failures=row.failures + 1, trouble=message[:1000], wait_until=later)
        set_run(session, run, due_at=later, progress_note=f"tries again: {message}"[:300])
