"""The tasks behind the OpenAI-compatible API: from a tuning job to its run, and what is past its end removed."""

from app.db import session_scope
from app.door import tuning_work
from app.door.files import drop_file, expired_files
from app.queue import LAUNCH_JOB, TIDY_DOOR, send_to
from app.storage import door_file
from app.stored_files import elsewhere
from app.tables import DoorJob, DoorJobState
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


@celery.task(name=TIDY_DOOR)
def tidy() -> None:
    """Removes the bytes of files past their end."""
    with session_scope() as session:
        for file in expired_files(session):
            drop_file(session, file)
