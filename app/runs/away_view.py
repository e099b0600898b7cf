"""What a run's page says of its job on another machine."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from app.runs.away import hourly, job_of
from app.settings.machines import BY_HAND, compute_of
from app.tables import JobState, Machine, Run, RunState


@dataclass(frozen=True)
class AwayView:
    """`asks`: a person must decide about a submit that was never confirmed; `takes_upload`: it waits for out.zip;
    `left`: what the run left there is not removed yet, and why."""

    machine: str
    label: str
    by_hand: bool
    state: str
    message: str
    deadline_hours: float
    deadline_kept_by: str
    hourly_microdollars: int | None
    heard_at: datetime | None
    trouble: str
    asks: bool
    takes_upload: bool
    left: bool


def away_view(session: Session, run: Run) -> AwayView | None:
    """None for a run of this machine or of a service."""
    if run.machine_id is None:
        return None
    machine = session.get_one(Machine, run.machine_id)
    job = job_of(session, run.id)
    compute = compute_of(machine)
    hand = machine.kind == BY_HAND
    return AwayView(
        machine.name,
        compute.label,
        hand,
        job.remote_state if job else "",
        job.message if job else "",
        machine.deadline_hours,
        compute.deadline_kept_by,
        hourly(machine),
        job.heard_at if job else None,
        job.trouble if job else "",
        run.state == RunState.UNKNOWN and job is not None and job.not_confirmed,
        hand and run.state in (RunState.TRAINING, RunState.PREDICTING),
        job is not None and job.state == JobState.LEAVING and not hand,
    )
