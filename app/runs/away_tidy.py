"""Removes what a run left on another machine once it is over, and what people decide about submits that were never
confirmed. Called by workers/machines.py and the run page."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlmodel import Session

from app.clock import in_seconds
from app.db import session_scope
from app.errors import Conflict, Gone, ProviderError
from app.lab.actor import Actor, find
from app.queue import ADVANCE_RUN, enqueue
from app.runs.away import Ground, ground, job_of, put
from app.runs.lifecycle import move
from app.tables import FINAL, JobState, MachineJob, Run, RunState

LONGEST_SECONDS = 3600.0


def tidy(job_id: int) -> None:
    """Ends and removes everything there that carries the run's key. A machine that does not answer is asked again."""
    with session_scope(write=False) as session:
        run = session.get_one(Run, session.get_one(MachineJob, job_id).run_id)
    place = ground(run)
    if place.job.state != JobState.LEAVING:
        return
    try:
        for handle in _handles(run, place):
            with suppress(Gone):
                place.compute.cancel(place.site, handle)
                place.compute.release(place.site, handle)
    except ProviderError as error:
        failures = place.job.failures + 1
        seconds = min(place.compute.poll_seconds * 2**failures, LONGEST_SECONDS)
        with session_scope() as session:
            put(
                session,
                place.job,
                failures=failures,
                trouble=error.message[:1000],
                due_at=in_seconds(seconds),
            )
        return
    with session_scope() as session:
        put(session, place.job, state=JobState.OVER, trouble="", failures=0)


def _handles(run: Run, place: Ground) -> list[Mapping[str, Any]]:
    """The run's own job and every other that carries its key."""
    found: list[Mapping[str, Any]] = [
        dict(job.handle) for job in place.compute.find(place.site, run.launch_key)
    ]
    own = place.job.handle
    return found if not own or own in found else [own, *found]


def send_again(session: Session, actor: Actor, run_id: int) -> Run:
    """A person has looked at the machine: there is no job of this run, so it is sent once more."""
    run, job = _waiting(session, actor, run_id)
    put(session, job, state=JobState.NEW, looks=0, not_confirmed=False)
    move(session, run, RunState.SUBMITTING)
    enqueue(session, ADVANCE_RUN, run_id)
    return run


def _waiting(session: Session, actor: Actor, run_id: int) -> tuple[Run, MachineJob]:
    run: Run = find(session, actor, Run, run_id)
    job = job_of(session, run_id)
    if run.state != RunState.UNKNOWN or job is None or not job.not_confirmed:
        raise Conflict(f"Run {run_id} waits for no decision.", "Look at its page again.")
    return run, job


def forget_job(session: Session, run: Run) -> None:
    """Before a retry: nothing of the earlier start may be left. Raises Conflict while it is being removed."""
    job = job_of(session, run.id)
    if job is None:
        return
    if job.state in (JobState.LEAVING, JobState.SENT, JobState.SENDING) or run.state not in FINAL:
        raise Conflict(
            "What the run left on its compute is still being removed.",
            "Retry in a moment; if its compute cannot be reached, clone the run to another one.",
        )
    session.delete(job)
    session.flush()
