"""The task that advances a run by as many steps as can be taken without waiting; which steps depends on its place."""

from collections.abc import Callable, Mapping

from app.clock import now
from app.db import session_scope
from app.evaluations.finish import finish_run
from app.log import telling
from app.queue import ADVANCE_RUN, send, send_to
from app.runs import (
    away_poll,
    away_steps,
    hosted_cancel,
    hosted_end,
    hosted_look,
    hosted_poll,
    hosted_predict,
    hosted_prepare,
    hosted_submit,
    steps,
)
from app.runs.hosted import Place, Save, at_service, place_of
from app.runs.hosts import elsewhere
from app.runs.paused import paused
from app.tables import LOOKED_AT, Run, RunState
from workers.celery_app import celery
from workers.task import Lease, guarded, lease

Step = Callable[[Run, Save], None]
LOCAL: Mapping[RunState, Step] = {
    RunState.QUEUED: steps.queued,
    RunState.PREPARING: steps.preparing,
    RunState.SUBMITTING: steps.submitting,
    RunState.TRAINING: steps.training,
    RunState.PREDICTING: steps.training,
    RunState.SCORING: finish_run,
}
AWAY: Mapping[RunState, Step] = {
    RunState.QUEUED: away_steps.queued,
    RunState.PREPARING: away_steps.preparing,
    RunState.SUBMITTING: away_steps.submitting,
    RunState.UNKNOWN: away_steps.unknown,
    RunState.TRAINING: away_poll.training,
    RunState.PREDICTING: away_poll.training,
    RunState.SCORING: finish_run,
}
HOSTED: Mapping[RunState, Step] = {
    RunState.QUEUED: hosted_prepare.queued,
    RunState.PREPARING: hosted_prepare.preparing,
    RunState.SUBMITTING: hosted_submit.submitting,
    RunState.UNKNOWN: hosted_look.unknown,
    RunState.TRAINING: hosted_poll.training,
    RunState.PREDICTING: hosted_predict.predicting,
    RunState.SCORING: finish_run,
    RunState.PAUSED: paused,
}
PROMPT: Mapping[RunState, Step] = {
    RunState.QUEUED: hosted_predict.queued,
    RunState.PREPARING: hosted_predict.preparing,
    RunState.PREDICTING: hosted_predict.predicting,
    RunState.SCORING: finish_run,
    RunState.PAUSED: paused,
}
STEPS = {Place.LOCAL: LOCAL, Place.AWAY: AWAY, Place.HOSTED: HOSTED, Place.PROMPT: PROMPT}
CANCEL = {
    Place.LOCAL: steps.cancel,
    Place.AWAY: away_steps.cancel,
    Place.HOSTED: hosted_cancel.cancel,
    Place.PROMPT: hosted_cancel.cancel,
}
FAIL = {
    Place.LOCAL: steps.fail,
    Place.AWAY: away_steps.fail,
    Place.HOSTED: hosted_end.fail,
    Place.PROMPT: hosted_end.fail,
}


@celery.task(name=ADVANCE_RUN)
def advance(run_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken and does nothing."""
    if queue := elsewhere(run_id):
        send_to(queue, ADVANCE_RUN, run_id)
        return
    with telling(run=run_id), lease(Run, run_id, LOOKED_AT) as held:
        while held is not None and _step(held):
            pass
    if held is not None and _goes_on(run_id):
        send(ADVANCE_RUN, run_id)


def _step(held: Lease) -> bool:
    """One step; says whether another can follow at once."""
    run = held.read()
    place, before = place_of(run), RunState(run.state)
    # A paused run first gets its key back, also when it is to be cancelled.
    cancels = run.cancel_asked and before != RunState.PAUSED
    step = _cancel(place, before) if cancels else STEPS[place].get(before)
    if step is None:
        return False
    fail = FAIL[place]
    guarded(
        lambda: step(run, held.write), lambda message, hint: fail(run, held.write, message, hint), run.state
    )
    after = held.read()
    waits = after.due_at is not None and after.due_at > now()
    return after.state != before and after.state in STEPS[place] and not waits


def _cancel(place: Place, state: RunState) -> Step:
    predicts = place in (Place.HOSTED, Place.PROMPT) and state == RunState.PREDICTING
    return hosted_predict.cancel if predicts else CANCEL[place]


def _goes_on(run_id: int) -> bool:
    """Whether a run that asks a service has more to ask at once: another slice, by any worker."""
    with session_scope(write=False) as session:
        run = session.get(Run, run_id)
    if run is None or run.state != RunState.PREDICTING or not at_service(run):
        return False
    return run.due_at is None or run.due_at <= now()
