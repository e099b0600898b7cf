"""The task that advances a run by as many steps as can be taken without waiting."""

from app.clock import now
from app.evaluations.finish import finish_run
from app.queue import ADVANCE_RUN
from app.runs import steps
from app.tables import ACTIVE, Run, RunState
from workers.celery_app import celery
from workers.task import Lease, guarded, lease

STEPS = {
    RunState.QUEUED: steps.queued,
    RunState.PREPARING: steps.preparing,
    RunState.SUBMITTING: steps.submitting,
    RunState.TRAINING: steps.training,
    RunState.PREDICTING: steps.training,
    RunState.SCORING: finish_run,
}


@celery.task(name=ADVANCE_RUN)
def advance(run_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken and does nothing."""
    with lease(Run, run_id, ACTIVE) as held:
        while held is not None and _step(held):
            pass


def _step(held: Lease) -> bool:
    """One step; says whether another can follow at once."""
    run = held.read()
    if run.state not in STEPS and not run.cancel_asked:
        return False
    before = run.state

    step = steps.cancel if run.cancel_asked else STEPS[RunState(run.state)]
    guarded(
        lambda: step(run, held.write),
        lambda message, hint: steps.fail(run, held.write, message, hint),
        run.state,
    )
    after = held.read()
    waits = after.due_at is not None and after.due_at > now()
    return after.state != before and after.state in STEPS and not waits
