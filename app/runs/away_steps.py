"""The steps of a run on another machine, one function per state. workers/runs.py claims the run and calls these.

As at hosted services, nothing is started twice: a submit whose answer was lost is looked for by the launch key, and
sent again only where the place makes that safe. See app/compute/_base.py for what each place does.
"""

from typing import Any

from sqlalchemy import func
from sqlmodel import col, select

from app.clock import in_seconds, now
from app.config import settings
from app.errors import AlreadyThere, Busy, Conflict, Invalid, ProviderError, Unclear
from app.runs.away import Ground, cost, ground, is_silent, job_of, leave, order_of, put, put_off
from app.runs.hosted import Save, set_run
from app.runs.lifecycle import move
from app.runs.prepare import prepare_bundle
from app.runs.steps import closing_record
from app.storage import run_folder
from app.tables import JobState, Machine, MachineState, Run, RunState

THERE = (
    RunState.PREPARING,
    RunState.SUBMITTING,
    RunState.UNKNOWN,
    RunState.TRAINING,
    RunState.PREDICTING,
)
WAIT_SECONDS = 5.0
# Submits that Tunebook itself may send, where the place makes that safe.
MOST_SUBMITS = 3


def queued(run: Run, save: Save) -> None:
    """Takes a place on the machine if one is free; else waits."""
    with save() as session:
        machine = session.exec(select(Machine).where(Machine.id == run.machine_id).with_for_update()).one()
        if machine.state == MachineState.REMOVED:
            raise Conflict(f"The compute {machine.name} was removed.", "Clone the run to another one.")
        taken = session.exec(_count().where(Run.machine_id == machine.id, col(Run.state).in_(THERE))).one()
        if taken < machine.slots:
            move(session, run, RunState.PREPARING, started_at=run.started_at or now())
            return
        waiting = (Run.machine_id == machine.id, Run.state == RunState.QUEUED, col(Run.id) < run.id)
        before = session.exec(_count().where(*waiting)).one()
        note = f"waits for {machine.name}, {before} before it" if before else f"next on {machine.name}"
        set_run(session, run, progress_note=note, due_at=in_seconds(min(WAIT_SECONDS + before, 600)))


def _count() -> Any:
    return select(func.count()).select_from(Run)


def preparing(run: Run, save: Save) -> None:
    """Writes the bundle."""
    snapshot = prepare_bundle(run)
    with save() as session:
        move(session, run, RunState.SUBMITTING, snapshot=snapshot)


def submitting(run: Run, save: Save) -> None:
    """Starts the job, once; or adopts the one that a crash left without an answer."""
    place = ground(run)
    if place.job.state == JobState.SENT:
        with save() as session:
            move(session, run, RunState.TRAINING)
        return
    if place.job.state == JobState.LEAVING:
        raise Conflict(
            f"What an earlier start left on {place.machine.name} is still being removed.",
            "Retry in a moment.",
        )
    if place.job.state == JobState.SENDING:
        with save() as session:
            move(session, run, RunState.UNKNOWN)
        return
    _send(run, save, place)


def _send(run: Run, save: Save, place: Ground) -> None:
    with save() as session:
        put(session, place.job, state=JobState.SENDING, sent_at=now(), submits=place.job.submits + 1, looks=0)
        set_run(session, run, progress_note=f"sends the bundle to {place.machine.name}")
    try:
        handle = place.compute.submit(place.site, order_of(run, place))
    except (Unclear, AlreadyThere) as error:
        # It is looked for: what is there is this run's own.
        with save() as session:
            put(session, place.job, trouble=error.message[:1000])
            move(session, run, RunState.UNKNOWN, progress_note=error.message[:300])
    except Busy as error:
        with save() as session:
            put(session, place.job, state=JobState.NEW)
        put_off(run, save, place, error)
    except (ProviderError, Invalid):
        # A clear no: nothing is there. The worker ends the run with its sentence.
        with save() as session:
            put(session, place.job, state=JobState.NEW)
        raise
    else:
        adopt(run, save, place, handle)


def adopt(run: Run, save: Save, place: Ground, handle: dict[str, Any]) -> None:
    """The job is there and is this run's."""
    with save() as session:
        put(
            session,
            place.job,
            state=JobState.SENT,
            handle=handle,
            not_confirmed=False,
            failures=0,
            trouble="",
        )
        move(session, run, RunState.TRAINING, due_at=in_seconds(min(place.compute.poll_seconds, 2.0)))


def unknown(run: Run, save: Save) -> None:
    """One look for a job whose submit had no answer. Looks are counted only when the place answered."""
    place = ground(run)
    try:
        found = sorted(place.compute.find(place.site, run.launch_key), key=lambda job: job.created_at)
        # The oldest is the run's; others that carry its key are ended.
        for other in found[1:]:
            place.compute.cancel(place.site, other.handle)
            place.compute.release(place.site, other.handle)
    except ProviderError as error:
        put_off(run, save, place, error)
        return
    times, looks = settings().look_times, place.job.looks + 1
    if found:
        adopt(run, save, place, dict(found[0].handle))
    elif looks < len(times) and not place.compute.repeatable:
        with save() as session:
            later = in_seconds(times[looks] - times[looks - 1])
            put(session, place.job, looks=looks, failures=0)
            note = f"look {looks} of {len(times)}: {place.machine.name} has no job of this run yet"
            set_run(session, run, due_at=later, progress_note=note)
    elif place.compute.repeatable and place.job.submits < MOST_SUBMITS:
        with save() as session:
            put(session, place.job, state=JobState.NEW, looks=looks)
            later = in_seconds(place.compute.poll_seconds * 2**place.job.submits)
            move(session, run, RunState.SUBMITTING, due_at=later)
    else:
        _ask_a_person(run, save, place, looks)


def _ask_a_person(run: Run, save: Save, place: Ground, looks: int) -> None:
    with save() as session:
        put(session, place.job, looks=looks, not_confirmed=True, failures=0)
        note = f"not confirmed: {place.machine.name} has no job of this run"
        set_run(session, run, due_at=in_seconds(3600), progress_note=note)


def cancel(run: Run, save: Save) -> None:
    """Ends the job, then the run. While the machine does not answer, the run stays "cancel asked", until the job there
    must have ended by itself."""
    place = ground(run)
    try:
        if place.job.state == JobState.SENT:
            place.compute.cancel(place.site, place.job.handle)
            place.compute.pull(place.site, place.job.handle, order_of(run, place).folder)
    except ProviderError as error:
        if not is_silent(place):
            put_off(run, save, place, error)
            return
    with save() as session:
        leave(session, place.job)
        move(session, run, RunState.CANCELLED, **closing(run, place))


def fail(run: Run, save: Save, message: str, hint: str) -> None:
    """Ends the run with a sentence; its job there is ended as soon as the machine answers. Needs no way to the machine,
    which may be what is missing."""
    record = closing_record(run, run_folder(run.id or 0))
    with save() as session:
        job = job_of(session, run.id)
        if job is not None:
            leave(session, job)
        move(session, run, RunState.FAILED, error=message[:2000], hint=hint[:2000], **record)


def closing(run: Run, place: Ground) -> dict[str, Any]:
    """Ledger, snapshot and cost of a run that ends."""
    return {**closing_record(run, run_folder(run.id or 0)), "cost_microdollars": cost(run, place)}
