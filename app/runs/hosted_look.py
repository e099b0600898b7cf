"""The step of a run whose create had no answer: looks for the job by its launch key, and never creates from here.

Found: adopted. Several: the oldest is kept, the others are cancelled and the run says so. None after the last look:
a person decides (hosted_decide.py), except where the service itself makes a second create safe.
"""

from typing import Any

from sqlmodel import Session

from app.clock import in_seconds, now
from app.config import settings
from app.errors import Busy, Refused, Unclear
from app.providers._base import Repeat
from app.providers._shapes import ENDED, RemoteJob
from app.runs.hosted import (
    PAUSING,
    Save,
    job_row,
    must_wait,
    open_job,
    pause,
    provider_of,
    put,
    put_off,
    set_run,
    training_of,
)
from app.runs.hosted_files import write_raw
from app.runs.hosted_submit import adopt, believe
from app.runs.lifecycle import move
from app.service_http import Api
from app.storage import run_folder
from app.tables import RemoteJobRow, Run, RunState, Sent

# After the last look it is still looked for this often: a job that shows up late is adopted.
LATER_SECONDS = 3600.0
# Creates that a service may be sent by Tunebook itself, where it makes that safe.
MOST_CREATES = 3


def unknown(run: Run, save: Save) -> None:
    """One look. Looks are counted only when the service answered."""
    row = job_row(run)
    if must_wait(run, row, save):
        return
    try:
        with open_job(run, row) as api:
            found = _claimed(run, row, api) if row.claimed_id else _find(run, api)
            if found:
                write_raw(run_folder(run.id or 0), found[0].raw, api.access)
    except PAUSING as error:
        pause(run, save, error)
    except (Busy, Unclear) as error:
        put_off(run, save, row, error)
    except Refused as error:
        _refuse_claim(run, save, row, error.message)
    else:
        with save() as session:
            if found:
                adopt_oldest(session, run, found)
            else:
                _none(session, run, row)


def _find(run: Run, api: Api) -> list[RemoteJob]:
    """Jobs with the run's key, the oldest first."""
    jobs = training_of(run.model).find(api, run.launch_key)
    own = {job.id: job for job in jobs if job.id and job.launch_key in ("", run.launch_key)}
    return sorted(own.values(), key=lambda job: (job.created_at or float("inf"), job.id))


def _claimed(run: Run, row: RemoteJobRow, api: Api) -> list[RemoteJob]:
    """The job that a person named, if the service has it and it carries no other run's key."""
    job = training_of(run.model).poll(api, row.claimed_id)
    try:
        believe(job, run, row.claimed_id)
    except Unclear as error:
        raise Refused(error.message) from error
    return [job]


def adopt_oldest(session: Session, run: Run, found: list[RemoteJob]) -> None:
    """Adopts the first; all others are doubles, to be cancelled by the polls."""
    label, others = provider_of(run.model).label, found[1:]
    values: dict[str, Any] = {}
    if others:
        values["doubles"] = [
            {"id": job.id, "state": job.state, "ended": job.phase in ENDED} for job in others
        ]
        names = ", ".join(job.id for job in others)
        values["alarm"] = (
            f"{label} has {len(found)} jobs of this run. The oldest, {found[0].id}, is kept; {names} "
            f"{'is' if len(others) == 1 else 'are'} being cancelled. Look at the bill."
        )
    adopt(session, run, found[0], **values)


def _none(session: Session, run: Run, row: RemoteJobRow, sure: bool = True) -> None:
    """No job was found; `sure`: because the service said so, not because it refused to be asked."""
    times, looks = settings().look_times, row.looks + 1
    if row.not_confirmed:
        _ask_a_person(session, run, looks)
    elif looks < len(times):
        later = in_seconds(times[looks] - times[looks - 1])
        put(session, run, looks=looks, failures=0, wait_until=later)
        label = provider_of(run.model).label
        note = f"look {looks} of {len(times)}: {label} lists no job of this run yet"
        set_run(session, run, due_at=later, progress_note=note)
    elif sure and _may_repeat(run, row):
        said = "created again by itself: " + training_of(run.model).repeat
        put(
            session,
            run,
            sent=Sent.NO,
            wait_until=None,
            decisions=[*row.decisions, decision("Tunebook", said)],
        )
        move(session, run, RunState.SUBMITTING, error="")
    else:
        _ask_a_person(session, run, looks)


def _may_repeat(run: Run, row: RemoteJobRow) -> bool:
    safe = training_of(run.model).repeat in (Repeat.OWN_ID, Repeat.FREE_CREATE)
    return safe and row.creates < MOST_CREATES and not run.cancel_asked


def _ask_a_person(session: Session, run: Run, looks: int) -> None:
    later, label = in_seconds(LATER_SECONDS), provider_of(run.model).label
    put(session, run, looks=looks, not_confirmed=True, failures=0, wait_until=later)
    set_run(
        session,
        run,
        due_at=later,
        progress_note=f"not confirmed: {label} lists no job of this run",
        hint="Look at the service, then choose below.",
    )


def _refuse_claim(run: Run, save: Save, row: RemoteJobRow, said: str) -> None:
    """What a person named is not this run's job; or the service refuses to be asked. The choice stands again."""
    with save() as session:
        put(session, run, claimed_id="", trouble=said[:1000])
        if row.claimed_id:
            _ask_a_person(session, run, row.looks)
        else:
            _none(session, run, row, sure=False)


def decision(who: str, what: str) -> dict[str, str]:
    """One line of a run's decisions."""
    return {"at": now().isoformat(timespec="seconds"), "who": who, "what": what}
