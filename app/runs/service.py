"""Changes to a run that a person asks for. The work itself is in steps.py and the hosted steps."""

from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col

from app.errors import Conflict
from app.lab.actor import Actor, find, require_member
from app.lab.reservations import reopen
from app.queue import ADVANCE_RUN, enqueue
from app.runs.away_tidy import forget_job
from app.runs.hosted import at_service
from app.runs.hosted_decide import cancel_paused, prepare_retry
from app.runs.lifecycle import move
from app.storage import remove, run_path
from app.stored_files import forget
from app.tables import FINAL, Run, RunMetric, RunState


def cancel_run(session: Session, actor: Actor, run_id: int) -> Run:
    """Asks for the end of a run. It is cancelled once its process has ended."""
    require_member(actor, "cancel runs")
    run: Run = find(session, actor, Run, run_id)
    if run.state in FINAL:
        raise Conflict(f"Run {run_id} is {run.state} already.", "There is nothing to cancel.")
    if run.state == RunState.PAUSED:
        if cancel_paused(session, run):
            enqueue(session, ADVANCE_RUN, run_id)
        else:
            # Nothing runs.
            move(session, run, RunState.CANCELLED, cancel_asked=True)
        return run
    run.cancel_asked = True
    run.due_at = None
    session.add(run)
    session.flush()
    enqueue(session, ADVANCE_RUN, run_id)
    return run


def retry_run(session: Session, actor: Actor, run_id: int) -> Run:
    """Starts a failed or cancelled run again from the beginning, with the same settings. A training that a service
    has finished is kept: only what comes after it is done again."""
    require_member(actor, "repeat runs")
    run: Run = find(session, actor, Run, run_id)
    if run.state not in (RunState.FAILED, RunState.CANCELLED):
        raise Conflict(
            f"Run {run_id} is {run.state}; only a failed or cancelled run can be retried.",
            "Clone it instead.",
        )
    if run.model.startswith("imported/"):
        raise Conflict("Imported predictions cannot be retried.", "Import the file again.")
    if "adopted" in run.snapshot:
        raise Conflict("A training made elsewhere cannot be repeated here.", "Adopt its folder again.")
    forget_job(session, run)
    trained = at_service(run) and prepare_retry(session, run)
    reopen(session, run, kept=trained)
    ledger = run.ledger if trained else _forget_resolved(run.ledger)
    moved = move(
        session,
        run,
        RunState.QUEUED,
        error="",
        hint="",
        cancel_asked=False,
        handle={},
        metrics_read=0,
        furthest=0.0,
        kills=0,
        started_at=None,
        ended_at=None,
        ledger=ledger,
        cost_microdollars=run.cost_microdollars if trained else 0,
    )
    if not moved:
        raise Conflict(f"Run {run_id} has moved on.", "Look at its page again.")
    if not trained:
        forget(session, run_path(run_id))
        remove(run_path(run_id))
        _forget_curves(session, run_id)
    enqueue(session, ADVANCE_RUN, run_id)
    return run


def _forget_resolved(ledger: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The ledger as it was opened: without what a service or a trainer added."""
    kept = {name: row for name, row in ledger.items() if row["asked"] is not None or row["sent"] is not None}
    return {
        name: {key: value for key, value in row.items() if key != "undisclosed_by"} | {"resolved": None}
        for name, row in kept.items()
    }


def _forget_curves(session: Session, run_id: int) -> None:
    session.execute(delete(RunMetric).where(col(RunMetric.run_id) == run_id))
