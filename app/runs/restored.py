"""What a restore does to runs that were under way when their backup was made. Called by app/restore.py.

The server that made the backup went on after it: a paid job may have been created that the backup knows nothing of. So
every create that had no answer by then counts as one whose answer was lost: it is looked for by its launch key, and sent
again only where section "unknown" of the run's life allows it. Local runs begin again at their newest checkpoint.
"""

from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Unavailable
from app.providers import providers
from app.runs.away import job_of
from app.runs.hosted import Place, find_row, place_of, provider_of, remote_model
from app.runs.hosted_look import decision
from app.runs.lifecycle import move
from app.settings.access import place_of as address_of
from app.tables import (
    LOOKED_AT,
    DeploymentRow,
    DeploymentState,
    DoorBatch,
    DoorJob,
    DoorJobState,
    JobState,
    MachineJob,
    ProviderSetting,
    RemoteBatchRow,
    RemoteJobRow,
    Run,
    RunState,
    Sent,
    Slot,
    Worker,
)

OPEN = (Sent.NO, Sent.SENDING)
# States of a run of this machine that has, or is about to have, a process.
RUNS_HERE = (RunState.PREPARING, RunState.SUBMITTING, RunState.TRAINING, RunState.PREDICTING)
LOOKED_FOR = "restored from a backup: its job is looked for before anything is created"
BEGUN_AGAIN = "restored from a backup; it goes on from its newest checkpoint"


@dataclass(frozen=True)
class Held:
    """How many runs a restore has changed: `looked_for` may have a paid or remote job that the backup does not know,
    `begun_again` train on this machine."""

    looked_for: int
    begun_again: int


def hold_back(session: Session, made_at: str) -> Held:
    """Puts the runs of a backup made at `made_at` into states from which nothing is paid for twice. The workers and
    places of the machines of that time are forgotten, and so is who worked on which run."""
    looked_for = begun_again = 0
    said = f"restored from the backup of {made_at}: its job is looked for before anything is created"
    for run in session.exec(select(Run).where(col(Run.state).in_(LOOKED_AT)).order_by(col(Run.id))):
        place = place_of(run)
        if place == Place.HOSTED:
            looked_for += _hold_hosted(session, run, said)
        elif place == Place.AWAY:
            looked_for += _hold_away(session, run, said)
        elif place == Place.LOCAL and run.state in RUNS_HERE:
            begun_again += move(session, run, RunState.QUEUED, progress_note=BEGUN_AGAIN, handle={})
    _hold_batches(session)
    _end_door_jobs(session)
    session.execute(update(Run).values(owner=None, lease_until=None))
    session.execute(delete(Slot))
    session.execute(delete(Worker))
    session.flush()
    return Held(looked_for, begun_again)


def _hold_hosted(session: Session, run: Run, said: str) -> bool:
    row = find_row(session, run.id)
    if row is None:
        try:
            provider = provider_of(run.model)
        except Unavailable:
            # This Tunebook cannot create its job at all.
            return False
        place = address_of(session.get(ProviderSetting, provider.name), provider)
        row = RemoteJobRow(
            run_id=run.id or 0,
            provider=provider.name,
            model=remote_model(run.model),
            base_url=place.base_url,
        )
    if row.sent not in OPEN:
        return False
    row.sent, row.sent_at, row.looks, row.not_confirmed, row.wait_until = Sent.SENDING, now(), 0, False, None
    row.decisions = [*row.decisions, decision("Tunebook", said)]
    run.progress_note, run.due_at = LOOKED_FOR, None
    session.add_all([row, run])
    return True


def _hold_away(session: Session, run: Run, said: str) -> bool:
    job = job_of(session, run.id) or MachineJob(run_id=run.id or 0, machine_id=run.machine_id or 0)
    if job.state not in (JobState.NEW, JobState.SENDING):
        return False
    job.state, job.sent_at, job.looks, job.not_confirmed = JobState.SENDING, now(), 0, False
    job.trouble = said
    run.progress_note, run.due_at = LOOKED_FOR, None
    session.add_all([job, run])
    return True


def _end_door_jobs(session: Session) -> None:
    """Tuning jobs of the API that had no run yet: the old server may have launched theirs, so that paid ones are ended
    for their makers to decide. Who worked on what is forgotten."""
    session.execute(update(DoorJob).values(owner=None, lease_until=None))
    session.execute(update(DoorBatch).values(owner=None, lease_until=None))
    for job in session.exec(select(DoorJob).where(DoorJob.state == DoorJobState.VALIDATING)):
        if job.model.partition("/")[0] in providers():
            job.state, job.ended_at = DoorJobState.FAILED, now()
            job.error = (
                "Tunebook was restored from a backup that was made before this job was launched, and it may have been "
                "launched since. Look at the service's list of jobs, then make it again."
            )
            session.add(job)


def _hold_batches(session: Session) -> None:
    """Batches of questions and deployments are paid for too."""
    session.execute(
        update(RemoteBatchRow)
        .where(col(RemoteBatchRow.read_at).is_(None), col(RemoteBatchRow.sent).in_(OPEN))
        .values(sent=Sent.SENDING, sent_at=now(), looks=0)
    )
    session.execute(
        update(DeploymentRow)
        .where(col(DeploymentRow.state) != DeploymentState.STOPPED, col(DeploymentRow.sent).in_(OPEN))
        .values(sent=Sent.SENDING, looks=0, due_at=None)
    )
