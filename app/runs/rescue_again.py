"""Weights whose rescue was given up, fetched once more when a person asks: the run itself is over and stays as it is.

Called by the run's page and API, and by workers/rescues.py under the row's lease.
"""

from sqlmodel import Session, select

from app.clock import in_seconds
from app.errors import Busy, Conflict, ProviderError, Unclear
from app.lab.actor import Actor, find, require_member
from app.providers._shapes import Phase
from app.queue import FETCH_WEIGHTS, enqueue
from app.runs import outputs
from app.runs.hosted import (
    Place,
    Save,
    find_row,
    job_row,
    open_job,
    pause_seconds,
    place_of,
    put,
    training_of,
)
from app.runs.hosted_files import write_raw
from app.runs.hosted_rescue import GIVEN_UP, MOST_FAILURES, fetch_weights
from app.storage import run_folder
from app.stored_files import note
from app.tables import FINAL, RemoteJobRow, RescueRow, RescueState, Run


def lacks_weights(run: Run, row: RemoteJobRow | None) -> bool:
    """Whether the run is over without weights that its service gives."""
    if place_of(run) != Place.HOSTED or row is None or row.phase != Phase.DONE or run.state not in FINAL:
        return False
    return training_of(run.model).fetch_weights is not None and not outputs.has_weights(run.id or 0)


def rescue_of(session: Session, run_id: int | None) -> RescueRow | None:
    """What was asked for last, and how it went."""
    return session.exec(select(RescueRow).where(RescueRow.run_id == run_id)).first()


def fetch_again(session: Session, actor: Actor, run_id: int) -> Run:
    """Has the weights fetched once more; asked twice it is one fetch. Raises Conflict where there is nothing to
    fetch."""
    require_member(actor, "fetch weights")
    run = find(session, actor, Run, run_id)
    if not lacks_weights(run, find_row(session, run_id)):
        raise Conflict(
            "There are no weights to fetch.", "They are here, the run goes on, or the service gives none."
        )
    row = rescue_of(session, run_id) or RescueRow(run_id=run_id)
    if row.id is None or row.state != RescueState.ASKED:
        row.state, row.failures, row.note, row.due_at = RescueState.ASKED, 0, "", None
        session.add(row)
        session.flush()
        enqueue(session, FETCH_WEIGHTS, row.id or 0)
    return run


def fetch_once(row: RescueRow, save: Save) -> None:
    """One try. What was cut goes on from where it stood."""
    with save() as session:
        run = session.get_one(Run, row.run_id)
        session.expunge(run)
    try:
        with open_job(run, job_row(run)) as api:
            job = api.about(training_of(run.model).poll(api, job_row(run).remote_id), job_row(run).remote_id)
            write_raw(run_folder(run.id or 0), job.raw, api.access)
            fetch_weights(run, api, job)
    except (Busy, Unclear, OSError) as error:
        _put_off(row, save, error)
    except ProviderError as error:
        _end(row, save, RescueState.FAILED, error.message)
    else:
        _settle(run, row, save)


def _settle(run: Run, row: RescueRow, save: Save) -> None:
    if outputs.weights_folder(run_folder(run.id or 0)) is None:
        _end(row, save, RescueState.FAILED, "The service has no weights of this run any more.")
        return
    with save() as session:
        job = session.get_one(RemoteJobRow, run.id)
        put(session, run, alarm=job.alarm.partition(GIVEN_UP)[0].rstrip())
        note(session, run_folder(run.id or 0))
    _end(row, save, RescueState.DONE, "")


def _put_off(row: RescueRow, save: Save, error: ProviderError | OSError) -> None:
    said = error.message if isinstance(error, ProviderError) else f"The disk said: {error.strerror or error}."
    if row.failures + 1 >= MOST_FAILURES:
        _end(row, save, RescueState.FAILED, said)
        return
    wait = getattr(error, "wait", None) or 0.0
    with save() as session:
        fresh = session.get_one(RescueRow, row.id)
        fresh.failures, fresh.note = row.failures + 1, said[:1000]
        fresh.due_at = in_seconds(max(wait, pause_seconds(row.failures)))
        session.add(fresh)


def _end(row: RescueRow, save: Save, state: RescueState, note: str) -> None:
    with save() as session:
        fresh = session.get_one(RescueRow, row.id)
        fresh.state, fresh.note = state, note[:1000]
        session.add(fresh)
