"""The tasks behind the OpenAI-compatible API: from a tuning job to its run, the lines of batches, and what is past its
end removed.
"""

from app.clock import now
from app.db import session_scope
from app.door import batch_work, tuning_work
from app.door.files import BATCH_GOES_ON, drop_file, expired_files
from app.queue import LAUNCH_JOB, TIDY_DOOR, WORK_BATCH, send, send_to
from app.storage import door_batch, door_file
from app.stored_files import elsewhere
from app.tables import DoorBatch, DoorJob, DoorJobState
from workers.celery_app import celery
from workers.task import guarded, lease

JOB_STATES = (DoorJobState.VALIDATING,)


@celery.task(name=LAUNCH_JOB)
def launch_job(job_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. Killed, it goes on from the last step saved."""
    with session_scope(write=False) as session:
        job = session.get(DoorJob, job_id)
    if (
        job is not None
        and job.dataset_id is None
        and (queue := elsewhere(door_file(job.training_file_id, here=True)))
    ):
        send_to(queue, LAUNCH_JOB, job_id)
        return
    with lease(DoorJob, job_id, JOB_STATES) as held:
        if held is None:
            return
        job = held.read()
        guarded(
            lambda: tuning_work.advance(job, held.write),
            lambda message, hint: tuning_work.fail(job, held.write, message, hint),
            "launching a tuning job",
        )


@celery.task(name=WORK_BATCH)
def work_batch(batch_id: int) -> None:
    """One step or slice. Safe to run twice at once: the second finds the lease taken. Killed, it goes on with the lines
    that have no answer."""
    with session_scope(write=False) as session:
        batch = session.get(DoorBatch, batch_id)
    if batch is None:
        return
    for path in (door_file(batch.input_file_id, here=True), door_batch(batch_id, here=True)):
        if queue := elsewhere(path):
            send_to(queue, WORK_BATCH, batch_id)
            return
    with lease(DoorBatch, batch_id, BATCH_GOES_ON) as held:
        if held is None:
            return
        row = held.read()
        guarded(
            lambda: batch_work.work(row, held.write),
            lambda message, hint: batch_work.fail(row, held.write, message, hint),
            "answering a batch",
        )
    with session_scope(write=False) as session:
        after = session.get_one(DoorBatch, batch_id)
    if after.state in BATCH_GOES_ON and (after.due_at is None or after.due_at <= now()):
        send(WORK_BATCH, batch_id)


@celery.task(name=TIDY_DOOR)
def tidy() -> None:
    """Removes the bytes of files past their end."""
    with session_scope() as session:
        for file in expired_files(session):
            drop_file(session, file)
