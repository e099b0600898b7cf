"""The task that works on a judging, a slice of some seconds at a time."""

from app.clock import now
from app.db import session_scope
from app.evaluations import judge_work
from app.queue import ADVANCE_JUDGING, send
from app.tables import Judging, JudgingState
from workers.celery_app import celery
from workers.task import guarded, lease

STATES = (JudgingState.QUEUED, JudgingState.WORKING)


@celery.task(name=ADVANCE_JUDGING)
def advance(judging_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken and does nothing."""
    with lease(Judging, judging_id, STATES) as held:
        if held is None:
            return
        judging = held.read()
        guarded(
            lambda: judge_work.work(judging, held.write),
            lambda message, hint: judge_work.fail(judging, held.write, message, hint),
            "judging answers",
        )
    with session_scope(write=False) as session:
        after = session.get_one(Judging, judging_id)
    if after.state in STATES and (after.due_at is None or after.due_at <= now()):
        send(ADVANCE_JUDGING, judging_id)
